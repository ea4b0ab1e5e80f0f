"""Several symbols in one request, on several pages; and vendors that stand in for each other."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from quantx.core.model import Payload, Quota, Window
from quantx.errors import IncompleteData, NotEntitled, ProviderError, RateLimited, TransientProviderError, UnknownSymbol
from quantx.pipeline.planning.plan import plan_backfill, plan_daily, plan_retry
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reporting.manifest import manifest_of
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.wiring import curator_of, worker_of
from quantx.providers.alpaca import Alpaca
from quantx.providers.http import HttpReply
from quantx.providers.protocol import Capabilities, Page, Request, VendorFrames
from quantx.reader.lake import Lake
from quantx.state.tasks.port import Plan

from ..conftest import Desk, StateWith, Tape

SYMBOLS = tuple("ABCDEFGH")
WEEK = Window(date(2024, 1, 2), date(2024, 1, 12))
SESSIONS = 9


@dataclass
class Wide(Tape):
    """A vendor that answers many symbols at once, a page of so many rows at a time, in the order of the symbols."""

    rows: int = 20
    refuses: dict[int, ProviderError] = field(default_factory=dict)  # by the number of the request for bars
    strange: set[str] = field(default_factory=set)  # symbols that it does not know
    without_events: bool = False
    refuses_all: ProviderError | None = None
    requests: list[tuple[str, ...]] = field(default_factory=list)
    capabilities: ClassVar = Capabilities(
        source="wide",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=100,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
        datasets=("bars", "actions"),
    )

    def fetch(self, request: Request) -> Iterator[Page]:
        if request.dataset == "actions":
            yield from self._events(request)
            return
        rows = [
            (symbol, str(d), *bar)
            for symbol in sorted(request.symbols)
            for d, bar in sorted(self.shows.get(symbol, {}).items())
            if request.window.start <= d <= self.clock.now().date()
        ]
        pages = [rows[i : i + self.rows] for i in range(0, len(rows), self.rows)] or [[]]
        complete: set[str] = set()
        for number, page in enumerate(pages):
            self._ask(request)
            symbols = {row[0] for row in page}
            later = {row[0] for rest in pages[number + 1 :] for row in rest}
            last = number == len(pages) - 1
            now_complete = (set(request.symbols) if last else {s for s in symbols if s not in later}) - complete
            complete |= now_complete
            yield Page(self._payload(request, {"bars": page}), frozenset(symbols), frozenset(now_complete))

    def _events(self, request: Request) -> Iterator[Page]:
        self._ask(request)
        if self.without_events:
            raise TransientProviderError("no events today")
        events = [[s, str(d), *e] for s in request.symbols for d, *e in self.pays.get(s, [])]
        yield Page.whole(self._payload(request, {"actions": events}), request.symbols)

    def _ask(self, request: Request) -> None:
        self.requests.append(request.symbols if request.dataset == "bars" else ("events", *request.symbols))
        error = self.refuses.pop(len(bars_requests(self)), None) if request.dataset == "bars" else None
        error = error or self.refuses_all
        if error is not None:
            raise error
        if unknown := self.strange & set(request.symbols):
            raise UnknownSymbol(f"{min(unknown)} is no symbol", [min(unknown)])

    def _payload(self, request: Request, document: dict[str, Any]) -> Payload:
        body = json.dumps(document).encode()
        return Payload(
            ",".join(request.symbols), "wide:bars", 200, self.clock.now(), content_type="application/json", body=body
        )

    def normalize(self, payload: Payload) -> VendorFrames:
        document = json.loads(payload.body)
        parts = []
        for symbol in payload.symbol.split(","):
            bars = [row[1:] for row in document.get("bars", []) if row[0] == symbol]
            events = [row[1:] for row in document.get("actions", []) if row[0] == symbol]
            body = json.dumps({"bars": bars, "actions": events}).encode()
            parts.append(super().normalize(replace(payload, symbol=symbol, body=body)))
        return VendorFrames(pl.concat([p.bars for p in parts]), pl.concat([p.actions for p in parts]), "USD")


@pytest.fixture
def wide(desk: Desk) -> Wide:
    vendor = Wide(desk.clock)
    for symbol in SYMBOLS:
        vendor.trades(symbol, date(2024, 1, 2), date(2024, 3, 28))
    return vendor


def platform_of(desk: Desk, *vendors: Tape, orders: Sequence[str] = ("wide",), **settings: Any) -> Platform:
    changed = {"sources": {"1d": {"us": tuple(orders)}}, **settings}
    return replace(
        desk.platform,
        providers={v.capabilities.source: v for v in vendors},
        settings=desk.platform.settings.model_copy(update=changed),
        runtime=Threads(),
    )


def backfill(platform: Platform, *symbols: str, window: Window = WEEK) -> Plan:
    return plan_backfill(platform, Scope(symbols or SYMBOLS), window)


def bars_requests(vendor: Wide) -> list[tuple[str, ...]]:
    return [asked for asked in vendor.requests if asked[0] != "events"]


def test_many_symbols_are_one_request_and_one_raw_object(desk: Desk, wide: Wide) -> None:
    wide.rows = 1000
    platform = platform_of(desk, wide)
    plan = backfill(platform)
    assert len(plan.task_ids) == 2 * len(SYMBOLS)  # bars, and events apart
    worker_of(platform).run(task_ids=plan.task_ids)
    assert sorted(wide.requests) == sorted([SYMBOLS, ("events", *SYMBOLS)])
    rows = desk.rows()
    assert (rows.height, rows["symbol"].n_unique()) == (len(SYMBOLS) * SESSIONS, len(SYMBOLS))
    assert rows["raw"].n_unique() == 1
    assert platform.state.runs.totals(plan.run_id).requests == 2
    assert backfill(platform).task_ids == ()  # all is answered


def test_a_batch_is_smaller_than_a_request(desk: Desk, wide: Wide) -> None:
    """A message names one task; those that the same request can serve come along without theirs."""
    wide.rows = 1000
    platform = platform_of(desk, wide, chunk_size=2)
    worker_of(platform).run(task_ids=backfill(platform).task_ids)
    time.sleep(platform.settings.lease_seconds / 3)  # messages that were seen while their tasks were at work come back
    worker_of(platform).run()
    assert sorted(map(len, bars_requests(wide))) == [len(SYMBOLS)]
    assert platform.queue.depth().total == 0  # the messages of those that came along are gone, too


def test_a_symbol_may_lie_on_several_pages(desk: Desk, wide: Wide) -> None:
    wide.rows = 4
    platform = platform_of(desk, wide)
    plan = backfill(platform)
    worker_of(platform).run(task_ids=plan.task_ids)
    shown = wide.shows["C"]
    for day, close in desk.rows().filter(pl.col("symbol") == "C").select("date", "close").iter_rows():
        assert close == shown[day][3]
    assert desk.rows().height == len(SYMBOLS) * SESSIONS
    assert platform.state.runs.totals(plan.run_id).requests == len(wide.requests)


def test_a_page_that_fails_does_not_cost_the_earlier_ones(desk: Desk, wide: Wide) -> None:
    wide.rows = 2 * SESSIONS
    wide.refuses[2] = TransientProviderError("the vendor answers 502")
    platform = platform_of(desk, wide)
    plan = plan_backfill(platform, Scope(SYMBOLS), WEEK)
    worker_of(platform).run(task_ids=plan.task_ids)
    asked = bars_requests(wide)
    again = next(symbols for symbols in asked if symbols != SYMBOLS)
    assert not {"A", "B"} & set(again)  # they were on the first page
    assert desk.rows().height == len(SYMBOLS) * SESSIONS
    assert platform.state.tasks.count(plan.task_ids) == {"done": 2 * len(SYMBOLS)}


def test_what_one_symbol_is_refused_for_the_others_get(desk: Desk, wide: Wide) -> None:
    wide.strange = {"D"}
    platform = platform_of(desk, wide)
    plan = backfill(platform)
    worker_of(platform).run(task_ids=plan.task_ids)
    failed = [(f["symbol"], f["error_class"]) for f in platform.state.runs.failures(plan.run_id)]
    assert failed == [("D", "UnknownSymbol")] * 2  # its bars and its events
    assert desk.rows()["symbol"].unique().sort().to_list() == [s for s in SYMBOLS if s != "D"]


def test_large_answers_are_stored_in_parts(desk: Desk, wide: Wide) -> None:
    wide.rows = SESSIONS
    platform = platform_of(desk, wide, batch_bytes=1)
    worker_of(platform).run(task_ids=backfill(platform).task_ids)
    assert desk.rows()["raw"].n_unique() == len(SYMBOLS)
    assert desk.rows().height == len(SYMBOLS) * SESSIONS


@pytest.mark.parametrize("error", [UnknownSymbol("never heard of it"), NotEntitled("not in your plan")])
def test_another_vendor_stands_in_for_what_the_first_can_not_serve(
    desk: Desk, wide: Wide, error: ProviderError
) -> None:
    desk.tape.answers["AAA"] = [error]
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"))
    plan = backfill(platform, "AAA", "BBB")
    worker_of(platform).run(task_ids=plan.task_ids)
    sources = desk.rows().group_by("symbol").agg(pl.col("source").unique()).sort("symbol").rows()
    assert sources == [("AAA", ["wide"]), ("BBB", ["tape"])]
    totals = platform.state.runs.totals(plan.run_id)
    assert (totals.tasks, totals.success, totals.failed, totals.passed_on) == (3, 3, 0, 1)  # wide's events are apart
    assert platform.state.runs.failures(plan.run_id) == []
    assert platform.state.tasks.dead() == 0


def test_who_stands_in_is_asked_for_its_events_too(desk: Desk, wide: Wide) -> None:
    """The first vendor's come with its bars: without the other's, its prices would be adjusted for nothing."""
    desk.tape.answers["AAA"] = [UnknownSymbol("never heard of it")]
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    wide.pays["AAA"] = [(date(2024, 1, 9), "split", 2.0, None)]
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"))
    plan = backfill(platform, "AAA")
    worker_of(platform).run(task_ids=plan.task_ids)
    assert platform.state.tasks.count(plan.task_ids) == {"done": 2}  # who waits for the plan has waited for them
    lake = Lake(platform.location, platform.settings.sources_of)
    first = lake.bars("AAA", end="2024-01-02", adjust="split")
    assert first["close"].to_list() == [wide.shows["AAA"][date(2024, 1, 2)][3] / 2]  # type: ignore[operator]
    (asked,) = desk.sql("select window_start, window_end from tasks where dataset = 'actions'")
    assert (asked["window_start"] < WEEK.start, asked["window_end"]) == (True, WEEK.end)


def test_events_that_the_one_who_stands_in_does_not_give_are_a_failure(desk: Desk, wide: Wide) -> None:
    desk.tape.answers["AAA"] = [UnknownSymbol("never heard of it")]
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    wide.without_events = True
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"))
    plan = backfill(platform, "AAA")
    worker_of(platform).run(task_ids=plan.task_ids)
    assert platform.state.tasks.count(plan.task_ids) == {"done": 1, "failed": 1}
    assert [f["subject"] for f in platform.state.findings.listed(10, rule="events_missing")] == ["AAA"]


@pytest.mark.parametrize("error", [NotEntitled("not in your plan"), RateLimited("blocked", 3000.0)])
def test_events_follow_their_bars_to_the_vendor_that_stands_in(desk: Desk, wide: Wide, error: ProviderError) -> None:
    """The fallback's bars bring its own events: those of the first vendor are neither waited for nor missed."""
    wide.refuses_all = error
    platform = platform_of(desk, wide, desk.tape, orders=("wide", "tape"), fallback_after=60.0)
    plan = backfill(platform, "AAA", "BBB")
    assert len(plan.task_ids) == 4
    worker_of(platform).run(task_ids=plan.task_ids)
    assert platform.state.tasks.count(plan.task_ids) == {"done": 2}
    assert desk.rows().group_by("source").len().rows() == [("tape", 2 * SESSIONS)]
    totals = platform.state.runs.totals(plan.run_id)
    assert (totals.success, totals.failed, totals.passed_on) == (2, 0, 4)
    assert platform.state.findings.listed(10, rule="events_missing") == []
    assert platform.state.tasks.dead() == 0


