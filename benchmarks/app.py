"""The Functions app under Microsoft's execution engine, while it plans all symbols of a universe.

The app has no pyarrow (requirements/functions.txt), so the engine finds none here either.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from tests.azure_functions import engine, host

from benchmarks.cloud import Cloud, cloud, row_of, why_missing
from benchmarks.market import symbols
from benchmarks.measure import environment
from benchmarks.table import Line, Outcome

APP = Path(__file__).parents[1] / "azure_functions"
SCHEDULES = {"DAILY_SCHEDULE": "0 0 6 * * 1-5", "SWEEP_SCHEDULE": "0 */15 * * * *"}
# Without the check of a connection, which is empty, and BEGIN and COMMIT.
_STATEMENT = re.compile(r"LOG:  (?:execute |statement: (?=\s*[a-z]))")
_LIGHT = (
    "import runpy, sys; sys.modules['pyarrow'] = None; sys.argv = sys.argv[1:];"
    " runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(folder: Path, *, quick: bool) -> Outcome:
    """Fire the daily timer, fire it again, and request a backfill; read the app's peak memory after each."""
    title = "The Functions app plans"
    if missing := why_missing() or engine.install(folder / "engine"):
        return Outcome(title, (), skipped=missing)
    count = 50 if quick else 5_000
    with cloud(folder / "cloud") as servers:
        settings = _prepared(servers, folder, count)
        with _app(settings, folder) as app:
            loaded = _peak_mb(app)
            first = _measured(app, servers, folder, {"function": "daily_update", "inputs": {"timer": _TIMER}})
            again = _measured(app, servers, folder, {"function": "daily_update", "inputs": {"timer": _TIMER}})
            backfill = _measured(app, servers, folder, _request({"universe": "all", "start": "2010-01-04"}))
        tasks, runs = row_of(servers.settings["state_url"], "select (select count(*) from tasks), count(*) from runs")
    return Outcome(
        f"{title} a universe of {count:,} symbols, in the engine, with queue and lake on Azurite and PostgreSQL",
        (
            Line("peak memory after loading, MB", loaded, digits=0),
            Line("peak memory after the daily update of all symbols, MB", first["peak_mb"], aim="≤ 200", digits=0),
            Line("peak memory after a second firing and a backfill, MB", backfill["peak_mb"], aim="≤ 200", digits=0),
            Line("daily update of all symbols, s", first["seconds"], aim="≤ 2"),
            Line("daily update of all symbols, statements", first["statements"], aim="≤ 10", digits=0),
            Line("second firing, which plans nothing, s", again["seconds"]),
            Line("backfill of all symbols, s", backfill["seconds"], aim="≤ 2"),
            Line("backfill of all symbols, statements", backfill["statements"], aim="≤ 10", digits=0),
        ),
        {
            "tasks": tasks,
            "runs": runs,
            "statements_of_the_update": first["statements"],
            "of_the_second_firing": again["statements"],
            "of_the_backfill": backfill["statements"],
        },
    )


_TIMER = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}


def _request(body: Mapping[str, Any]) -> dict[str, Any]:
    asked = {"method": "POST", "url": "https://app.example/api/trigger-update"}
    asked["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return {"function": "trigger_update", "inputs": {"req": asked}}


def _prepared(servers: Cloud, folder: Path, count: int) -> dict[str, str]:
    """Record the universe, and let the server log its statements; return the settings of the app."""
    universes = folder / "universes.yaml"
    members = ", ".join(symbols(count))
    universes.write_text(f"phases: {{phase_1: {{all: {{market: us, type: static, symbols: [{members}]}}}}}}\n")
    settings = {
        "QUANTX_LAKE_URL": servers.settings["lake_url"],
        "QUANTX_QUEUE_URL": servers.settings["queue_url"],
        "QUANTX_STATE_URL": servers.settings["state_url"],
        "AZURE_STORAGE_CONNECTION_STRING": servers.settings["azure_storage_connection_string"],
        "QUANTX_UNIVERSE_PATH": str(universes),
    }
    command = [sys.executable, "-m", "quantx", "refresh-universe"]
    subprocess.run(command, env=environment(**settings), check=True, stdout=subprocess.DEVNULL)
    with psycopg.connect(servers.settings["state_url"], autocommit=True) as connection:
        connection.execute("alter system set log_statement = 'all'")
        connection.execute("select pg_reload_conf()")
    return settings


@contextmanager
def _app(settings: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the app in the engine, with the libraries of this environment, within the `with` block."""
    paths = [str(folder / "engine"), *(path for path in sys.path if path)]
    with (
        (folder / "app.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LIGHT, host.__file__, str(APP), *paths],
            env={**SCHEDULES, **settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()  # it has loaded
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _measured(
    app: subprocess.Popen[str], servers: Cloud, folder: Path, invocation: Mapping[str, Any]
) -> dict[str, Any]:
    """Invoke a function; return its seconds, the statements meanwhile, and the app's peak memory so far."""
    assert app.stdin is not None
    assert app.stdout is not None
    before, begun = _statements(folder), time.perf_counter()
    app.stdin.write(json.dumps([invocation]) + "\n")
    app.stdin.flush()
    (answer,) = json.loads(app.stdout.readline())
    seconds = time.perf_counter() - begun
    if not answer["ok"] or answer.get("status", 202) != 202:
        raise RuntimeError(f"the app refused: {answer}")
    return {"seconds": seconds, "statements": _statements(folder) - before, "peak_mb": _peak_mb(app)}


def _statements(folder: Path) -> int:
    log = (folder / "cloud/postgres/log").read_text("utf-8", errors="replace")
    return len(_STATEMENT.findall(log))


def _peak_mb(process: subprocess.Popen[str]) -> float:
    status = (Path("/proc") / str(process.pid) / "status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    return int(peak[1]) / 1024
