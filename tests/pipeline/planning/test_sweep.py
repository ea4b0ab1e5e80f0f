"""The dead-man's switch and the sweep, over the ports in memory and a clock that tests set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.schedule import parse_schedule
from quantx.lake.store import open_location
from quantx.pipeline.planning.deadline import RULE, MissedDeadline, check_deadlines
from quantx.pipeline.planning.plan import plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.planning.sweep import SweepResult, sweep
from quantx.pipeline.runtime.context import Context
from quantx.providers.protocol import Capabilities
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState
from quantx.state.values import Universe

DECLARED = {"us": ("AAPL", "BRK.B"), "hk": ("0700.HK",), "jp": ("7203.T",), "eu": ("ASML.AS", "AZN.L", "NOVO-B.CO")}


@dataclass
class SetClock:
    at: datetime

    def now(self) -> datetime:
        return self.at


SOURCES = {"1d": {"any": ("tape",)}}


class Vendor:
    """Declares its capabilities; no request is sent."""

    capabilities = Capabilities(
        source="tape",
        timeframes=("1d",),
        markets=("us", "hk", "jp", "eu"),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="1/s",
    )


@dataclass
class Installation:
    """An installation whose universes were refreshed, and the moves that tests make."""

    context: Context
    clock: SetClock

    def is_at(self, text: str) -> Installation:
        self.clock.at = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return self

    def timer_fires(self) -> str:
        return plan_daily(self.context, Scope(), source="tape", lookback=5).run_id

    def missed(self) -> list[MissedDeadline]:
        return check_deadlines(self.context.state, self.context.settings, self.clock.now())

    def sweeps(self) -> SweepResult:
        return sweep(self.context)

    def findings(self, status: str = "open") -> dict[str, date]:
        listed = self.context.state.findings.listed(99, status=status, rule=RULE)
        return {row["subject"]: row["first_day"] for row in listed}

    def tasks(self) -> list[dict[str, Any]]:
        return self.context.state.tasks.listed(None, None, 10_000)


@pytest.fixture
def installed() -> Callable[..., Installation]:
    def install(*markets: str, now: str = "2024-03-01T12:00:00", **settings: Any) -> Installation:
        clock = SetClock(datetime.fromisoformat(now).replace(tzinfo=UTC))
        state = MemoryState(clock)
        for market in markets:
            members = [(symbol, market, None, None, None) for symbol in DECLARED[market]]
            state.universes.put(
                Universe(
                    market, phase="phase_1", market=market, source_type="static", refreshed_at=clock.at, members=members
                )
            )
        context = Context(
            settings=load_settings(
                lake_url="memory://", universe_path="there-is-none.yaml", sources=SOURCES, **settings
            ),
            clock=clock,
            location=open_location("memory://"),
            state=state,
            queue=MemoryQueue(clock),
            providers={"tape": Vendor()},  # type: ignore[dict-item]
        )
        return Installation(context, clock)

    return install


def test_a_timer_that_fires_as_it_should_raises_nothing(installed: Callable[..., Installation]) -> None:
    """For five weeks over both changes of the clocks, with a sweep each quarter of an hour."""
    here = installed("us", "hk", "jp", "eu", now="2024-03-01T05:00:00")
    here.timer_fires()
    fires = parse_schedule("0 0 6 * * 1-5")
    next_fire, moment = fires.first_after(here.clock.at), here.clock.at
    while moment < datetime(2024, 4, 5, tzinfo=UTC):
        moment += timedelta(minutes=15)
        if moment >= next_fire:
            here.clock.at = next_fire + timedelta(seconds=2)
            here.timer_fires()
            next_fire = fires.first_after(next_fire)
        here.clock.at = moment
        assert here.missed() == []
    assert here.findings() == here.findings("resolved") == {}


@pytest.mark.parametrize(
    ("now", "missed"),
    [
        ("2024-03-05T07:59:00", {}),  # Tuesday: due at 06:00, and then there are two hours
        ("2024-03-05T08:01:00", {"us": "2024-03-04", "hk": "2024-03-04", "jp": "2024-03-04", "eu": "2024-03-04"}),
        ("2024-03-06T12:00:00", {"us": "2024-03-05", "hk": "2024-03-05", "jp": "2024-03-05", "eu": "2024-03-05"}),
    ],
)
def test_a_timer_that_has_stopped_is_noticed_on_its_first_day(
    installed: Callable[..., Installation], now: str, missed: dict[str, str]
) -> None:
    here = installed("us", "hk", "jp", "eu", now="2024-03-04T06:00:01")
    here.timer_fires()
    here.is_at(now)
    assert {each.market: str(each.session) for each in here.missed()} == missed
    assert {market: str(day) for market, day in here.findings().items()} == missed


def test_a_fridays_session_is_due_on_monday(installed: Callable[..., Installation]) -> None:
    here = installed("us", now="2024-03-01T06:00:01")
    here.timer_fires()
    assert here.is_at("2024-03-03T23:00:00").missed() == []
    assert here.is_at("2024-03-04T08:01:00").missed()[0].session == date(2024, 3, 1)


def test_no_session_no_deadline(installed: Callable[..., Installation]) -> None:
    """Good Friday and Easter Monday: Frankfurt and London are closed, New York trades on Monday."""
    here = installed("us", "eu", now="2024-03-29T06:00:01")
    here.timer_fires()
    missed = here.is_at("2024-04-02T08:01:00").missed()
    assert [(each.market, each.session) for each in missed] == [("us", date(2024, 4, 1))]


def test_the_finding_names_the_session_and_the_next_step(installed: Callable[..., Installation]) -> None:
    here = installed("us", now="2024-03-05T12:00:00")
    here.missed()
    (finding,) = here.context.state.findings.listed(9)
    assert finding["severity"] == "error"
    assert (
        "no daily run for the session 2024-03-04 of us by 2024-03-05 08:00 UTC (the last run: none yet)"
        in finding["message"]
    )
    assert finding["facts"]["universes"] == ["us"]


def test_the_sweep_plans_what_the_timer_missed_once(installed: Callable[..., Installation]) -> None:
    here = installed("us", "hk", now="2024-03-04T06:00:01")
    here.timer_fires()
    here.is_at("2024-03-05T08:01:00")
    first, second = here.sweeps(), here.sweeps()
    assert {each.market for each in first.missed} == {"us", "hk"}
    assert first.run_id is not None
    assert (second.missed, second.run_id) == ((), None)
    assert here.findings() == {}
    assert here.findings("resolved") == {"us": date(2024, 3, 4), "hk": date(2024, 3, 4)}
    daily = [task["symbol"] for task in here.tasks() if task["run_id"] == first.run_id]
    assert sorted(daily) == ["0700.HK", "AAPL", "BRK.B"]
    assert here.context.queue.depth().total == len(here.tasks())


def test_two_firings_within_a_second_plan_one_set_of_tasks(installed: Callable[..., Installation]) -> None:
    here = installed("us", "hk", now="2024-03-05T06:00:00")
    first = here.timer_fires()
    here.clock.at += timedelta(seconds=0.4)
    assert here.timer_fires() == first
    assert len(here.tasks()) == here.context.queue.depth().total == 3


def test_one_planned_universe_does_not_cover_its_market(installed: Callable[..., Installation]) -> None:
    here = installed("us", "hk", now="2024-03-05T06:00:00")
    here.context.state.universes.put(
        Universe(
            "us_small",
            phase="phase_2",
            market="us",
            source_type="static",
            refreshed_at=here.clock.at,
            members=[("IBM", "us", None, None, None)],
        )
    )
    plan_daily(here.context, Scope(phase="phase_1"), source="tape", lookback=5)
    (missed,) = here.is_at("2024-03-05T08:01:00").missed()
    assert (missed.market, missed.universes) == ("us", ("us_small",))


def test_a_lost_message_is_sent_again_only_where_the_queue_has_none(installed: Callable[..., Installation]) -> None:
    here = installed("us", now="2024-03-05T06:00:00")
    here.timer_fires()
    here.clock.at += timedelta(hours=1)
    assert here.sweeps().resent == 0  # no worker has come yet, and the messages wait
    here.context.queue.delete(here.context.queue.receive(32, 60))
    assert here.sweeps().resent == 2
    assert here.context.queue.depth().total == 2


def test_a_market_without_universes_has_nothing_to_miss_any_more(installed: Callable[..., Installation]) -> None:
    here = installed("us", "hk", now="2024-03-05T12:00:00")
    here.missed()
    here.context.state.universes.put(
        Universe("hk", phase="phase_1", market="hk", source_type="static", refreshed_at=here.clock.at, members=[])
    )
    here.missed()
    assert set(here.findings()) == {"us"}
    assert set(here.findings("resolved")) == {"hk"}


def test_without_universes_there_is_nothing_to_miss(installed: Callable[..., Installation]) -> None:
    assert installed().sweeps() == SweepResult(0, 0, (), None)


@pytest.mark.parametrize("code", ["XNYS", "XHKG", "XTKS", "XLON", "XETR", "XAMS"])
@pytest.mark.parametrize("season", [date(2024, 1, 8), date(2024, 3, 18), date(2024, 7, 8), date(2024, 10, 28)])
def test_each_session_has_settled_when_the_timer_fires_that_plans_it(code: str, season: date) -> None:
    """In winter and summer time, and in the weeks in which only one side has changed its clocks."""
    known, fires = calendar(code), parse_schedule("0 0 6 * * 1-5")
    for session in known.sessions(season, season + timedelta(days=6)):
        settled = known.close_of(session) + SETTLED_AFTER
        fired = fires.first_after(settled - timedelta(seconds=1))
        assert known.last_closed(fired, SETTLED_AFTER) >= session  # type: ignore[operator]
        assert fired - settled <= timedelta(hours=72)
