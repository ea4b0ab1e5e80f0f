"""Sessions that series lack: found, asked for with growing pauses, and filled or explained. Requests are counted."""

from __future__ import annotations

import time as seconds
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.gap_schedule import Gap
from quantx.core.model import Series, Window
from quantx.core.tables import TABLES
from quantx.errors import StateError, TransientProviderError
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.pipeline.inspecting.heal import HealResult, heal_gaps
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.wiring import worker_of
from quantx.providers.protocol import Capabilities
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState
from quantx.state.memory_records import SeriesRecord
from quantx.state.tasks.port import NewTask

from ..conftest import Reads, StateWith, StoppedClock, Tape

HOLE = date(2024, 1, 10)  # a Wednesday
FIRST = date(2024, 2, 1)  # the day on which it is looked for first
DAYS = (0, 1, 3, 7, 15)  # after the first ask: with pauses of 1, 2, 4 and 8 days


@dataclass
class RunningClock(StoppedClock):
    """Goes on from the time that a test sets."""

    since: float = field(default_factory=seconds.monotonic)

    def now(self) -> datetime:
        return self.at + timedelta(seconds=seconds.monotonic() - self.since)


class Second(Tape):
    """A vendor that stands in."""

    capabilities: ClassVar = Capabilities(
        source="second",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
    )


@dataclass
class Ward:
    """A platform over the ports in memory, its vendors, and the moves that tests make."""

    platform: Platform
    tape: Tape
    second: Tape
    clock: RunningClock

    def backfill(self, *symbols: str, start: date = date(2024, 1, 2), end: date = date(2024, 1, 31)) -> None:
        self.work(plan_backfill(self.platform, Scope(symbols), Window(start, end), source="tape").task_ids)
        self.tape.asked.clear()

    def work(self, ids: Sequence[int]) -> None:
        worker_of(replace(self.platform, runtime=Threads())).run(task_ids=ids)

    def heals(self, on: date = FIRST, hour: int = 12, **how: Any) -> HealResult:
        """Look for gaps on a day, and do the work."""
        self.clock.at, self.clock.since = datetime.combine(on, time(hour), UTC), seconds.monotonic()
        healed = heal_gaps(self.platform, self.platform.tables, **how)
        if healed.plan is not None:
            self.work(healed.plan.task_ids)
        return healed

    def heals_daily(self, until: int) -> list[int]:
        """Look for gaps each day; return the days after the first on which a vendor was asked."""
        asked = []
        for day in range(until):
            before = len(self.tape.asked) + len(self.second.asked)
            self.heals(FIRST + timedelta(day), hour=12)
            asked += [day] * (len(self.tape.asked) + len(self.second.asked) - before)
        return asked

    def gaps(self) -> list[tuple[str, date, str, str | None]]:
        return [(g.series.symbol, g.session, g.status, g.explanation) for g in self.platform.state.gaps.known()]

    def findings(self, status: str = "open", rule: str = "missing_sessions") -> list[dict[str, Any]]:
        return self.platform.state.findings.listed(10_000, status=status, rule=rule)

    def sessions(self, symbol: str) -> list[date]:
        bars = self.platform.tables["bars_1d"].read()
        return bars.filter(symbol=symbol)["date"].sort().to_list()


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    """On 2024-02-01; AAA and BBB have traded since the year began, and the second vendor does not stand in."""
    return open_ward(tmp_path, ("tape",))


@pytest.fixture
def two_vendors(tmp_path: Path) -> Ward:
    return open_ward(tmp_path, ("tape", "second"))


def open_ward(folder: Path, order: tuple[str, ...]) -> Ward:
    settings = load_settings(
        lake_url=str(folder / "lake"),
        sources={"1d": {"any": order}},
        max_attempts=1,
        max_workers=2,
        universe_path=folder / "universes.yaml",
    )
    clock = RunningClock(datetime(2024, 2, 1, 12, tzinfo=UTC))
    tape, second = Tape(clock), Second(clock)
    for symbol in ("AAA", "BBB"):
        tape.trades(symbol, date(2024, 1, 2), date(2024, 3, 28))
    platform = Platform(
        settings=settings,
        clock=clock,
        location=open_location(settings.lake_url, settings),
        tables={name: MemoryTable(table) for name, table in TABLES.items()},
        state=MemoryState(clock),
        queue=MemoryQueue(clock),
        providers={"tape": tape, "second": second},
        quotas={},
    )
    return Ward(platform, tape, second, clock)


