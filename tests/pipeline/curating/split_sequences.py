"""Sequences of replies around a split, and an oracle that knows the truth.

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
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.raw import raw_path
from quantx.pipeline.curating.derive import Derived, derive, derived_tables
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
    volumes: dict[date, float] = field(repr=False)
    splits: tuple[tuple[date, float], ...]
    dividends: tuple[tuple[date, float], ...] = ()

    def ratio_after(self, day: date, counted: Sequence[tuple[date, float]]) -> float:
        return math.prod(ratio for ex_date, ratio in counted if ex_date > day)


def share(seed: int, splits: Sequence[tuple[date, float]], volatility: float, dividends: Sequence[date] = ()) -> Truth:
    """Return a random walk with these splits; dividends are half a per cent of the price."""
    dice = random.Random(seed)
    closes, volumes, price, paid, shares = {}, {}, 100 * dice.uniform(0.5, 8), [], 1e6
    for day in SESSIONS:
        if day in dividends:
            paid.append((day, round(price * 0.005, 4)))
            price -= paid[-1][1]
        price *= 1 + volatility * max(-3.0, min(3.0, dice.gauss(0, 1)))
        for ex_date, ratio in splits:
            if ex_date == day:
                price, shares = price / ratio, shares * ratio
                paid = [(d, a / ratio if d == day else a) for d, a in paid]
        closes[day], volumes[day] = price, shares * math.exp(dice.gauss(0, 0.35))
    return Truth(closes, volumes, tuple(splits), tuple(paid))


@dataclass
class Desk:
    """A vendor, its oracle, and the tables that its replies have made."""

    source: str
    truth: Truth
    announced: date | None = None  # a day that is listed for the first split, beside its own
    tables: dict[str, CuratedTable] = field(default_factory=lambda: {t.name: MemoryTable(t) for t in derived_tables()})
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
        other = Desk(self.source, self.truth, self.announced)
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
        actions = self.tables[ACTIONS.name].read((pl.col("kind") == "split") & (pl.col("value") != 1)).sort("ex_date")
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
        (day, close / truth.ratio_after(day, divided), truth.volumes[day] * truth.ratio_after(day, divided))
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


@dataclass(frozen=True)
class History:
    """A share, the replies around its first split, the session of the first reply, and a day named beside the split."""

    truth: Truth
    moves: list[Step]
    start: int
    announced: date | None = None


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Return a share with one to three splits, and replies; one in six splits is announced for the day before, too."""
    first = draw(st.integers(50, 60))
    place, splits = first, [(SESSIONS[first], draw(st.sampled_from(RATIOS)))]
    for _ in range(
        draw(st.sampled_from([0, 0, 0, 1, 1, 2]))
    ):  # two of one ratio within days are one that is named twice
        place += draw(st.integers(2, 8))
        free = [ratio for ratio in RATIOS if all(abs(ratio / x - 1) > 0.02 for _, x in splits)]
        splits.append((SESSIONS[place], draw(st.sampled_from(free))))
    paid = [SESSIONS[first]] if draw(st.booleans()) else []
    truth = share(draw(st.integers(0, 10_000)), splits, draw(st.sampled_from([0.001, 0.005, 0.01, 0.02, 0.03])), paid)
    twice = draw(st.integers(0, 5)) == 0
    return History(
        truth,
        draw(st.lists(steps, min_size=1, max_size=7)),
        first - draw(st.integers(-2, 6)),
        SESSIONS[first - 1] if twice else None,
    )


def play(source: str, history: History) -> tuple[Desk, list[tuple[str, dict[date, tuple[float, float]]]]]:
    """Send the replies; return the desk, and after each reply the rows that were wrong."""
    truth, place, start = history.truth, history.start, history.start
    desk, seen = Desk(source, truth, history.announced), []
    stored_until: date | None = None
    for move in history.moves:
        place += move.after
        stored_until = send(desk, place, move, stored_until)
        seen.append((move.does, desk.wrong()))
    stored_until = send(desk, place + 1, Step(1, 5, DIVIDED, 23), stored_until)  # the vendor is consistent from here on
    place = max(place + 2, SESSIONS.index(truth.splits[-1][0]) + 62)  # and lastly replies about the whole history
    send(desk, place, Step(0, place - start + 35, DIVIDED, 23), SESSIONS[place])
    return desk, seen


def send(desk: Desk, place: int, move: Step, stored_until: date | None) -> date | None:
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
    if desk.announced is not None and opened and desk.truth.splits[0] in listed:
        listed = [(desk.announced, desk.truth.splits[0][1]), *listed]
    desk.reply(Window(start, final), at, listed, divided)
    rows = desk.rows()
    return max(rows) if rows else None


def prove(source: str, history: History) -> None:
    """Assert that a history ends with right rows and splits, and that its replies give the same tables again."""
    desk, seen = play(source, history)
    assert desk.wrong() == {}
    assert [day for day, _ in desk.splits()] == [day for day, _ in history.truth.splits]
    was_late = False
    for does, wrong in seen:  # a fresh history that is divided by a split that nothing names can't be recognised
        was_late |= does == LATE
        assert not wrong or was_late
    again = desk.again()
    for name in (BARS_1D.name, ACTIONS.name):
        assert again.tables[name].read().sort(pl.all()).equals(desk.tables[name].read().sort(pl.all()))
