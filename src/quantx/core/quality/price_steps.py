"""The prices' own step on the day of a split: what the closes and volumes around it show. Pure.

Three hypotheses are weighed with the log return x from the last close before the day to the first one on it, in units
of the series' usual move:

    still  x = 0         the price goes on: as-traded prices without a split, or prices that are divided by it
    fell   x = -log r    as-traded prices with a split r, or prices that are not divided yet
    rose   x = +log r    prices that are divided by a split that was none

The density is that of Student's t with three degrees of freedom: its heavy tails keep one unusual day from deciding.
The usual move is the median absolute log return around the day, without the days of events (Rousseeuw and Croux 1993).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from operator import attrgetter
from statistics import median
from typing import NamedTuple, overload

from typing_extensions import override

# The log of the odds from which a hypothesis counts as decided: 100 to 1.
DECIDED = math.log(100)

# The log of the least ratio that a move of the market on one day is not taken for.
LARGE_STEP = 0.3

_LEVEL = 3  # closes whose median is the level
_BESIDE = 6  # sessions on each side of a day at which its step may lie
_AROUND = 40  # bars on each side of the day that give the usual move
_FEWEST = 5  # returns for a usual move; with fewer the move of a volatile share is assumed
_LEAST_MOVE, _ASSUMED_MOVE = 0.002, 0.03
_TO_SIGMA = 1.4826  # the standard deviation of a normal variable is so many times its median absolute deviation
_VOLUMES, _FEWEST_VOLUMES = 10, 3  # sessions on each side whose median volume is compared
# Volumes double and halve around a split for other reasons: they are weak evidence, and count up to a bound.
_VOLUME_MOVE, _MOST_OF_VOLUME = 0.7, 2.0


class BarClose(NamedTuple):
    """The close and volume of a session, on the vendor's basis."""

    day: date
    close: float
    volume: float | None


class BarCloses(Sequence[BarClose]):
    """Closes and volumes in columns: most bars of a long history are never read."""

    def __init__(self, days: Sequence[int], closes: Sequence[float], volumes: Sequence[float | None]) -> None:
        """Keep the columns; a day is a number of days since 1970."""
        self._days = days
        self._closes = closes
        self._volumes = volumes

    @override
    def __len__(self) -> int:
        return len(self._days)

    @overload
    def __getitem__(self, place: int) -> BarClose: ...

    @overload
    def __getitem__(self, place: slice) -> list[BarClose]: ...

    @override
    def __getitem__(self, place: int | slice) -> BarClose | list[BarClose]:
        if isinstance(place, slice):
            return list(map(_bar, self._days[place], self._closes[place], self._volumes[place]))
        return _bar(self._days[place], self._closes[place], self._volumes[place])

    @override
    def __iter__(self) -> Iterator[BarClose]:
        return map(_bar, self._days, self._closes, self._volumes)


def _bar(day: int, close: float, volume: float | None) -> BarClose:
    return BarClose(date.fromordinal(_EPOCH + day), close, volume)


_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class StepOdds:
    """The log odds of the hypotheses: those that the close beside the day and the level of three closes agree on."""

    still: float  # still against fell
    rose: float  # rose against the better of the two others


NO_STEP = StepOdds(0.0, -math.inf)  # no bar before the day, or none from it on


def step_odds(
    bars: Sequence[BarClose],
    day: date,
    ratio: float,
    events: Collection[date],
    *,
    cash: Mapping[date, float] | None = None,
    settled: date | None = None,
) -> StepOdds:
    """Weigh the three hypotheses about a split on `day` of `ratio` new shares per old one.

    `bars` are in the order of their days, with positive closes. `events` are the days of all splits and dividends. A
    dividend in `cash` on the day explains a fall by its share of the price, or a part of it. The volume of sessions
    after `settled` is not final, and left out. One wrong close beside the day does not decide, as the level of three
    closes on each side must agree.
    """
    after = _place(bars, day)
    if after in (0, len(bars)):
        return NO_STEP
    before, first = bars[after - 1], bars[after]
    sigma = _usual_move(bars, after, events) * math.sqrt(max(1.0, (first.day - before.day).days * 5 / 7))
    size = math.log(ratio)
    paid = sum(amount for at, amount in (cash or {}).items() if before.day < at <= first.day)
    share = -math.log1p(-min(paid / before.close, paid / before.close / ratio, 0.9)) if paid > 0 else 0.0
    traded = _volume_step(bars, after, settled)
    odds = []
    for move in _moves(bars, after):
        still, fell, rose = (_price(move, s, share, sigma) + _volume(traded, -s) for s in (0.0, -size, size))
        odds.append((still - fell, rose - max(still, fell)))
    one, three = odds
    return StepOdds(_agreed(one[0], three[0]), min(one[1], three[1]))