def without(ward: Ward, symbol: str, *days: date) -> dict[date, Any]:
    """Have the vendor lack sessions; return the bars that it lacks."""
    return {day: ward.tape.shows[symbol].pop(day) for day in days}


def test_nothing_is_asked_for_where_nothing_is_missing(ward: Ward) -> None:
    ward.backfill("AAA", "BBB")
    assert ward.heals() == HealResult()
    assert ward.tape.asked == ward.gaps() == ward.findings() == []


def test_a_session_that_the_vendor_has_later_is_asked_for_until_it_comes(ward: Ward) -> None:
    lacked = without(ward, "AAA", HOLE)
    ward.backfill("AAA", "BBB")
    assert ward.heals_daily(3) == [0, 1]
    assert ward.tape.asked == [("AAA", Window(HOLE, HOLE))] * 2
    (finding,) = ward.findings()
    assert (finding["severity"], finding["subject"], finding["source"]) == ("warn", "AAA", "tape")
    assert "tape has no bar of AAA for 2024-01-10; the next request is due on 2024-02-04" in finding["message"]
    ward.tape.shows["AAA"] |= lacked
    ward.heals(FIRST + timedelta(3), hour=14)
    assert len(ward.tape.asked) == 3
    assert HOLE in ward.sessions("AAA")
    (gap,) = ward.heals(FIRST + timedelta(3), hour=15).gaps
    assert gap.status == "filled"
    assert ward.gaps() == ward.findings() == []
    assert [f["reason"] for f in ward.findings("resolved")] == ["1 filled"]
    assert len(ward.tape.asked) == 3


