"""No sequence of replies around a split leaves a wrong row: random sequences against an oracle that knows the truth.

The oracle is naive: it holds the as-traded prices of a share, and renders replies in which the vendor lists a split,
divides its prices by it, both, or neither. The replies take the real path through `derive`, to tables in memory.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.raw import raw_path
from quantx.pipeline.curating.derive import DERIVED, Derived, derive
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.registry import VENDORS, vendor_to_read
from quantx.settings import Settings

from ..conftest import StoppedClock

NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = calendar("XNYS").sessions(date(2024, 1, 2), date(2024, 9, 30))
SPLIT_ADJUSTED = [source for source, vendor in VENDORS.items() if vendor.capabilities.price_basis == "split_adjusted"]
SYMBOL = "QZSEQ"


@dataclass(frozen=True)
class Truth:
    """A share as it traded: closes in the shares of each day, splits (day, ratio), dividends in shares of their day."""

    closes: dict[date, float] = field(repr=False)
    splits: tuple[tuple[date, float], ...]
    dividends: tuple[tuple[date, float], ...] = ()

    def ratio_after(self, day: date, counted: Sequence[tuple[date, float]]) -> float:
        return math.prod(ratio for ex_date, ratio in counted if ex_date > day)


def share(seed: int, splits: Sequence[tuple[date, float]], volatility: float, dividends: Sequence[date] = ()) -> Truth:
    """Return a random walk with these splits; dividends are half a per cent of the price."""
    dice = random.Random(seed)
    closes, price, paid = {}, 100 * dice.uniform(0.5, 8), []
    for day in SESSIONS:
        if day in dividends:
            paid.append((day, round(price * 0.005, 4)))
            price -= paid[-1][1]
        price *= 1 + volatility * max(-3.0, min(3.0, dice.gauss(0, 1)))
        for ex_date, ratio in splits:
            if ex_date == day:
                price /= ratio
                paid = [(d, a / ratio if d == day else a) for d, a in paid]
        closes[day] = price
    return Truth(closes, tuple(splits), tuple(paid))


@dataclass
class Desk:
    """A vendor, its oracle, and the tables that its replies have made."""

    source: str
    truth: Truth
    tables: dict[str, CuratedTable] = field(default_factory=lambda: {t.name: MemoryTable(t) for t in DERIVED})
    read: list[ReadReply] = field(default_factory=list)
    last: Derived = field(init=False)

    def reply(
        self,
        window: Window,
        at: datetime,
        listed: Sequence[tuple[date, float]],
        divided: Sequence[tuple[date, float]],
        truth: Truth | None = None,
    ) -> Derived:
        """Curate a reply about a window, fetched at an instant, with these splits listed and these divided by."""
        truth = truth or self.truth
        pages = _pages(self.source, truth, window, at, listed, divided)
        number = len(self.read) + 1
        stored = StoredReply(
            task_id=number,
            run_id="run",
            series=Series(self.source, "bars", "1d", SYMBOL),
            window=window,
            path=raw_path(self.source, "bars", "2024-07-01", f"{number:026d}"),
            row=0,
            rows=len(pages),
            fetched_at=at,
            size=100,
        )
        self.read.append(ReadReply(stored, pages))
        return self.curate(self.read[-1], number)

    def curate(self, item: ReadReply, number: int) -> Derived:
        self.last = derive(
            self.tables,
            [item],
            [],
            RowPolicy(),
            context=CommitContext(number),
            reader_of=lambda source: vendor_to_read(source, Settings(), StoppedClock()),
        )
        return self.last

    def again(self) -> Desk:
        """Return another desk to which the same replies came, as in reprocessing."""
        other = Desk(self.source, self.truth)
        for number, item in enumerate(self.read, start=1):
            other.curate(item, number)
            other.read.append(item)
        return other

    def rows(self) -> dict[date, float]:
        bars = self.tables[BARS_1D.name].read().sort("date")
        return dict(bars.select("date", "close").iter_rows())

    def wrong(self) -> dict[date, tuple[float, float]]:
        """Return the stored closes that are not the traded ones, beside these."""
        return {
            day: (close, self.truth.closes[day])
            for day, close in self.rows().items()
            if abs(close / self.truth.closes[day] - 1) > 1e-3
        }

    def splits(self) -> list[tuple[date, float]]:
        actions = self.tables[ACTIONS.name].read(pl.col("kind") == "split").sort("ex_date")
        return list(actions.select("ex_date", "value").iter_rows())


def _pages(
    source: str,
    truth: Truth,
    window: Window,
    at: datetime,
    listed: Sequence[tuple[date, float]],
    divided: Sequence[tuple[date, float]],
) -> tuple[Payload, ...]:
    """Render a vendor's reply: its bars reach from ten days before the window to the instant."""
    here = at.astimezone(NEW_YORK)
    since = window.start - timedelta(days=10)
    opened = here.date() if here.time() >= time(9, 30) else here.date() - timedelta(days=1)
    rows = [
        (day, close / truth.ratio_after(day, divided), 1e6 * truth.ratio_after(day, divided))
        for day, close in truth.closes.items()
        if since <= day <= opened
    ]
    paid = [(d, a / truth.ratio_after(d, divided)) for d, a in truth.dividends if since <= d <= here.date()]
    if source == "yahoo":
        return (_chart(rows, [s for s in listed if s[0] >= since], paid, at),)
    assert source == "fmp", f"there is no oracle of {source} yet"
    return _fmp(rows, listed, paid, at)


