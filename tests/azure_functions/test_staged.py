"""What is published: light to load, complete, for the target alone, and nothing in it that must not leave the house."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from .conftest import PYTHON, REPOSITORY, SCHEDULES, SITE, VERSION, Hosts

pytestmark = pytest.mark.slow

LOADING = """
import json, sys, time
sys.path[:0] = sys.argv[1:]
before, begun = set(sys.modules), time.process_time()
import function_app
print(json.dumps({
    "seconds": time.process_time() - begun,
    "megabytes": int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024,
    "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
}))
"""
USED = """
import sys, warnings
sys.path[:0] = sys.argv[1:]
warnings.simplefilter("error")
import quantx.pipeline.runtime.host_logging, quantx.pipeline.planning.http_problem, quantx.pipeline.planning.triggers
from quantx.core.calendars import calendar
from quantx.settings import load_settings
from quantx.providers.registry import open_providers
import azure.identity, azure.storage.blob, azure.storage.queue, psycopg, psycopg_pool
assert psycopg.pq.__impl__ == "binary"
settings = load_settings()
assert calendar("XNYS").is_session(__import__("datetime").date(2024, 1, 12))
assert "yahoo" in open_providers(settings, None)
for heavy in ("jinja2", "deltalake", "pandas", "pyarrow", "duckdb", "yfinance", "curl_cffi"):
    assert heavy not in sys.modules, heavy
print(quantx.__file__)
"""


def alone(app_dir: Path, code: str) -> str:
    """Run code that sees the standard library and the staged folder, and nothing else."""
    command = [PYTHON, "-I", "-S", "-c", code, str(app_dir), str(app_dir / SITE)]
    done = subprocess.run(command, env={}, capture_output=True, text=True, cwd=app_dir, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_loading_it_is_light(app_dir: Path) -> None:
    alone(app_dir, LOADING)  # compiles
    loaded = json.loads(alone(app_dir, LOADING))
    assert {"pandas", "polars", "pyarrow", "yfinance", "numpy", "deltalake", "psycopg", "jinja2"}.isdisjoint(
        loaded["modules"]
    )
    assert "quantx" not in loaded["modules"], "the services are imported by the first call"
    assert loaded["megabytes"] < 120
    assert loaded["seconds"] < 1, "what the issue promises; of the processor's time, of which others take none"


def test_all_that_a_trigger_needs_is_there(app_dir: Path) -> None:
    assert Path(alone(app_dir, USED).strip()).is_relative_to(app_dir / SITE)


def test_traces_can_be_sent(app_dir: Path) -> None:
    alone(
        app_dir,
        "import sys; sys.path[:0] = sys.argv[1:]; from azure.monitor.opentelemetry import configure_azure_monitor",
    )


def test_libraries_are_of_the_target(app_dir: Path) -> None:
    compiled = [path.name for path in (app_dir / SITE).rglob("*.so") if ".libs" not in path.parent.name]
    tag = f"cpython-{VERSION.replace('.', '')}-x86_64-linux-gnu.so"
    assert len(compiled) > 50
    assert [name for name in compiled if not name.endswith((tag, ".abi3.so")) and ".cpython-" in name] == []


def test_nothing_else_is_in_it(package: Path) -> None:
    with zipfile.ZipFile(package) as packed:
        names = [Path(name) for name in packed.namelist()]
    assert {name.parts[0] for name in names} == {
        ".python_packages", "function_app.py", "host.json", "requirements.txt", "settings.yaml",
    }  # fmt: skip
    assert {"local.settings.json", ".env", "__pycache__", "direct_url.json"}.isdisjoint(
        n for p in names for n in p.parts
    )
    assert Path(SITE, "pandas/tests") not in {parent for name in names for parent in name.parents}
    assert Path(SITE, "quantx/state/runs/statements.sql") in names, "a wheel, with all of its files"


def test_no_secret_and_no_place_of_this_machine_is_in_it(app_dir: Path) -> None:
    ours = [p for p in [*app_dir.glob("*.*"), *(app_dir / SITE / "quantx").rglob("*")] if p.is_file()]
    assert len(ours) > 50
    emulators = (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # known to all
    )
    for path in ours:
        text = path.read_bytes().decode(errors="replace").replace(emulators, "")
        found = re.findall(
            r"AccountKey=[A-Za-z0-9+/]{8}|[A-Za-z0-9+/]{86}==|sig=[A-Za-z0-9%]{20}|BEGIN [A-Z ]*PRIVATE", text
        )
        assert found == [], path
        assert str(REPOSITORY) not in text, path


def test_the_libraries_are_those_of_the_other_environments() -> None:
    def pins(name: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in (REPOSITORY / "requirements" / name).read_text().splitlines():
            if match := re.match(r"([a-z0-9-]+)==(\S+)", line):
                found.setdefault(match[1], set()).add(match[2])
        return found

    tested, shipped = pins("azure.txt"), pins("functions.txt")
    assert {name: versions for name, versions in shipped.items() if versions != tested.get(name)} == {}
    assert {"pyarrow", "deltalake", "duckdb", "yfinance", "typer"}.isdisjoint(shipped)


def test_the_engine_finds_the_functions_and_their_schedules(hosts: Hosts) -> None:
    with hosts() as host:
        found, retries = host.loaded["functions"], host.loaded["retries"]
        assert sorted(found) == ["daily_update", "health", "ready", "show_run", "sweep", "trigger_update"]
        assert found["daily_update"][0]["schedule"] == SCHEDULES["DAILY_SCHEDULE"]
        assert found["sweep"][0]["schedule"] == SCHEDULES["SWEEP_SCHEDULE"]
        assert retries["daily_update"]["max_retry_count"] == "3"
        assert host.loaded["heavy"] == []
        health = host.get("health")
        assert (health.status, health.document) == (200, {"status": "ok"})