def test_what_the_vendor_never_has_is_explained_and_never_asked_for_again(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    ward.backfill("AAA", "BBB")
    assert ward.heals_daily(20) == list(DAYS)
    ward.heals(date(2027, 1, 4))
    assert len(ward.tape.asked) == 5
    assert ward.gaps() == [("AAA", HOLE, "explained", "vendor_has_nothing")]
    assert ward.findings() == []
    (finding,) = ward.findings("resolved")
    assert finding["reason"] == "vendor_has_nothing: tape has answered 5 times without the session"
    counted = {"source": "tape", "dataset": "bars", "timeframe": "1d", "symbol": "AAA", "open": 0, "explained": 1}
    assert ward.platform.state.gaps.count() == [counted]


def test_a_daily_update_that_brings_the_session_closes_the_gap(ward: Ward) -> None:
    lacked = without(ward, "AAA", date(2024, 1, 30))
    ward.backfill("AAA")
    assert ward.heals().plan is None  # daily updates still read that session
    assert [g[2] for g in ward.gaps()] == ["open"]
    ward.tape.shows["AAA"] |= lacked
    ward.clock.at = datetime(2024, 2, 2, 12, tzinfo=UTC)
    ward.work(plan_daily(ward.platform, Scope(("AAA",)), source="tape", lookback=5).task_ids)
    asked = len(ward.tape.asked)
    ward.heals(date(2024, 2, 8))
    assert ward.gaps() == ward.findings() == []
    assert len(ward.tape.asked) == asked == 1


def test_a_closure_of_the_exchange_is_no_gap(ward: Ward) -> None:
    ward.clock.at = datetime(2025, 2, 3, 12, tzinfo=UTC)
    ward.tape.trades("AAA", date(2025, 1, 2), date(2025, 1, 31))
    assert date(2025, 1, 9) not in ward.tape.shows["AAA"]
    ward.backfill("AAA", start=date(2025, 1, 2), end=date(2025, 1, 31))
    assert ward.heals(date(2025, 2, 3)) == HealResult()


def test_before_the_listing_and_after_the_delisting_is_no_gap(ward: Ward) -> None:
    ward.tape.shows["AAA"] = {d: b for d, b in ward.tape.shows["AAA"].items() if 8 <= d.day <= 19}
    ward.backfill("AAA")
    assert ward.heals() == HealResult()


def test_between_two_securities_with_one_symbol_nothing_is_asked_for(ward: Ward) -> None:
    without(ward, "AAA", *calendar("XNYS").sessions(date(2024, 1, 8), date(2024, 1, 12)))
    ward.platform.state.instruments.put(
        [("old", "AAA", None, date(2024, 1, 8)), ("new", "AAA", date(2024, 1, 16), None)]
    )
    ward.backfill("AAA")
    ward.heals()
    assert ward.tape.asked == [("AAA", Window(date(2024, 1, 8), date(2024, 1, 8)))]
    assert [(g[1].day, g[3]) for g in ward.gaps()] == [(8, None), *((d, "not_listed") for d in (9, 10, 11, 12))]


def test_before_the_first_name_that_is_known_a_session_may_be_missing(ward: Ward) -> None:
    """The vendor shows a security's whole history under its symbol of today."""
    without(ward, "AAA", HOLE)
    ward.platform.state.instruments.put([("one", "AAA", date(2024, 1, 16), None)])
    ward.backfill("AAA")
    ward.heals()
    assert ward.gaps() == [("AAA", HOLE, "open", None)]


def test_sessions_that_nobody_has_asked_for_are_no_gap(ward: Ward) -> None:
    ward.backfill("AAA", end=date(2024, 1, 5))
    ward.backfill("AAA", start=date(2024, 1, 22))
    assert ward.heals() == HealResult()


def test_a_rejected_row_explains_the_gap(ward: Ward) -> None:
    ward.tape.shows["AAA"][HOLE] = (100.0, 90.0, 99.0, 100.0, 1000.0)  # the high is below
    ward.backfill("AAA")
    assert ward.heals().plan is None
    assert ward.gaps() == [("AAA", HOLE, "explained", "rejected")]
    assert (
        ward.platform.state.gaps.known()[0].reason
        == "the row of tape is in quarantine: high_is_highest,low_is_lowest,open_in_range"
    )
    assert ward.findings() == ward.findings("resolved") == []


def test_an_empty_row_is_presumed_a_halt_after_one_more_answer(ward: Ward) -> None:
    ward.tape.shows["AAA"][HOLE] = (None, None, None, None, None)
    ward.backfill("AAA")
    assert ward.heals_daily(20) == [0]
    assert ward.gaps() == [("AAA", HOLE, "explained", "presumed_halted")]


def test_another_vendor_is_asked_after_two_answers_without_the_session(two_vendors: Ward) -> None:
    ward = two_vendors
    without(ward, "AAA", HOLE)
    ward.second.trades("AAA", HOLE, HOLE)
    ward.backfill("AAA")
    assert ward.heals_daily(20) == [0, 1, 3]
    assert ward.tape.asked == [("AAA", Window(HOLE, HOLE))] * 2
    assert ward.second.asked == [("AAA", Window(HOLE, HOLE))]
    assert ward.gaps() == [("AAA", HOLE, "explained", "other_source")]
    assert HOLE in ward.sessions("AAA")
    assert ward.findings("resolved")[0]["reason"] == "other_source: second has the bar, which readers see"


def test_a_vendor_that_stands_in_is_asked_for_its_events_too(two_vendors: Ward) -> None:
    ward = two_vendors
    ward.second.capabilities = replace(Second.capabilities, datasets=("bars", "actions"))  # type: ignore[misc]
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    ward.heals_daily(3)
    healed = ward.heals(FIRST + timedelta(3))
    asked = [(t.series.source, t.series.dataset, t.window) for t in healed.tasks]
    events = Window(HOLE - timedelta(60), date(2024, 2, 2))  # to the newest session
    assert asked == [("second", "bars", Window(HOLE, HOLE)), ("second", "actions", events)]
    (gap,) = ward.heals(FIRST + timedelta(4)).gaps
    assert gap.asked == 3


def test_what_no_vendor_has_is_presumed_a_halt(two_vendors: Ward) -> None:
    ward = two_vendors
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    assert ward.heals_daily(36) == [0, 1, 3, 7, 15, 31]  # the third time the second vendor
    assert len(ward.second.asked) == 1
    assert ward.gaps() == [("AAA", HOLE, "explained", "presumed_halted")]
    assert ward.platform.state.gaps.known()[0].reason == "tape and second have no bar: nothing may have traded"


def test_a_vendor_that_stands_in_and_fails_is_no_witness(two_vendors: Ward) -> None:
    ward = two_vendors
    without(ward, "AAA", HOLE)
    ward.second.answers["AAA"] = [TransientProviderError("503")]
    ward.backfill("AAA")
    assert len(ward.heals_daily(36)) == 6
    assert [g[3] for g in ward.gaps()] == ["vendor_has_nothing"]


def test_a_vendor_that_does_not_answer_is_left_alone_in_the_end(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    ward.tape.answers["AAA"] = [TransientProviderError("503") for _ in range(9)]
    assert ward.heals_daily(20) == list(DAYS)
    assert [g[3] for g in ward.gaps()] == ["vendor_refuses"]


def test_one_request_asks_for_all_gaps_of_a_series(ward: Ward) -> None:
    without(ward, "AAA", date(2024, 1, 9), date(2024, 1, 17), date(2024, 1, 18))
    ward.backfill("AAA")
    ward.heals()
    assert ward.tape.asked == [("AAA", Window(date(2024, 1, 9), date(2024, 1, 18)))]
    (finding,) = ward.findings()
    assert "2024-01-09, 2024-01-17 to 2024-01-18" in finding["message"]
    assert finding["facts"]["sessions"] == 3


def test_a_part_that_comes_is_filled_and_the_rest_stays_open(ward: Ward) -> None:
    lacked = without(ward, "AAA", date(2024, 1, 9), HOLE, date(2024, 1, 11))
    ward.backfill("AAA")
    ward.tape.shows["AAA"][HOLE] = lacked[HOLE]
    ward.heals()
    ward.heals(hour=13)
    assert [g[1].day for g in ward.gaps()] == [9, 11]
    assert len(ward.findings()) == 1


def test_a_calendar_that_was_corrected_explains_the_gap(ward: Ward) -> None:
    ward.backfill("AAA")
    ward.platform.state.gaps.put(
        [Gap(Series("tape", "bars", "1d", "AAA"), date(2024, 1, 15))]
    )  # Martin Luther King's day
    ward.heals()
    assert ward.gaps() == [("AAA", date(2024, 1, 15), "explained", "not_a_session")]
    assert ward.tape.asked == []


def test_nobody_plans_twice_what_is_under_way(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    ward.clock.at, ward.clock.since = datetime(2024, 2, 1, 13, tzinfo=UTC), seconds.monotonic()
    first, second = heal_gaps(ward.platform, ward.platform.tables), heal_gaps(ward.platform, ward.platform.tables)
    assert first.plan is not None
    assert second.plan is None
    assert [g.due_at for g in second.gaps] == [None]
    assert "a task is waiting to fetch it" in ward.findings()[0]["message"]
    ward.work(first.plan.task_ids)
    assert len(ward.tape.asked) == 1


@pytest.mark.parametrize("dies_at", ["plan", "put"])
def test_a_crash_costs_no_request(ward: Ward, dies_at: str) -> None:
    """Killed after the tasks were planned, and before that or the findings were recorded."""
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    gaps = ward.platform.state.gaps

    class Dying:
        known, requests = gaps.known, gaps.requests

        def put(self, some: Sequence[Gap]) -> None:
            if dies_at == "put":
                gaps.put(some)
            raise StateError("killed")

    dying = replace(ward.platform, state=StateWith(ward.platform.state, {"gaps": Dying()}))
    with pytest.raises(StateError, match="killed"):
        heal_gaps(dying, dying.tables)
    assert ward.platform.state.tasks.count() == {"done": 1, "pending": 1}
    assert ward.heals(hour=13).plan is None
    ward.work([])
    worker_of(replace(ward.platform, runtime=Threads())).run()
    assert ward.heals(FIRST + timedelta(0), hour=15).gaps[0].asked == 1
    assert len(ward.tape.asked) == 1
    assert len(ward.findings()) == 1


def test_a_look_without_consequences(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    healed = ward.heals(dry_run=True)
    assert [(t.series.symbol, t.window) for t in healed.tasks] == [("AAA", Window(HOLE, HOLE))]
    assert ward.tape.asked == ward.gaps() == ward.findings() == []


def test_only_the_named_symbols_are_looked_at(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    without(ward, "BBB", HOLE)
    ward.backfill("AAA", "BBB")
    ward.heals()
    ward.heals(FIRST + timedelta(1), symbols=["BBB"], hour=13)
    assert [symbol for symbol, _ in ward.tape.asked] == ["AAA", "BBB", "BBB"]
    assert len(ward.findings()) == 2


MANY = tuple(f"M{n:02}" for n in range(40))


def test_a_session_that_a_whole_market_lacks_is_one_finding_and_few_requests(ward: Ward) -> None:
    for symbol in MANY:
        ward.tape.trades(symbol, date(2024, 1, 2), date(2024, 1, 31))
        without(ward, symbol, HOLE, date(2024, 1, 11))
    ward.backfill(*MANY)
    ward.heals()
    (finding,) = ward.findings(rule="market_sessions_missing")
    assert (finding["subject"], finding["first_day"], finding["last_day"]) == ("XNYS", HOLE, date(2024, 1, 11))
    assert "tape has no bars on 2024-01-10 to 2024-01-11 for 40 of 40 symbols of XNYS" in finding["message"]
    assert ward.findings() == []
    assert [symbol for symbol, _ in ward.tape.asked] == list(MANY[:5])
    ward.heals_daily(20)
    assert len(ward.tape.asked) == 5 * 5
    assert ward.findings(rule="market_sessions_missing") == []


def test_a_whole_market_is_healed_soon_when_the_vendor_has_the_session_again(ward: Ward) -> None:
    lacked = {}
    for symbol in MANY:
        ward.tape.trades(symbol, date(2024, 1, 2), date(2024, 1, 31))
        lacked[symbol] = without(ward, symbol, HOLE)
    ward.backfill(*MANY)
    ward.heals()
    for symbol in MANY:
        ward.tape.shows[symbol] |= lacked[symbol]
    for hour in (1, 2, 3, 4):
        ward.heals(FIRST + timedelta(1), hour=12 + hour)
    assert len(ward.tape.asked) == 5 + 40
    assert ward.gaps() == ward.findings(rule="market_sessions_missing") == []


def test_the_tasks_are_of_a_kind_of_their_own_and_come_after_daily_work(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    ward.backfill("AAA", "BBB")
    ward.clock.at = datetime(2024, 2, 2, 12, tzinfo=UTC)
    healed = heal_gaps(ward.platform, ward.platform.tables)
    daily = plan_daily(ward.platform, Scope(("BBB",)), source="tape", lookback=1)
    assert healed.plan is not None
    held = ward.platform.state.tasks.claim(healed.plan.task_ids, "me", 60, 1).held
    assert [(task.id, task.kind) for task in held] == [(daily.task_ids[0], "daily")]
    assert {row["kind"] for row in ward.platform.state.tasks.listed(None, healed.plan.run_id, 9)} == {"heal"}


def test_another_vendor_is_looked_for_in_the_years_of_the_gaps_alone(ward: Ward) -> None:
    without(ward, "AAA", HOLE)
    ward.backfill("AAA")
    reads = Reads(ward.platform.tables["bars_1d"])
    heal_gaps(ward.platform, {**ward.platform.tables, "bars_1d": reads})  # type: ignore[dict-item]
    (others,) = (plan for plan in reads.plans if '"elsewhere"' in plan)
    assert 'col("year")' in others


class WithMinutes(Tape):
    """A vendor that has minutes, too."""

    capabilities: ClassVar = Capabilities(
        source="tape",
        timeframes=("1d", "1m"),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
    )


def test_a_session_without_minutes_is_a_gap_and_stays_one_when_it_is_old(ward: Ward) -> None:
    hole, days = date(2024, 1, 24), calendar("XNYS").sessions(date(2024, 1, 22), date(2024, 1, 31))
    platform = replace(ward.platform, providers={"tape": WithMinutes(ward.clock)})
    platform.tables["bars_1m"].commit(CommitContext(1), minutes([d for d in days if d != hole]))
    series, covered = Series("tape", "bars", "1m", "AAA"), {d.toordinal() for d in days}
    platform.state.records.series[series] = SeriesRecord(covered=covered)  # type: ignore[attr-defined]
    (task,) = heal_gaps(platform, platform.tables).tasks
    assert task == NewTask(series, Window(hole, hole))
    (finding,) = ward.findings()
    assert (finding["dataset"], "tape has no minutes of AAA for 2024-01-24" in finding["message"]) == ("bars_1m", True)
    ward.clock.at += timedelta(100)  # so old are minutes not looked through any more
    assert [(g.session, g.status) for g in heal_gaps(platform, platform.tables).gaps] == [(hole, "open")]
    platform.tables["bars_1m"].commit(CommitContext(2), minutes([hole]))
    assert [(g.session, g.status) for g in heal_gaps(platform, platform.tables).gaps] == [(hole, "filled")]
    assert ward.findings() == []


def minutes(days: Sequence[date]) -> pl.DataFrame:
    """Return two minutes of AAA on each day."""
    columns = {c: pl.lit(None, t).alias(c) for c, t in TABLES["bars_1m"].schema.items()}
    stamps = [datetime.combine(d, time(15, n), UTC) for d in days for n in (0, 1)]
    frame = pl.DataFrame({"time": stamps}, schema={"time": pl.Datetime("us", "UTC")})
    columns |= {
        "source": pl.lit("tape").alias("source"),
        "symbol": pl.lit("AAA").alias("symbol"),
        "time": pl.col("time"),
        "date": pl.col("time").dt.date().alias("date"),
        "month": (pl.col("time").dt.year() * 100 + pl.col("time").dt.month()).cast(pl.Int32).alias("month"),
    }
    return frame.select(*columns.values())
