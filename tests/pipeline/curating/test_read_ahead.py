"""Rounds that are read ahead: taken in their turn or thrown away; and work that does not grow with the replies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from quantx.core.calendars import calendar
from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import BARS_1D, BARS_1M
from quantx.errors import LakeError
from quantx.lake.raw import raw_path
from quantx.pipeline.curating.normalize import Rows, normalize_round
from quantx.pipeline.curating.read_ahead import ReadAhead, ReadRound
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.pipeline.fetching.landing import Progress
from quantx.pipeline.wiring import curator_of, worker_of
from quantx.providers.registry import vendor_to_read
from quantx.settings import Settings
from quantx.state.tasks.port import Plan

from ..conftest import StoppedClock

AS_OF = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
DAYS = calendar("XNYS").sessions(date(2026, 10, 1), date(2026, 11, 27))


def landed(number: int, *, timeframe: str = "1d", body: bytes | None = None) -> ReadReply:
    """Return a chart of two months; every third has a split, every second a dividend."""
    symbol = f"QZ{chr(65 + number)}"
    stamps = [int(datetime(d.year, d.month, d.day, 15, tzinfo=UTC).timestamp()) for d in DAYS]
    prices = {name: [40.0 + n % 7 for n in range(len(DAYS))] for name in ("open", "high", "low", "close")}
    events: dict[str, Any] = {}
    if number % 2 == 0:
        events["dividends"] = {"1": {"date": stamps[9], "amount": 0.5}}
    if number % 3 == 0:
        events["splits"] = {"1": {"date": stamps[19], "numerator": 1, "denominator": 0, "splitRatio": "1:0"}}
    meta = {"symbol": symbol, "currency": "USD", "exchangeTimezoneName": "America/New_York"}
    quote = {**prices, "volume": [1000] * len(DAYS)}
    chart = {"meta": meta, "timestamp": stamps, "indicators": {"quote": [quote]}, "events": events}
    document = json.dumps({"chart": {"result": [chart], "error": None}}).encode()
    url = f"https://query2.finance.yahoo.com/v8/finance/chart/{symbol}"
    payload = Payload(symbol, url, 200, AS_OF, content_type="application/json", body=body or document)
    stored = StoredReply(
        task_id=number,
        run_id="run",
        series=Series("yahoo", "bars", timeframe, symbol),
        window=Window(DAYS[0], DAYS[-1]),
        path=raw_path("yahoo", "bars", "2026-11-30", "01X"),
        row=number,
        fetched_at=AS_OF,
        size=100,
    )
    return ReadReply(stored, (payload,))


def normalized(*items: ReadReply) -> Rows:
    return normalize_round("yahoo", items, vendor_to_read("yahoo", Settings(), StoppedClock(AS_OF)), RowPolicy())


def queries(work: Callable[[], object]) -> int:
    """Return the number of Polars queries that a call runs."""
    found = [0]

    def count(frame: object, event: str, called: Any) -> None:
        found[0] += event == "c_call" and called.__name__ == "collect"

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found[0]


def test_the_queries_of_a_round_do_not_grow_with_its_replies() -> None:
    few, many = (list(map(landed, range(count))) for count in (6, 24))
    normalized(*few)  # what is loaded once
    assert queries(lambda: normalized(*few)) == queries(lambda: normalized(*many)) < 150


def test_a_broken_reply_costs_only_itself() -> None:
    rows = normalized(landed(0), landed(1, body=b'{"chart": {"result": [{"meta'), landed(2))
    assert list(rows.malformed) == [1]
    assert rows.tables[BARS_1D.name]["symbol"].unique().sort().to_list() == ["QZA", "QZC"]
    assert rows.tables[BARS_1D.name].height == 2 * len(DAYS)


def test_a_round_of_minutes_without_a_good_reply_has_no_rows() -> None:
    rows = normalized(landed(0, timeframe="1m", body=b"<html>"))
    assert rows.tables[BARS_1M.name].is_empty()
    assert list(rows.malformed) == [0]


# ------------------------------------------------------------------------------------------------------- read ahead


class Reading:
    """Reads rounds of numbers; notes which, and fails where it must."""

    def __init__(self, *failures: int) -> None:
        self.read: list[Sequence[StoredReply]] = []
        self._failures = list(failures)

    def __call__(self, replies: Sequence[StoredReply]) -> ReadRound:
        self.read.append(replies)
        if len(self.read) in self._failures:
            raise LakeError("the store is away")
        return ReadRound(read=[], lost=[(reply, "") for reply in replies])


ONE, OTHER = ([landed(number).stored] for number in (1, 2))


def test_a_round_that_was_read_ahead_is_read_once() -> None:
    reading = Reading()
    with ReadAhead(reading) as ahead:
        ahead.begin(ONE)
        assert ahead.take(list(ONE)).lost == [(ONE[0], "")]
    assert reading.read == [ONE]


def test_another_round_is_read_in_its_turn() -> None:
    reading = Reading()
    with ReadAhead(reading) as ahead:
        ahead.begin(ONE)
        assert ahead.take(OTHER).lost == [(OTHER[0], "")]
        assert ahead.take(ONE).lost == [(ONE[0], "")]  # what was read ahead is thrown away
        ahead.begin([])
    assert reading.read == [ONE, OTHER, ONE]


def test_an_error_of_reading_ahead_is_raised_in_the_turn_of_its_round() -> None:
    with ReadAhead(Reading(1)) as ahead:
        ahead.begin(ONE)
        with pytest.raises(LakeError):
            ahead.take(ONE)
        ahead.begin(ONE)
        assert ahead.take(ONE).lost == [(ONE[0], "")]
    with ReadAhead(Reading(1)) as ahead:
        ahead.begin(ONE)
        assert ahead.take(OTHER).lost == [(OTHER[0], "")]


def land(desk: Any, plan: Plan) -> None:
    """Fetch the tasks of a plan, and leave the curating to others."""
    platform = desk.with_()

    def stop(progress: Progress) -> None:
        if progress.landed == len(plan.task_ids):
            platform.runtime.stop()

    idle = replace(curator_of(platform), role=nullcontext)
    worker_of(platform, curator=idle, on_progress=stop).run(task_ids=plan.task_ids, time_budget=20)


@pytest.mark.parametrize("most", [1, 10**9], ids=["in its turn", "ahead"])
def test_rounds_that_are_read_ahead_stay_in_their_order(most: int, desk: Any) -> None:
    """Rounds of one reply each: histories, one that can't be read, and a correction of a row of the first round."""
    desk.tape.answers["BBB"].append(b"no JSON")
    land(desk, desk.backfill("AAA", "BBB", "CCC"))
    desk.clock.goes_to(date(2024, 1, 16))
    desk.tape.shows["AAA"][date(2024, 1, 9)] = (50.0, 51.0, 49.0, 50.5, 2000.0)
    land(desk, desk.daily("AAA"))
    curator = replace(curator_of(desk.platform), round_replies=1, round_bytes=most)  # both rounds: twice that
    assert curator.curate(everything=True) > 0
    bars = desk.rows()
    assert sorted(set(bars["symbol"])) == ["AAA", "CCC"]
    corrected = bars.filter(symbol="AAA", date=date(2024, 1, 9))
    assert (corrected["close"].item(), corrected["known_from"].item()) == (50.5, desk.clock.at)
    assert desk.rows("bars_1d_revisions")["close"].to_list() == [109.5]
    assert desk.task("BBB")["error_class"] == "MalformedPayload"
    assert desk.sql("select count(*) as rounds from rounds where finished_at is not null")[0]["rounds"] == 4
