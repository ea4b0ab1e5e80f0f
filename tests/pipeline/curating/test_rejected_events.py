"""A senseless event costs one event: the bars are curated, and the event is in quarantine with its reason."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import pytest

from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import ACTIONS, BARS_1D, QUARANTINE
from quantx.errors import ConfigError
from quantx.lake.raw import raw_path
from quantx.pipeline.curating.normalize import Rows, normalize_round
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.pipeline.reprocessing.quarantine import RowSelection, accept, rejected_rows, replay, show
from quantx.pipeline.wiring import reprocessor_of
from quantx.providers.registry import vendor_to_read
from quantx.settings import Settings

from ..conftest import StoppedClock, reprocess

AS_OF = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
DAYS = [date(2026, 11, day) for day in (23, 24, 25, 27)]


def curated(source: str, symbol: str, *pages: tuple[str, object]) -> Rows:
    """Return the rows of a reply with these pages (request, document)."""
    payloads = [
        Payload(symbol, url, 200, AS_OF, content_type="application/json", body=json.dumps(page).encode())
        for url, page in pages
    ]
    stored = StoredReply(
        task_id=1,
        run_id="run",
        series=Series(source, "bars", "1d", symbol),
        window=Window(DAYS[0], DAYS[-1]),
        path=raw_path(source, "bars", "2026-11-30", "01X"),
        row=0,
        rows=len(payloads),
        fetched_at=AS_OF,
        size=100,
    )
    provider = vendor_to_read(source, Settings(), StoppedClock(AS_OF))
    return normalize_round(source, [ReadReply(stored, tuple(payloads))], provider, RowPolicy())


def yahoo(splits: dict[str, Any]) -> Rows:
    """Return the rows of a chart of four sessions with these splits."""
    stamps = [int(datetime(d.year, d.month, d.day, 14, 30, tzinfo=UTC).timestamp()) for d in DAYS]
    prices = {name: [40.0] * 4 for name in ("open", "high", "low", "close")}
    meta = {"symbol": "QZZERO", "currency": "USD", "exchangeTimezoneName": "America/New_York"}
    quotes = {"quote": [{**prices, "volume": [1000] * 4}]}
    chart = {"meta": meta, "timestamp": stamps, "indicators": quotes, "events": {"splits": splits}}
    return curated(
        "yahoo",
        "QZZERO",
        ("https://query2.finance.yahoo.com/v8/finance/chart/QZZERO", {"chart": {"result": [chart], "error": None}}),
    )


def test_a_split_of_one_to_zero_costs_no_bar() -> None:
    rows = yahoo({"1549290600": {"date": 1549290600, "numerator": 1, "denominator": 0, "splitRatio": "1:0"}})
    assert rows.malformed == {}
    assert rows.tables[BARS_1D.name].select("date", "close").rows() == [(day, 40.0) for day in DAYS]
    assert rows.tables[ACTIONS.name].is_empty()
    (event,) = rows.quarantine.to_dicts()
    assert (event["dataset"], event["date"], event["rules"]) == ("actions", date(2019, 2, 4), "split_ratio_possible")
    assert event["row"] == (
        'split {"date":1549290600,"numerator":1,"denominator":0,"splitRatio":"1:0"}:'
        " the ratio of new to old shares is not a positive, finite number"
    )
    assert json.loads(event["sent"])["place"] == "events.splits.1549290600"
    assert [(f.rule, f.subject, f.severity, f.first_day) for f in rows.events.found] == [
        ("split_ratio_possible", "QZZERO", "error", date(2019, 2, 4))
    ]


def test_an_event_of_tomorrow_may_still_be_corrected() -> None:
    rows = yahoo({"1": {"date": int(datetime(2026, 12, 4, 14, 30, tzinfo=UTC).timestamp()), "numerator": 0}})
    assert rows.quarantine.is_empty()
    assert rows.tables[BARS_1D.name].height == 4


@pytest.mark.parametrize(
    ("bad", "rules"),
    [
        ({"date": "0000-00-00", "adjDividend": 0.88, "dividend": 0.88}, "event_date_possible"),
        ({"date": "2026-11-24", "adjDividend": "", "dividend": ""}, "event_readable"),
        ({"date": "2026-11-24", "adjDividend": "n/a", "dividend": "n/a"}, "event_readable"),
    ],
)
def test_a_dividend_without_a_day_or_an_amount_costs_no_other(bad: dict[str, Any], rules: str) -> None:
    host = "https://financialmodelingprep.com/stable"
    good = {"symbol": "QZFM", "date": "2026-11-25", "adjDividend": 0.25, "dividend": 0.25}
    bar = {"symbol": "QZFM", "open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0, "volume": 5}
    rows = curated(
        "fmp",
        "QZFM",
        (f"{host}/splits?symbol=QZFM", []),
        (f"{host}/dividends?symbol=QZFM", [good, {"symbol": "QZFM", **bad}]),
        (f"{host}/historical-price-eod/full?symbol=QZFM", [{**bar, "date": str(day)} for day in DAYS]),
    )
    assert rows.malformed == {}
    assert rows.tables[BARS_1D.name].height == 4
    assert rows.tables[ACTIONS.name].select("ex_date", "value").rows() == [(date(2026, 11, 25), 0.25)]
    assert rows.quarantine["rules"].to_list() == [rules]
    assert not any(word in rows.quarantine["row"][0] for word in ("Error", "polars", "Traceback"))


def test_an_unreadable_page_is_in_quarantine_itself_not_the_last_page_of_its_reply() -> None:
    host = "https://financialmodelingprep.com/stable"
    bar = {"symbol": "QZFM", "date": "2026-11-25", "open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0, "volume": 5}
    dividends = [{"symbol": "QZFM", "date": "2026-11-25", "amount": 0.25}]
    rows = curated(
        "fmp",
        "QZFM",
        (f"{host}/splits?symbol=QZFM", []),
        (f"{host}/dividends?symbol=QZFM", dividends),
        (f"{host}/historical-price-eod/full?symbol=QZFM", [bar]),
    )
    assert list(rows.malformed.values()) == ["FMP's reply of QZFM can't be read: it has no field 'adjDividend'"]
    assert rows.quarantine["payload_sha256"].to_list() == [sha256(json.dumps(dividends).encode()).hexdigest()]


# -------------------------------------------------------------------------------------------- quarantine and reprocess


@pytest.fixture
def senseless(desk: Any) -> Any:
    desk.tape.pays["AAA"] = [("0000-00-00", "dividend", 0.5, None), (date(2024, 1, 9), "split", 0.0, None)]
    desk.work(desk.backfill("AAA"))
    return desk


def test_quarantine_shows_the_event_with_its_place(senseless: Any) -> None:
    rows = rejected_rows(senseless.platform.tables, RowSelection(symbol="AAA"))
    assert sorted(rows["rules"]) == ["event_date_possible", "split_ratio_possible"]
    split = next(row for row in rows.to_dicts() if row["rules"] == "split_ratio_possible")
    facts = show(senseless.platform.tables, senseless.platform.location, split["id"])
    assert (facts["place"], facts["date"]) == ("/actions/1", date(2024, 1, 9))
    assert "2024-01-09" in facts["payload"]["excerpt"]
    assert senseless.rows().filter(symbol="AAA").height == 9


def test_an_event_is_no_bar_that_can_be_accepted(senseless: Any) -> None:
    for row in rejected_rows(senseless.platform.tables)["id"]:
        with pytest.raises(ConfigError, match="no bar to accept"):
            accept(reprocessor_of(senseless.platform), row, "it is right", "ops")


def test_reprocessing_changes_nothing_and_replays_stay_open(senseless: Any) -> None:
    before = senseless.rows(QUARANTINE.name)
    assert reprocess(senseless.platform).commits == 0
    assert (
        replay(reprocessor_of(senseless.platform), RowSelection(symbol="AAA")).rows["state"].to_list() == ["open"] * 2
    )
    assert senseless.rows(QUARANTINE.name).equals(before)


def test_a_second_reply_adds_no_second_row(senseless: Any) -> None:
    senseless.tape.pays["AAA"].insert(0, (date(2024, 1, 10), "dividend", 0.25, None))
    senseless.work(senseless.daily("AAA"))
    assert rejected_rows(senseless.platform.tables).height == 2
