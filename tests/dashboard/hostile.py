"""An installation whose vendors and people write hostile texts into every field that they can reach."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import polars as pl

from quantx.core.model import Finding, Series, Window
from quantx.core.table import Table
from quantx.core.tables import BARS_1D, QUARANTINE, UNIVERSE_MEMBERS
from quantx.lake.protocol import CommitContext
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import Settings
from quantx.state.audit.port import AuditEntry
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun

SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">'\"</textarea>"
HOSTILE = f"{SCRIPT}\u202eright to left\u2066{{{{ 7*7 }}}}" + "x" * 10_000
SHORT = HOSTILE[:150]
NOW = datetime(2024, 2, 1, tzinfo=UTC)
WEEK = Window(date(2024, 1, 2), date(2024, 1, 31))
RUN = "01HN0000000000000000000001"


def fill(settings: Settings) -> None:
    """Write findings, tasks, a run, rejected rows, members and an action with hostile texts."""
    with open_platform(settings) as platform:
        state, tables = platform.state, platform.tables
        state.findings.note(
            [
                Finding("jump", "error", "AAPL", HOSTILE, source="yahoo", dataset="bars_1d", first_day=date(2024, 1, 9),
                        last_day=date(2024, 1, 9), facts={SHORT: HOSTILE}),
                Finding(SHORT, "warn", SHORT, HOSTILE, source=SHORT, dataset=SHORT),
                *(Finding("gap", "info", f"S{n}", "words") for n in range(60)),
            ]
        )  # fmt: skip
        run = NewRun(RUN, "daily", SHORT, {"symbols": [HOSTILE]})
        series = [Series("yahoo", "bars", "1d", symbol) for symbol in ("AAPL", SHORT)]
        plan = state.tasks.plan(run, [NewTask(each, WEEK) for each in series])
        for task in state.tasks.claim(plan.task_ids, "me", 60, 10).held:
            state.tasks.fail(task, "TransientProviderError", HOSTILE, final=True, most=1, delay=0)
        state.quotas.close("yahoo", 3600, HOSTILE)
        state.audit.begin(
            AuditEntry(request_id="01HN0000000000000000000009", actor=SHORT, place="dashboard", action="tasks.retry",
                       subject=HOSTILE[:2000], reason=HOSTILE[:2000])
        )  # fmt: skip
        tables[BARS_1D.name].commit(CommitContext(), _bars())
        tables[QUARANTINE.name].commit(CommitContext(), _rejected())
        member = {
            "universe": "us",
            "phase": "core",
            "symbol": "AAPL",
            "market": "us",
            "name": HOSTILE,
            "known_from": NOW,
        }
        tables[UNIVERSE_MEMBERS.name].commit(CommitContext(), _frame(UNIVERSE_MEMBERS, [member]))


def _bars() -> pl.DataFrame:
    bar = {
        "source": "yahoo",
        "year": 2024,
        "symbol": "AAPL",
        "volume": 7,
        "currency": "USD",
        "raw": "r",
        "known_from": NOW,
    }
    prices = dict.fromkeys(("open", "high", "low", "close"), 1.5)
    days = [date(2024, 1, day) for day in (2, 3, 4, 5, 8, 10, 11, 12)]
    return _frame(BARS_1D, [bar | prices | {"date": day, "close": 1.5 + i / 10} for i, day in enumerate(days)])


def _rejected() -> pl.DataFrame:
    row = {"source": "yahoo", "dataset": "bars_1d", "raw": "gone", "payload_sha256": "0" * 64, "policy": 7}
    bar = json.dumps({"time": None, "open": 1.0, "high": 0.5, "low": 2.0, "close": 1.9, "volume": 3.0})
    return _frame(
        QUARANTINE,
        [
            row
            | {"symbol": "AAPL", "date": date(2024, 1, 9), "rules": "high_is_highest", "row": bar, "known_from": NOW},
            row | {"symbol": SHORT, "date": None, "rules": SHORT, "row": HOSTILE, "sent": HOSTILE, "known_from": NOW},
        ],
    )


def _frame(table: Table, rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(table.schema))