def test_events_that_were_given_up_before_their_bars_are_not_missing(desk: Desk, wide: Wide) -> None:
    wide.without_events = True
    wide.refuses = dict.fromkeys(range(1, 5), TransientProviderError("the vendor answers 502"))
    platform = platform_of(desk, wide, desk.tape, orders=("wide", "tape"))
    plan = backfill(platform, "AAA")
    desk.sql("update tasks set attempts = 1 where dataset = 'actions'")  # the last try
    worker_of(platform).run(task_ids=plan.task_ids)
    assert platform.state.tasks.count(plan.task_ids) == {"done": 1}
    assert [f["status"] for f in platform.state.findings.listed(10, rule="events_missing")] == ["resolved"]


def test_a_vendor_that_is_closed_for_long_is_not_waited_for(desk: Desk, wide: Wide) -> None:
    desk.tape.answers["AAA"] = [RateLimited("blocked", 1000.0)]
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"), fallback_after=60.0)
    worker_of(platform).run(task_ids=backfill(platform, "AAA").task_ids)
    assert desk.rows()["source"].unique().to_list() == ["wide"]
    assert [row["source"] for row in platform.state.quotas.closed()] == ["tape"]


def test_a_days_quota_that_is_used_up_is_not_waited_for(desk: Desk, wide: Wide) -> None:
    wide.trades("BBB", date(2024, 1, 2), date(2024, 3, 28))
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"), fallback_after=60.0)
    platform = replace(platform, quotas={"tape": Quota(1, 86_400.0)})
    plan = backfill(platform, "AAA", "BBB")
    worker_of(platform).run(task_ids=plan.task_ids)
    assert sorted(desk.rows().group_by("symbol").agg(pl.col("source").unique().first())["source"]) == ["tape", "wide"]


