"""Vendors of other packages: the example, installed and used by real commands, and packages with mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quantx.settings import Settings
from quantx.settings.vendors import OTHER_SETTINGS, VENDOR_SETTINGS

from ..databases import Databases

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider_package"

SETTINGS = """
from pydantic import Field
from quantx.vendor_settings import VendorSettings
class Mine(VendorSettings):
    title = "Mine"
    adapter = "{module}_adapter:Adapter"
    default_quota = "{quota}"
{more}
"""
ADAPTER = """
from quantx.providers.protocol import Capabilities
class Adapter:
    capabilities = Capabilities(source="{source}", timeframes=("1d",), markets=("us",), symbols_per_request=1,
        price_basis={basis!r}, needs_key=False, quota="1/s")
    @classmethod
    def open(cls, settings, clock): return cls()
    def prepare(self): ...
    def fetch(self, request): ...
    def normalize(self, payload): ...
    {drift}
"""


def run(code: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QUANTX_", "AZURE_"))}
    environment |= {"PYTHONPATH": str(folder), "QUANTX_CACHE_DIR": os.environ["QUANTX_CACHE_DIR"], **variables}
    return subprocess.run(
        [sys.executable, *code], capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def add_package(folder: Path, source: str, *, quota: str = "1/s", more: str = "    pass", adapter: str = "") -> None:
    """Write a package with an entry point, as an installer leaves it."""
    module = f"pkg_{source}".replace("-", "_")
    (folder / f"{module}.py").write_text(SETTINGS.format(module=module, quota=quota, more=more))
    (folder / f"{module}_adapter.py").write_text(adapter)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: quantx-{source}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[quantx.providers]\n{source} = {module}:Mine\n")


def adapter(source: str, basis: str = "as_traded", drift: str = "def drift(self, payload): ...") -> str:
    return ADAPTER.format(source=source, basis=basis, drift=drift)


def test_a_package_with_a_mistake_is_named_and_costs_no_other(tmp_path: Path) -> None:
    add_package(tmp_path, "good", adapter=adapter("good"))
    add_package(tmp_path, "yahoo", adapter=adapter("yahoo"))
    add_package(tmp_path, "mine", more="    names = ('av',)")
    add_package(tmp_path, "lake")
    add_package(tmp_path, "slow", quota="fast")
    add_package(tmp_path, "needy", more="    token: str")
    add_package(tmp_path, "raising", more="    raise RuntimeError('no licence')")
    add_package(tmp_path, "braces", more="    base_url: str | None = Field(None, description='https://{host}')")
    add_package(tmp_path, "leaving", more="    raise SystemExit(3)")
    add_package(tmp_path, "no-name")
    add_package(tmp_path, "lacking", adapter=adapter("lacking", drift=""))
    add_package(tmp_path, "other", adapter=adapter("another"))
    add_package(tmp_path, "basis", adapter=adapter("basis", basis="adjusted"))
    add_package(tmp_path, "nested", adapter=adapter("nested").replace('("us",)', '(["us"],)'))
    add_package(tmp_path, "unlimited", adapter=adapter("unlimited").replace('quota="1/s"', "quota=None"))
    add_package(tmp_path, "absent", adapter="import not_there")
    shown = run(
        [
            "-c",
            "import json; from quantx.settings.vendors import PACKAGES; from quantx.settings import Settings;"
            "from quantx.providers.registry import open_providers, mistake_of;"
            "print(json.dumps([dict(PACKAGES.broken), sorted(open_providers(Settings(), None)),"
            " {s: mistake_of(s) for s in PACKAGES.settings}]))",
        ],
        tmp_path,
    )
    broken, usable, mistakes = json.loads(shown.stdout)
    said = {
        "yahoo": "its name yahoo is that of the vendor yahoo: choose another one",
        "mine": "its name av is that of the vendor alphavantage: choose another one",
        "lake": "other settings begin with its prefix lake: choose another one",
        "slow": "default_quota of Mine: 'fast' is no quota",
        "needy": "the fields token of Mine need defaults, as None for a key",
        "raising": "can't be imported (RuntimeError: no licence)",
        "braces": "the description of base_url of Mine has other braces than {title} and {default_quota}",
        "leaving": "can't be imported (SystemExit: 3)",
        "no-name": "'no-name' can't be the name of a source",
    }
    assert broken.keys() == said.keys()
    for source, why in said.items():
        assert broken[source].startswith(f"the package quantx-{source} is left out: ")
        assert why in broken[source]
    assert {"good", "yahoo"} <= set(usable)
    assert set(usable).isdisjoint({*said, *mistakes} - {"good", "yahoo"})
    assert mistakes["good"] is None
    assert "pkg_lacking_adapter:Adapter has no method drift" in mistakes["lacking"]
    assert "declares the source 'another', and its entry point is named 'other'" in mistakes["other"]
    assert "has the price basis 'adjusted'" in mistakes["basis"]
    assert "has the markets (['us'],)" in mistakes["nested"]
    assert "has the quota None" in mistakes["unlimited"]
    assert "can't be imported (ModuleNotFoundError" in mistakes["absent"]
    for source in ("lacking", "other", "basis", "absent", "slow"):  # in the log, and the work goes on
        assert source in shown.stderr


def test_the_reserved_words_are_those_with_which_settings_begin() -> None:
    """A new setting adds its first word to OTHER_SETTINGS in settings/vendors.py: no package may take it."""
    own = {name for name in Settings.model_fields if name not in VENDOR_SETTINGS}
    assert {name.partition("_")[0] for name in own} <= set(OTHER_SETTINGS)


@contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    """The command of the sandbox as a process that has the package, too."""
    code = [sys.executable, "-m", "quantx", "sandbox", "--port", "0", "--until", "2024-12-31"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "acme" in line, line
            yield line.split()[0]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed example."""
    folder = tmp_path_factory.mktemp("site")
    install = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target"]
    done = run([*install, str(folder), str(EXAMPLE)], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_example_is_backfilled_from_by_real_commands(target: Path, tmp_path: Path, databases: Databases) -> None:
    with databases.migrated() as state, sandbox(target) as url:
        there = {
            "QUANTX_LAKE_URL": str(tmp_path / "lake"),
            "QUANTX_STATE_URL": state,
            "QUANTX_INSPECT": "false",
            "QUANTX_ACME_BASE_URL": url,
            "QUANTX_ACME_API_KEY": "any",
            "QUANTX_ACME_QUOTA": "unlimited",
        }
        scope = ["--start", "2024-11-01", "--end", "2024-12-30", "--symbols", "QXAA,QXAT.B", "--source", "acme"]
        done = run(["-m", "quantx", "backfill", *scope], target, **there)
        assert done.returncode == 0, done.stderr
        assert "2 done, 0 failed" in done.stdout
        query = ["query", "--symbols", "QXAA", "--start", "2024-12-30", "--source", "acme", "--format", "csv"]
        bars = run(["-m", "quantx", *query], target, **there).stdout
        assert bars.splitlines()[1].startswith("QXAA,2024-12-30,")
        # Without the package its stored rows are there, and its replies name what is missing.
        done = run(["-m", "quantx", "backfill", *scope], tmp_path, **there)
        assert done.returncode == 2
        assert "no source 'acme'" in done.stderr


@pytest.mark.slow
def test_the_examples_own_tests_pass(target: Path) -> None:
    """Those that show the most: the whole contracts run when the package is developed."""
    few = "sensible or declared_columns or market or key or another_symbol"
    tests = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", few, str(EXAMPLE / "tests")]
    done = run(tests, target)
    assert done.returncode == 0, done.stdout[-2000:]