def odds_of_ratio(
    bars: Sequence[BarClose], day: date, ratio: float, other: float, cash: Mapping[date, float] | None = None
) -> float:
    """Return the log odds that closes fall by a ratio on a day against another ratio; 0 without bars on both sides."""
    after = _place(bars, day)
    if after in (0, len(bars)):
        return 0.0
    before = bars[after - 1]
    paid = sum(amount for at, amount in (cash or {}).items() if before.day < at <= bars[after].day)
    share = -math.log1p(-min(paid / before.close * max(ratio, other), 0.9)) if paid > 0 else 0.0
    sigma = _usual_move(bars, after, [day])
    odds = [
        _price(move, -math.log(ratio), share, sigma) - _price(move, -math.log(other), share, sigma)
        for move in _moves(bars, after)
    ]
    return _agreed(*odds)


def displaced_step(bars: Sequence[BarClose], day: date, ratio: float, events: Collection[date]) -> date | None:
    """Return a session beside `day` at which the level falls by the ratio: closes are divided from there on only.

    Only for ratios that no usual move reaches; None where there is no such session.
    """
    place = _place(bars, day)
    if abs(math.log(ratio)) < LARGE_STEP:
        return None
    for after in range(max(1, place - _BESIDE), min(len(bars), place + _BESIDE + 1)):
        before, first = bars[after - 1], bars[after]
        if after == place or any(before.day < at <= first.day for at in events):
            continue
        sigma = _usual_move(bars, after, events)
        fell = [log_odds_of_step(move, (-math.log(ratio), 0.0), sigma) for move in _moves(bars, after)]
        near = all(abs(move + math.log(ratio)) < LARGE_STEP / 2 for move in _moves(bars, after))
        if near and min(fell) >= DECIDED:
            return first.day
    return None


def log_odds_of_step(move: float, steps: tuple[float, float], sigma: float) -> float:
    """Return the log odds of the first against the second step of a series with this usual move."""
    return _price(move, steps[0], 0.0, sigma) - _price(move, steps[1], 0.0, sigma)


def log_density(move: float, sigma: float) -> float:
    """Return the log density of a log return that no event explains, up to a constant."""
    return _price(move, 0.0, 0.0, sigma)


def _place(bars: Sequence[BarClose], day: date) -> int:
    """Return the position of the first bar on a day or after it."""
    return bisect_left(bars, day, key=attrgetter("day"))


def _moves(bars: Sequence[BarClose], after: int) -> tuple[float, float]:
    """Return the log return to a bar, and that between the levels of three closes before it and from it on."""
    before, now = (
        median(bar.close for bar in side)
        for side in (bars[max(0, after - _LEVEL) : after], bars[after : after + _LEVEL])
    )
    return math.log(bars[after].close / bars[after - 1].close), math.log(now / before)


def _agreed(one: float, other: float) -> float:
    """Return the weaker of two log odds, 0 where they contradict each other."""
    return min(one, other, key=abs) if one * other > 0 else 0.0


def usual_move(bars: Sequence[BarClose], events: Collection[date] = ()) -> float:
    """Return the usual daily log return of a series: a robust standard deviation."""
    return _usual_move(bars, len(bars) // 2, events, len(bars))


def _usual_move(bars: Sequence[BarClose], place: int, events: Collection[date], around: int = _AROUND) -> float:
    near = bars[max(0, place - around) : place + around]
    inside = [day for day in events if near and near[0].day < day <= near[-1].day]
    returns = [
        abs(math.log(b.close / a.close)) for a, b in pairwise(near) if not any(a.day < day <= b.day for day in inside)
    ]
    if len(returns) < _FEWEST:
        return _ASSUMED_MOVE
    return max(_TO_SIGMA * median(returns), _LEAST_MOVE)


def _price(move: float, step: float, share: float, sigma: float) -> float:
    """Return the log density of a return under a step; a dividend explains a further fall of up to `share`."""
    rest = move - step
    rest = min(0.0, rest + share) if rest < 0 else rest
    return -2 * math.log1p((rest / sigma) ** 2 / 3)


def _volume_step(bars: Sequence[BarClose], after: int, settled: date | None) -> float | None:
    """Return the log of the median volume from the day on over that before it, None with few volumes."""
    sides = [
        [bar.volume for bar in side if bar.volume and (settled is None or bar.day <= settled)]
        for side in (bars[max(0, after - _VOLUMES) : after], bars[after : after + _VOLUMES])
    ]
    if min(map(len, sides)) < _FEWEST_VOLUMES:
        return None
    before, now = (median(side) for side in sides)
    return math.log(now / before)


def _volume(traded: float | None, step: float) -> float:
    if traded is None:
        return 0.0
    return max(-2 * math.log1p(((traded - step) / _VOLUME_MOVE) ** 2 / 3), -_MOST_OF_VOLUME)