def _payload(url: str, document: object, at: datetime) -> Payload:
    return Payload(SYMBOL, url, 200, at, content_type="application/json", body=json.dumps(document).encode())


def _chart(
    rows: list[tuple[date, float, float]],
    splits: list[tuple[date, float]],
    paid: list[tuple[date, float]],
    at: datetime,
) -> Payload:
    def stamp(day: date) -> int:
        return int(datetime.combine(day, time(9, 30), NEW_YORK).timestamp())

    closes = [close for _, close, _ in rows]
    adjusted = [
        close * math.prod(1 - amount / _before(rows, day) for day, amount in paid if day > at_)
        for at_, close, _ in rows
    ]
    quote = dict.fromkeys(("open", "high", "low", "close"), closes) | {"volume": [volume for *_, volume in rows]}
    events = {
        "splits": {
            str(stamp(d) + n): {"date": stamp(d), "numerator": ratio, "denominator": 1}
            for n, (d, ratio) in enumerate(splits)
        },
        "dividends": {str(stamp(d)): {"date": stamp(d), "amount": amount} for d, amount in paid},
    }
    chart = {
        "meta": {"symbol": SYMBOL, "currency": "USD", "exchangeTimezoneName": "America/New_York"},
        "timestamp": [stamp(day) for day, *_ in rows],
        "indicators": {"quote": [quote], "adjclose": [{"adjclose": adjusted}]},
        "events": events,
    }
    url = f"https://query2.finance.yahoo.com/v8/finance/chart/{SYMBOL}"
    return _payload(url, {"chart": {"result": [chart], "error": None}}, at)


def _before(rows: list[tuple[date, float, float]], day: date) -> float:
    return next((close for at, close, _ in reversed(rows) if at < day), 1e9)


def _fmp(
    rows: list[tuple[date, float, float]],
    splits: Sequence[tuple[date, float]],
    paid: list[tuple[date, float]],
    at: datetime,
) -> tuple[Payload, ...]:
    host = "https://financialmodelingprep.com/stable"
    bars = [
        {"symbol": SYMBOL, "date": str(d), **dict.fromkeys(("open", "high", "low", "close"), c), "volume": v}
        for d, c, v in reversed(rows)
    ]
    listed = [{"symbol": SYMBOL, "date": str(d), "numerator": ratio, "denominator": 1} for d, ratio in splits]
    dividends = [{"symbol": SYMBOL, "date": str(d), "adjDividend": amount} for d, amount in paid]
    return (
        _payload(f"{host}/splits?symbol={SYMBOL}", listed, at),
        _payload(f"{host}/dividends?symbol={SYMBOL}", dividends, at),
        _payload(f"{host}/historical-price-eod/full?symbol={SYMBOL}", bars, at),
    )


# ---------------------------------------------------------------------------------------------------- random sequences

EARLY, UNDIVIDED, LATE, DIVIDED, SILENT = "early", "undivided", "late", "divided", "silent"
RATIOS = [10.0, 2.0, 3.0, 1.5, 4 / 3, 1.25, 0.1, 0.04, 0.5, 1.1, 1.05, 20.0, 1.054, 0.5 / 3]


@dataclass(frozen=True)
class Step:
    """A reply: how many sessions after the one before, how many it looks back, and what the vendor does at the time."""

    after: int
    back: int
    does: str
    hour: int  # UTC: 6 is before New York opens, 17 within the session, 23 after its close