def test_who_has_no_turn_before_tomorrow_is_hidden_until_then(desk: Desk) -> None:
    """A message that is seen again after seconds would have workers run, and new ones start, all day for nothing."""
    platform = replace(platform_of(desk, desk.tape, orders=("tape",)), quotas={"tape": Quota(1, 86_400.0)})
    backfill(platform, "AAA", "BBB")
    tomorrow = "select id from tasks where not_before > clock_timestamp() + interval '23 hours'"
    for _ in range(30):  # on a busy machine a worker's time may end before one task is curated and the other hidden
        worker_of(platform).run(time_budget=2)
        if desk.rows().height and desk.sql(tomorrow):
            break
    assert desk.rows()["symbol"].n_unique() == 1
    depth = platform.queue.depth()
    assert (depth.visible, depth.total) == (0, 1)
    (task,) = desk.sql(
        "select attempts, not_before > clock_timestamp() + interval '23 hours' as tomorrow"
        " from tasks where state = 'pending'"
    )
    assert (task["attempts"], task["tomorrow"]) == (0, True)


def test_a_vendor_that_only_ever_says_in_a_moment_is_not_waited_for(desk: Desk, wide: Wide) -> None:
    """Each back-off is short; without an answer for longer than `fallback_after` they count as a long one."""
    desk.tape.answers["AAA"] = [RateLimited("slow down", 1.0)] * 100
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"), fallback_after=2.5)
    worker_of(platform).run(task_ids=backfill(platform, "AAA").task_ids)
    assert desk.rows()["source"].unique().to_list() == ["wide"]
    assert 3 <= len(desk.tape.asked) <= 5


