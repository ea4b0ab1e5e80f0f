"""`quantx quarantine` and `quantx reprocess`, as people call them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Ran

from quantx.cli import main
from quantx.core.calendars import calendar
from quantx.sandbox import Market, Sandbox, running
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import history
from quantx.state.postgres import open_state

from ..databases import Databases

Run = Callable[..., Ran]
ODD_DAY = date(2016, 12, 14)


@pytest.fixture(scope="module")
def odd_lake(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of an installation whose vendor has one bar with its high below its close, and one empty row."""
    sessions = calendar("XNYS").sessions(date(2016, 12, 1), date(2016, 12, 30))
    close = np.linspace(50, 60, len(sessions))
    high = close + 1
    high[sessions.index(ODD_DAY)] -= 1.25
    close[3] = np.nan
    columns = {"open": close - 0.5, "high": high, "low": close - 1, "close": close, "volume": np.full(len(close), 1e6)}
    days = np.array([day_number(day) for day in sessions], dtype=np.int64)
    folder = tmp_path_factory.mktemp("odd")
    market = Market("files", {"AAA": history("AAA", days, columns)})
    with databases.migrated() as state, running(Sandbox(market, now="2017-01-03")) as vendor:
        settings = {
            "QUANTX_LAKE_URL": str(folder / "lake"),
            "QUANTX_STATE_URL": state,
            "QUANTX_YFINANCE_BASE_URL": vendor,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
            "QUANTX_INSPECT": "true",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            assert main(["backfill", "--start", "2016-12-01", "--end", "2016-12-30", "--symbols", "AAA"]) == 0
        yield settings


@pytest.fixture
def odd(odd_lake: dict[str, str], quantx: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in odd_lake.items():
        monkeypatch.setenv(name, value)
    return quantx


def test_a_row_is_found_shown_accepted_and_read(odd: Run, odd_lake: dict[str, str]) -> None:
    listed = json.loads(odd("quarantine", "list", "--rule", "high_is_highest", "--state", "open", "--json").out)
    assert [(row["symbol"], row["date"]) for row in listed] == [("AAA", "2016-12-14")]
    row = listed[0]["id"]
    table = odd("quarantine", "list")
    assert (table.code, row[:10] in table.out and row[:11] not in table.out, "2 rejected rows" in table.out) == (
        0,
        True,
        True,
    )

    shown = odd("quarantine", "show", row)
    assert "a bar that contradicts itself has at least one wrong price" in shown.out
    assert "/v8/finance/chart/AAA" in shown.out
    assert json.loads(odd("quarantine", "show", row[:6], "--json").out)["payload"]["status"] == 200

    replayed = odd("quarantine", "replay", row)
    assert (replayed.code, "1 row validated: 0 pass, 1 still rejected" in replayed.out) == (0, True)
    query = ("query", "--symbols", "AAA", "--start", "2016-12-14", "--end", "2016-12-14", "--format", "csv")
    assert len(odd(*query).out.splitlines()) == 1  # the names of the columns

    page = Path(odd_lake["QUANTX_LAKE_URL"]) / "reports" / "coverage" / "coverage.html"
    page.unlink()
    accepted = odd("quarantine", "accept", row, "--reason", "the tape says so", "--by", "ops")
    assert (accepted.code, "is accepted by ops" in accepted.out) == (0, True)
    assert len(odd(*query).out.splitlines()) == 2
    assert page.exists()  # what has changed was inspected
    (row_now,) = json.loads(odd("quarantine", "list", "--state", "accepted", "--json").out)
    assert (row_now["by"], row_now["reason"]) == ("ops", "the tape says so")

    page.unlink()
    done = json.loads(odd("reprocess", "--json").out)
    assert (done["symbols"], done["commits"], done["left"]) == (1, 0, [])
    assert not page.exists()  # nothing has changed
    assert "nothing changes" in odd("reprocess", "--dry-run", "--symbols", "AAA").out
    assert json.loads(odd("quarantine", "replay", "--all", "--json").out)["rows"]["accepted"] == 1
    with closing(open_state(odd_lake["QUANTX_STATE_URL"])) as state:
        decided = [(each["action"], each["subject"], each["outcome"]) for each in state.audit.listed(3)]
    assert decided[0] == ("quarantine.replay", "all open rows", "done")
    assert decided[1:] == [("quarantine.accept", f"row {row}", "done"), ("quarantine.replay", f"row {row}", "done")]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("quarantine", "show", "zzz"), "there is no row 'zzz'"),
        (("quarantine", "replay"), "no rows were selected"),
        (("quarantine", "list", "--symbol", "???"), "is not a symbol"),
        (("quarantine", "accept", "zzz", "--reason", "x"), "there is no row 'zzz'"),
    ],
)
def test_what_can_not_be_is_refused(arguments: tuple[str, ...], why: str, odd: Run) -> None:
    ran = odd(*arguments)
    assert (ran.code, why in ran.err) == (2, True)


def test_an_empty_row_can_not_be_accepted(odd: Run) -> None:
    (row,) = json.loads(odd("quarantine", "list", "--rule", "prices_present", "--json").out)
    ran = odd("quarantine", "accept", row["id"], "--reason", "x", "--by", "ops")
    assert (ran.code, "it can't be a bar" in ran.err) == (2, True)


def test_symbols_without_replies_are_reported(odd: Run) -> None:
    ran = odd("reprocess", "--symbols", "ZZZ")
    assert (ran.code, "ZZZ of any source is unchanged: the raw zone has no reply about it" in ran.err) == (1, True)


def test_who_curates_is_not_disturbed(odd: Run, odd_lake: dict[str, str]) -> None:
    state = open_state(odd_lake["QUANTX_STATE_URL"])
    try:
        with state.exclusive("curator") as mine:
            assert mine is not None
            ran = odd("reprocess")
    finally:
        state.close()
    assert (ran.code, "another process is curating" in ran.err) == (1, True)