steps = st.builds(
    Step,
    after=st.integers(1, 3),
    back=st.sampled_from([1, 2, 5, 5, 30]),
    does=st.sampled_from([EARLY, UNDIVIDED, LATE, DIVIDED, SILENT]),
    hour=st.sampled_from([6, 6, 17, 23]),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Truth, list[Step], int]:
    """Return a share with a split or two, the replies around the first, and the session of the first reply."""
    first = draw(st.integers(50, 60))
    splits = [(SESSIONS[first], draw(st.sampled_from(RATIOS)))]
    if draw(st.integers(0, 3)) == 0:  # two of one ratio within days are one that is named twice
        other = st.sampled_from(RATIOS).filter(lambda ratio: ratio != splits[0][1])
        splits.append((SESSIONS[first + draw(st.integers(2, 8))], draw(other)))
    paid = [SESSIONS[first]] if draw(st.booleans()) else []
    truth = share(draw(st.integers(0, 10_000)), splits, draw(st.sampled_from([0.001, 0.005, 0.01])), paid)
    return truth, draw(st.lists(steps, min_size=1, max_size=7)), first - draw(st.integers(-2, 6))


def _play(source: str, truth: Truth, moves: list[Step], start: int) -> tuple[Desk, list[tuple[str, dict[date, float]]]]:
    """Send the replies; return the desk, and after each reply the rows that were wrong."""
    desk, place, seen = Desk(source, truth), start, []
    stored_until: date | None = None
    for move in moves:
        place += move.after
        stored_until = _send(desk, place, move, stored_until)
        seen.append((move.does, desk.wrong()))
    stored_until = _send(
        desk, place + 1, Step(1, 5, DIVIDED, 23), stored_until
    )  # the vendor is consistent from here on
    place = max(place + 2, SESSIONS.index(truth.splits[-1][0]) + 62)  # and lastly replies about the whole history
    _send(desk, place, Step(0, place - start + 35, DIVIDED, 23), SESSIONS[place])
    return desk, seen


def _send(desk: Desk, place: int, move: Step, stored_until: date | None) -> date | None:
    at = datetime.combine(SESSIONS[place], time(move.hour), UTC)
    final = SESSIONS[place] if move.hour == 23 else SESSIONS[place - 1]
    start = SESSIONS[max(0, (SESSIONS.index(stored_until) if stored_until else place) - move.back)]
    if start > final:
        return stored_until
    opened = [s for s in desk.truth.splits if s[0] <= (SESSIONS[place] if move.hour >= 17 else SESSIONS[place - 1])]
    named = [s for s in desk.truth.splits if s[0] <= SESSIONS[place + 1]]
    listed, divided = {
        EARLY: (named, [s for s in opened if s not in named[-1:]]),
        UNDIVIDED: (opened, opened[:-1]),
        LATE: (opened[:-1], opened),
        DIVIDED: (opened, opened),
        SILENT: (opened[:-1], opened[:-1]),
    }[move.does]
    desk.reply(Window(start, final), at, listed, divided)
    rows = desk.rows()
    return max(rows) if rows else None


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@settings(max_examples=8)
@given(histories())
def test_no_sequence_leaves_a_wrong_row(source: str, history: tuple[Truth, list[Step], int]) -> None:
    truth, moves, start = history
    desk, seen = _play(source, truth, moves, start)
    assert desk.wrong() == {}
    assert [day for day, _ in desk.splits()] == [day for day, _ in truth.splits]
    was_late = False
    for does, wrong in seen:  # a fresh history that is divided by a split that nothing names can't be recognised
        was_late |= does == LATE
        assert not wrong or was_late
    again = desk.again()
    for name in (BARS_1D.name, ACTIONS.name):
        assert again.tables[name].read().sort(pl.all()).equals(desk.tables[name].read().sort(pl.all()))


# ------------------------------------------------------------------------------------------------------ known histories

E = 55  # the session of the split
FLAT = share(3, [(SESSIONS[E], 10.0)], 0.005)