def test_without_another_vendor_a_closed_one_is_waited_for(desk: Desk) -> None:
    desk.tape.answers["AAA"] = [RateLimited("blocked", 1.0)]
    platform = platform_of(desk, desk.tape, orders=("tape",), fallback_after=0.0)
    worker_of(platform).run(task_ids=backfill(platform, "AAA").task_ids)
    assert desk.rows()["source"].unique().to_list() == ["tape"]


def test_the_first_vendor_takes_over_again_and_says_so(desk: Desk, wide: Wide) -> None:
    """Readers see its values then; what they were shown before stays readable, and a finding names the days."""
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"), fallback_after=0.0)
    worker_of(platform).run(
        task_ids=backfill(platform, "AAA", window=Window(date(2024, 1, 2), date(2024, 1, 9))).task_ids
    )
    desk.tape.answers["AAA"] = [TransientProviderError("down")] * 2
    wide.shows["AAA"][date(2024, 1, 11)] = (1.0, 1.0, 1.0, 1.0, 7.0)
    plan = plan_daily(platform, Scope(("AAA",)), lookback=1)
    worker_of(platform).run(task_ids=plan.task_ids)
    lake = Lake(platform.location, platform.settings.sources_of)
    stood_in = lake.bars("AAA", start="2024-01-09")
    assert stood_in["source"].to_list() == ["tape", "wide", "wide", "wide"]
    desk.clock.goes_to(date(2024, 1, 16))
    plan = plan_daily(platform, Scope(("AAA",)), lookback=1)
    worker_of(platform).run(task_ids=plan.task_ids)
    assert set(lake.bars("AAA", start="2024-01-09")["source"]) == {"tape"}
    assert lake.bars("AAA", start="2024-01-11", end="2024-01-11", source="wide")["volume"].to_list() == [7]
    before = lake.bars("AAA", start="2024-01-09", end="2024-01-12", as_of="2024-01-13")
    assert before.equals(stood_in)
    (finding,) = platform.state.findings.listed(10, rule="source_taken_over")
    assert (finding["subject"], finding["first_day"], finding["last_day"]) == (
        "AAA",
        date(2024, 1, 10),
        date(2024, 1, 12),
    )


