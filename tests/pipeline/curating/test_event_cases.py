"""The cases of events that went wrong once, with their right values; their findings open and close by themselves."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.prices import adjust_bars
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.raw import raw_path
from quantx.pipeline.curating.derive import Derived, derive, derived_tables
from quantx.pipeline.curating.held_replies import note_held_replies
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.registry import vendor_to_read
from quantx.settings import Settings
from quantx.state.memory import MemoryState

from ..conftest import StoppedClock

CASES = Path(__file__).parents[4] / "shared" / "cases"
SPLIT, GAIN = CASES / "split_listed_before_prices_are_divided", CASES / "capital_gain_dropped"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is absent")


class Lake:
    """Tables in memory, to which replies of Yahoo are curated."""

    def __init__(self) -> None:
        self.tables: dict[str, CuratedTable] = {table.name: MemoryTable(table) for table in derived_tables()}
        self.replies = 0

    def curate(self, body: dict[str, Any], window: Window, at: datetime, period2: int | None = None) -> Derived:
        symbol = body["chart"]["result"][0]["meta"]["symbol"]
        self.replies += 1
        url = f"https://query2.finance.yahoo.com/v8/finance/chart/{symbol}"
        url += f"?period2={period2}" if period2 else ""
        page = Payload(symbol, url, 200, at, content_type="application/json", body=json.dumps(body).encode())
        stored = StoredReply(
            task_id=self.replies,
            run_id="run",
            series=Series("yahoo", "bars", "1d", symbol),
            window=window,
            path=raw_path("yahoo", "bars", "2026-11-30", f"{self.replies:026d}"),
            row=0,
            fetched_at=at,
            size=100,
        )
        return derive(
            self.tables,
            [ReadReply(stored, (page,))],
            [],
            RowPolicy(),
            context=CommitContext(self.replies),
            reader_of=lambda source: vendor_to_read(source, Settings(), StoppedClock()),
        )

    def case(self, file: Path, start: date) -> Derived:
        envelope = json.loads(file.read_text())["response"]
        sent = envelope["headers"].get("date")
        at = parsedate_to_datetime(sent) if sent else datetime(2026, 11, 30, 12, tzinfo=UTC)
        return self.curate(envelope["bodyJson"], Window(start, at.date() - timedelta(days=1)), at)

    def rows(self, name: str) -> pl.DataFrame:
        return self.tables[name].read().sort("symbol", "ex_date" if name == ACTIONS.name else "date")


@needs_cases
def test_the_split_that_is_listed_before_the_prices_are_divided() -> None:
    lake = Lake()
    for folder in ("1_stored", "2_exdate_before_open_not_divided", "3_divided"):
        lake.case(SPLIT / folder / "QZFUT.json", date(2026, 11, 2))
        closes = lake.rows(BARS_1D.name).filter(pl.col("date") < date(2026, 11, 27))["close"]
        assert closes.is_between(1190, 1210).all()
    assert closes.len() == 18
    assert lake.rows(BARS_1D.name)["close"][-1] == 120.2
    assert lake.rows(ACTIONS.name).select("ex_date", "kind", "value").rows() == [(date(2026, 11, 27), "split", 10.0)]
    assert lake.rows(BARS_1D.revisions.name).is_empty()


@needs_cases
def test_the_split_of_next_week_is_not_applied_to_a_fresh_history() -> None:
    lake = Lake()
    lake.case(SPLIT / "fresh" / "QZFUT.json", date(2026, 11, 16))
    assert lake.rows(BARS_1D.name)["close"].is_between(1190, 1210).all()
    assert lake.rows(BARS_1D.name).height == 9
    assert lake.rows(ACTIONS.name).is_empty()


@needs_cases
def test_the_capital_gain_counts_in_total_adjustment() -> None:
    lake = Lake()
    lake.case(GAIN / "QZCAP.json", date(2026, 9, 8))
    actions = lake.rows(ACTIONS.name)
    assert actions.select("kind", "value", "reference_close").rows() == [
        ("capital_gain", 5.0, 100.0),
        ("dividend", 1.0, 100.0),
    ]
    assert adjust_bars(lake.rows(BARS_1D.name), actions, "total")["close"].to_list() == pytest.approx([94.0] * 10)


# ----------------------------------------------------------------------------------------------------- invented replies

DAYS = [date(2026, 11, day) for day in (16, 17, 18, 19, 20, 23, 24, 25)]
AT = datetime(2026, 11, 25, 23, tzinfo=UTC)
WHOLE = Window(DAYS[0], DAYS[-1])


def stamp(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 14, 30, tzinfo=UTC).timestamp())


def fund(paid: dict[str, float], closes: tuple[float, float], **more: Any) -> dict[str, Any]:
    """Return a chart of a fund that pays on the fifth session, with its close before and from then on."""
    values = [closes[0]] * 4 + [closes[1]] * 4
    quote = dict.fromkeys(("open", "high", "low", "close"), values) | {"volume": [1000] * 8}
    events = {name: {"1": {"amount": amount, "date": stamp(DAYS[4])}} for name, amount in paid.items()}
    chart = {
        "meta": {"symbol": "QZF", "currency": "USD", "exchangeTimezoneName": "America/New_York", **more},
        "timestamp": [stamp(day) for day in DAYS],
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": [closes[1]] * 8}]},
        "events": events,
    }
    return {"chart": {"result": [chart], "error": None}}


def test_a_gain_within_the_dividend_is_stored_and_counts_once() -> None:
    lake = Lake()
    derived = lake.curate(fund({"dividends": 6.0, "capitalGains": 5.0}, (100.0, 94.0)), WHOLE, AT)
    actions = lake.rows(ACTIONS.name)
    assert actions.sort("kind").select("kind", "value", "reference_close").rows() == [
        ("capital_gain", 5.0, None),
        ("dividend", 6.0, 100.0),
    ]
    assert adjust_bars(lake.rows(BARS_1D.name), actions, "total")["close"].to_list() == pytest.approx([94.0] * 8)
    assert [(f.rule, f.severity) for f in derived.parts[0][1].events.found] == [("gain_in_dividend", "info")]


@pytest.mark.parametrize(("reaches", "held"), [(True, True), (False, False)])
def test_a_reply_that_ends_before_the_last_trade_is_held_back(reaches: bool, held: bool) -> None:
    late = stamp(date(2026, 12, 4))
    lake = Lake()
    at = datetime(2026, 12, 5, 12, tzinfo=UTC)
    body = fund({}, (100.0, 100.0), regularMarketTime=late)
    derived = lake.curate(body, WHOLE, at, period2=late + 86400 if reaches else stamp(DAYS[-1]))
    rows = derived.parts[0][1]
    assert lake.rows(BARS_1D.name).is_empty() == held
    assert [each.reason for each in rows.held.values()] == (["ends_early"] if held else [])
    assert bool(rows.coverage) != held


# ------------------------------------------------------------------------------------------------------------- findings


def test_a_held_reply_is_a_warning_when_it_persists_and_resolved_by_a_good_one() -> None:
    findings = MemoryState(StoppedClock()).findings
    lake, open_ = Lake(), lambda: [(f["rule"], f["severity"]) for f in findings.listed(9, status="open")]
    body = fund({}, (100.0, 100.0), regularMarketTime=stamp(date(2026, 12, 4)))
    for day, severity in ((5, "info"), (6, "info"), (8, "warn")):  # the 5th and 6th have one last session
        at = datetime(2026, 12, day, 12, tzinfo=UTC)
        rows = lake.curate(body, WHOLE, at, period2=stamp(date(2026, 12, 9))).parts[0][1]
        note_held_replies(findings, "yahoo", rows.coverage, rows.held)
        assert open_() == [("reply_ends_early", severity)]
    rows = lake.curate(fund({}, (100.0, 100.0)), WHOLE, AT).parts[0][1]
    note_held_replies(findings, "yahoo", rows.coverage, rows.held)
    assert open_() == []


def test_a_finding_about_a_senseless_event_is_resolved_when_the_vendor_corrects_it() -> None:
    findings = MemoryState(StoppedClock()).findings
    lake = Lake()
    body = fund({}, (100.0, 100.0))
    events = body["chart"]["result"][0]["events"]
    events["splits"] = {"1": {"date": stamp(DAYS[2]), "numerator": 1, "denominator": 0}}
    lake.curate(body, WHOLE, AT).parts[0][1].events.note(findings, "yahoo")
    assert [(f["rule"], f["status"]) for f in findings.listed(9)] == [("split_ratio_possible", "open")]
    later = Window(DAYS[5], DAYS[-1])
    lake.curate(fund({}, (100.0, 100.0)), later, AT).parts[0][1].events.note(findings, "yahoo")
    assert [f["status"] for f in findings.listed(9)] == ["open"]  # that reply does not reach it
    lake.curate(fund({}, (100.0, 100.0)), WHOLE, AT).parts[0][1].events.note(findings, "yahoo")
    assert [f["status"] for f in findings.listed(9)] == ["resolved"]