def _desk(source: str, *moves: tuple[int, int, str, int], truth: Truth = FLAT) -> tuple[Desk, list[Derived]]:
    """Return a desk after replies: (session, sessions looked back, what the vendor does, hour)."""
    desk = Desk(source, truth)
    until: date | None = None
    derived = []
    for place, back, does, hour in moves:
        until = _send(desk, place, Step(0, back, does, hour), until)
        derived.append(desk.last)
    return desk, derived


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_split_of_the_next_session_is_neither_applied_nor_an_action(source: str) -> None:
    desk, (_, early) = _desk(source, (E - 3, 20, DIVIDED, 23), (E, 5, EARLY, 6))
    assert not desk.wrong()
    assert max(desk.rows()) == SESSIONS[E - 1]
    assert desk.splits() == []
    assert early.parts[0][1].held == {}


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@pytest.mark.parametrize(("does", "reason"), [(UNDIVIDED, "undivided"), (LATE, "unlisted")])
def test_a_reply_on_another_basis_is_held_back_and_asked_again(source: str, does: str, reason: str) -> None:
    desk, (_, derived) = _desk(source, (E - 1, 20, DIVIDED, 23), (E + 1, 5, does, 23))
    (held,) = derived.parts[0][1].held.values()
    assert (held.reason, held.symbol) == (reason, SYMBOL)
    assert derived.parts[0][1].coverage == {}
    assert max(desk.rows()) == SESSIONS[E - 1]
    assert (desk.wrong(), desk.splits()) == ({}, [])
    _send(desk, E + 2, Step(0, 5, DIVIDED, 23), SESSIONS[E - 1])
    assert (desk.wrong(), desk.splits()) == ({}, [(SESSIONS[E], 10.0)])
    assert max(desk.rows()) == SESSIONS[E + 2]


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_fresh_history_is_decided_by_its_own_steps(source: str) -> None:
    desk, (derived,) = _desk(source, (E + 2, 20, UNDIVIDED, 23))
    assert desk.rows() == {}
    assert [held.reason for held in derived.parts[0][1].held.values()] == ["undivided"]
    desk, _ = _desk(source, (E + 2, 20, DIVIDED, 23))
    assert (len(desk.rows()), desk.wrong()) == (21, {})


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_small_split_of_a_fresh_history_is_not_guessed(source: str) -> None:
    truth = share(4, [(SESSIONS[E], 1.02)], 0.01)
    desk, _ = _desk(source, (E + 2, 20, DIVIDED, 23), truth=truth)
    assert desk.rows() == {}
    _send(desk, E + 70, Step(0, 90, DIVIDED, 23), None)
    assert desk.rows()
    assert desk.wrong() == {}


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_history_that_was_divided_before_the_split_was_listed_is_corrected_as_a_revision(source: str) -> None:
    """Also the rows that the later reply does not reach."""
    desk, _ = _desk(source, (E + 1, 30, LATE, 23))
    assert len(desk.wrong()) == 29  # nothing shows it yet
    _send(desk, E + 3, Step(0, 2, DIVIDED, 23), SESSIONS[E + 1])
    assert desk.wrong() == {}
    assert desk.tables[BARS_1D.revisions.name].read().height == 29


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
def test_a_split_that_is_listed_and_never_carried_out_moves_no_price(source: str) -> None:
    still, named = share(5, [], 0.005), [(SESSIONS[E], 2.0)]
    desk = Desk(source, still)
    for place, listed in ((E - 4, []), (E, named), (E + 2, named), (E + 4, [])):
        at = datetime.combine(SESSIONS[place], time(23), UTC)
        desk.reply(Window(SESSIONS[place - 10], SESSIONS[place]), at, listed, [])
        assert (desk.wrong(), desk.splits()) == ({}, [])
    assert max(desk.rows()) == SESSIONS[E + 4]


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@pytest.mark.parametrize("first", [E, E - 1])
def test_a_split_that_is_named_twice_is_applied_once(source: str, first: int) -> None:
    desk = Desk(source, FLAT)
    before = datetime.combine(SESSIONS[E - 1], time(23), UTC)
    desk.reply(Window(SESSIONS[E - 20], SESSIONS[E - 1]), before, [], [])
    twice = [(SESSIONS[first], 10.0), (SESSIONS[E], 10.0)]
    after = datetime.combine(SESSIONS[E + 2], time(23), UTC)
    derived = desk.reply(Window(SESSIONS[E - 10], SESSIONS[E + 2]), after, twice, FLAT.splits)
    assert (desk.wrong(), desk.splits()) == ({}, [(SESSIONS[E], 10.0)])
    assert [finding.rule for finding in derived.parts[0][1].events.found] == ["event_named_twice"]