def test_a_symbol_that_a_vendor_refuses_goes_to_the_next_at_once_for_a_week(desk: Desk, wide: Wide) -> None:
    desk.tape.answers["AAA"] = [UnknownSymbol("never heard of it")]
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"))
    worker_of(platform).run(task_ids=backfill(platform, "AAA").task_ids)
    desk.clock.goes_to(date(2024, 1, 16))
    plan = plan_daily(platform, Scope(("AAA",)), lookback=1)
    worker_of(platform).run(task_ids=plan.task_ids)
    assert [symbol for symbol, _ in desk.tape.asked] == ["AAA"]
    assert desk.rows()["date"].max() == date(2024, 1, 16)


def test_events_that_come_apart_find_the_close_before_them(desk: Desk, wide: Wide) -> None:
    """Whichever comes first: the dividend's reference is filled in when both are there."""
    wide.pays["A"] = [(date(2024, 1, 9), "dividend", 0.5, None), (date(2024, 1, 11), "split", 2.0, None)]
    platform = platform_of(desk, wide)
    wide.refuses[1] = TransientProviderError("bars come later than events")
    worker_of(platform).run(task_ids=backfill(platform, "A").task_ids)
    dividend = desk.rows("actions").filter(pl.col("kind") == "dividend")
    assert dividend["reference_close"].to_list() == [wide.shows["A"][date(2024, 1, 8)][3]]
    adjusted = Lake(platform.location).bars("A", start="2024-01-08", end="2024-01-08", adjust="total")
    close = wide.shows["A"][date(2024, 1, 8)][3]
    assert adjusted["close"].to_list() == pytest.approx([close * (1 - 0.5 / close) / 2])


def test_events_that_can_not_be_had_are_a_finding_until_they_come(desk: Desk, wide: Wide) -> None:
    """The bars are there, and whoever adjusts them must know that an event may be missing."""
    wide.without_events = True
    platform = platform_of(desk, wide)
    worker_of(platform).run(task_ids=backfill(platform, "A").task_ids)
    assert desk.rows().height == SESSIONS
    (finding,) = platform.state.findings.listed(10, rule="events_missing")
    assert (finding["subject"], finding["source"], finding["status"]) == ("A", "wide", "open")
    wide.without_events = False
    worker_of(platform).run(task_ids=plan_retry(platform, None).task_ids)
    (finding,) = platform.state.findings.listed(10, rule="events_missing")
    assert finding["status"] == "resolved"


def test_an_event_that_is_told_late_is_not_lost(desk: Desk, wide: Wide) -> None:
    """Some vendors tell of a dividend when it is paid, weeks after its ex-date."""
    platform = platform_of(desk, wide)
    worker_of(platform).run(task_ids=backfill(platform, "A").task_ids)
    wide.pays["A"] = [(date(2024, 1, 9), "dividend", 0.5, None)]
    desk.clock.goes_to(date(2024, 2, 9))
    worker_of(platform).run(task_ids=plan_daily(platform, Scope(("A",)), lookback=1).task_ids)
    assert desk.rows("actions")["ex_date"].to_list() == [date(2024, 1, 9)]


def test_a_refusal_on_a_later_page_does_not_double_the_earlier_ones(desk: Desk, wide: Wide) -> None:
    wide.rows = 4
    wide.refuses[3] = UnknownSymbol("H is no symbol", ["H"])
    platform = platform_of(desk, wide)
    worker_of(platform).run(task_ids=backfill(platform).task_ids)
    rows = desk.rows()
    assert (rows.height, rows["symbol"].n_unique()) == ((len(SYMBOLS) - 1) * SESSIONS, len(SYMBOLS) - 1)
    assert desk.rows("quarantine").is_empty()


def test_events_count_from_the_vendor_whose_bar_is_shown(desk: Desk, wide: Wide) -> None:
    """Two vendors date one split differently: taken twice, it would halve prices twice."""
    desk.tape.pays["AAA"] = [(date(2024, 1, 9), "split", 2.0, None)]
    wide.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    wide.pays["AAA"] = [(date(2024, 1, 10), "split", 2.0, None)]
    platform = platform_of(desk, desk.tape, wide, orders=("tape", "wide"))
    for source in ("tape", "wide"):
        worker_of(platform).run(task_ids=plan_backfill(platform, Scope(("AAA",)), WEEK, source=source).task_ids)
    assert desk.rows("actions").height == 2
    shown = Lake(platform.location, platform.settings.sources_of).actions("AAA")
    assert shown.select("ex_date", "source").rows() == [(date(2024, 1, 9), "tape")]


@dataclass
class Adjusted(Tape):
    """A vendor of bars that are adjusted for all dividends, and does not say for which."""

    capabilities: ClassVar = Capabilities(
        source="adjusted",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="fully_adjusted",
        needs_key=False,
        quota="10/s",
    )


def test_what_can_not_be_turned_back_to_traded_prices_is_kept_apart(desk: Desk) -> None:
    vendor = Adjusted(desk.clock)
    vendor.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    vendor.shows["AAA"][date(2024, 1, 3)] = (1.5, 1.5, 1.5, 1.5, 1000.25)  # a volume that was multiplied
    vendor.answers["BBB"] = [b"{", b"{"]
    platform = platform_of(desk, vendor, orders=("adjusted",))
    plan = backfill(platform, "AAA", "BBB")
    worker_of(platform).run(task_ids=plan.task_ids)
    apart = desk.rows("bars_1d_adjusted")
    assert (apart.height, apart["volume"].to_list()[:2]) == (SESSIONS, [1000.0, 1000.25])
    assert desk.rows().is_empty()
    with pytest.warns(IncompleteData, match="has no table bars_1d yet"):
        assert Lake(platform.location).bars("AAA").is_empty()
    assert desk.sql("select count(*) as bars from hot_bars") == [{"bars": 0}]
    (rejected,) = desk.rows("quarantine").iter_rows(named=True)
    assert (rejected["symbol"], rejected["dataset"]) == ("BBB", "bars_1d_adjusted")
    assert platform.state.runs.totals(plan.run_id).rows == {"new": SESSIONS, "changed": 0, "same": 0, "rejected": 1}
    desk.clock.goes_to(date(2024, 1, 16))
    vendor.shows["AAA"] = {d: tuple((v or 0.0) * 0.99 for v in bar) for d, bar in vendor.shows["AAA"].items()}
    worker_of(platform).run(task_ids=plan_daily(platform, Scope(("AAA",)), lookback=5).task_ids)
    assert desk.rows("bars_1d_adjusted_revisions").height == 5  # a dividend has moved the basis
    (known,) = manifest_of(platform.tables, platform.state.series, platform.state.gaps, platform.location.url)["series"]
    assert (known["symbol"], known["rows"], known["revised"]) == ("AAA", SESSIONS + 1, 5)


def test_a_lost_reply_is_quarantined_with_the_table_that_it_was_meant_for(desk: Desk, wide: Wide) -> None:
    platform = platform_of(desk, wide)
    plan = backfill(platform, "A")
    fetches = replace(platform, state=NoRole(platform.state, {}))
    worker_of(fetches).run(task_ids=plan.task_ids, time_budget=2)
    for raw in Path(platform.location.url.removeprefix("file://")).rglob("raw/**/*.parquet"):
        raw.unlink()
    curator_of(platform).curate(everything=True)
    assert desk.rows("quarantine")["dataset"].sort().to_list() == ["actions", "bars_1d"]


def test_a_page_is_about_several_symbols_also_where_one_of_them_is_in_the_round(desk: Desk, wide: Wide) -> None:
    """The others are in another round, or another worker has their tasks now: their rows are not this symbol's."""
    wide.rows = 1000
    wide.pays["B"] = [(date(2024, 1, 9), "split", 2.0, None)]
    for i, symbol in enumerate("ABC"):  # each at another price
        wide.shows[symbol] = {d: tuple((v or 0.0) + 1000.0 * i for v in bar) for d, bar in wide.shows[symbol].items()}
    platform = platform_of(desk, wide, round_replies=1)
    worker_of(platform).run(task_ids=backfill(platform, "A", "B", "C").task_ids)
    found = desk.rows().select("symbol", "date", "close").rows()
    assert found == [(s, d, wide.shows[s][d][3]) for s in "ABC" for d in sorted(wide.shows[s]) if d <= WEEK.end]
    assert desk.rows("actions")["symbol"].to_list() == ["B"]
    assert desk.rows("quarantine").is_empty()


class AlpacasMarket:
    """Alpaca's way to its market data, with five sessions of AAPL and a dividend."""

    def prepare(self) -> None:
        """Nothing has to be loaded."""

    def bars(self, *asked: Any, **options: Any) -> HttpReply:
        bar = {"o": 100.0, "h": 101.0, "l": 99.0, "c": 100.0, "v": 1000, "n": 1, "vw": 100.0}
        rows = [{**bar, "t": f"2024-01-{day:02}T05:00:00Z"} for day in (8, 9, 10, 11, 12)]
        return self._reply({"bars": {"AAPL": rows}, "next_page_token": None})

    def actions(self, *asked: Any) -> HttpReply:
        paid = {"id": "1", "symbol": "AAPL", "rate": 1.0, "ex_date": "2024-01-10", "process_date": "2024-01-20"}
        return self._reply({"corporate_actions": {"cash_dividends": [paid]}, "next_page_token": None})

    def _reply(self, document: dict[str, Any]) -> HttpReply:
        return HttpReply(
            url="https://data.alpaca.markets/v2",
            status=200,
            content_type="application/json",
            body=json.dumps(document).encode(),
            vendor_time=None,
        )


class NoRole(StateWith):
    """The state of a worker that never gets the curator's role."""

    @contextlib.contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        yield None


def test_who_misses_a_vendors_key_curates_its_dividends_all_the_same(desk: Desk) -> None:
    fetches = platform_of(desk, Alpaca(AlpacasMarket, desk.clock), orders=("alpaca",))  # type: ignore[arg-type]
    fetches = replace(fetches, state=NoRole(fetches.state, {}))
    plan = backfill(fetches, "AAPL", window=Window(date(2024, 1, 8), date(2024, 1, 12)))
    worker_of(fetches).run(task_ids=plan.task_ids, time_budget=2)
    assert desk.platform.state.tasks.count(plan.task_ids) == {"landed": 2}
    curator_of(platform_of(desk, desk.tape)).curate(everything=True)
    assert desk.rows("actions").select("value", "reference_close").rows() == [(1.0, 100.0)]
