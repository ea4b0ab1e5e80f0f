"""Which of a vendor's events count where it names one twice: the prices' own step decides. Pure.

Splits of as-traded prices: the closes fall by the ratio at the day of a split (price_steps.py). Two days beside each
other with one ratio are one split, announced and executed; so are equal ratios on one day.

Cash (dividends, and capital gains of funds): the vendor's adjusted close steps by 1 - D / close before, with D the sum
of what it counts (see adjustments.py). Without an adjusted close all amounts count, unless the price clearly falls by
one of them alone: a regular and a special dividend are two events.

A fund's dividend may contain the capital gain beside it. The adjusted close shows whether the vendor counts both. It is
computed from the same two amounts, so that the fall of the price decides against it where it is clear: Yahoo counted
the gains of VWILX twice in 2024 and 2025 (yfinance's price repair).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations, pairwise
from typing import Literal, NamedTuple

from quantx.core.calendars import Calendar
from quantx.core.quality.price_steps import DECIDED, BarClose, log_odds_of_step, odds_of_ratio, step_odds, usual_move
from quantx.core.quality.split_basis import SAME_RATIO, SESSIONS_APART, ShareSplit

Outcome = Literal["repeated", "not_shown", "contained", "undecided", "either"]

_DAYS_APART, _SAME_AMOUNT = 7, 0.10  # of one dividend that is named on two days, see dividend_paid_once
_HALF_UNIT = 5e-7  # of amounts with six decimals
_SINGLE_PRECISION = 2**-20  # relative error of an adjusted close, see adjustments.py
_NEAR = 0.01  # of the share of the price: amounts are rounded, too
_CLEAR = 6.0  # usual moves: a smaller dividend is hidden by the moves of the market
_MOST_AMOUNTS = 6  # of one day that are combined


class CashEvent(NamedTuple):
    """A dividend or capital gain as listed: cash per share, on the basis of the closes."""

    day: date
    kind: str
    amount: float


class AdjustedBar(NamedTuple):
    """A session's close and the vendor's adjusted close, None where it sends none."""

    day: date
    close: float
    adjusted: float | None


@dataclass(frozen=True)
class Doubt:
    """A listed event that does not count, or two of which it is unknown whether both do."""

    outcome: Outcome
    day: date
    kind: str
    value: float


@dataclass(frozen=True, kw_only=True)
class CountedEvents:
    """The doubts about a reply's events; every other event counts."""

    doubts: tuple[Doubt, ...] = ()

    def dropped(self) -> Iterator[Doubt]:
        """Yield the events that do not count at all."""
        return (doubt for doubt in self.doubts if doubt.outcome in ("repeated", "not_shown"))


# ------------------------------------------------------------------------------------------------------------- splits


def count_splits(
    splits: Sequence[ShareSplit], bars: Sequence[BarClose], calendar: Calendar, paid: Mapping[date, float] | None = None
) -> CountedEvents:
    """Return the doubts about splits of as-traded prices. `bars` may be empty: then equal splits count once."""
    days = {split.day for split in splits}
    doubts: list[Doubt] = []
    kept: list[ShareSplit] = []
    for day in sorted(days):
        ratios = [split.ratio for split in splits if split.day == day]
        counted = ratios if len(ratios) == 1 else _of_one_day(day, ratios, bars, paid, doubts)
        kept.append(ShareSplit(day, math.prod(counted)))
    for first, second in pairwise(kept):
        near = len(calendar.sessions(first.day, second.day)) - 1 <= SESSIONS_APART
        if near and abs(first.ratio / second.ratio - 1) <= SAME_RATIO:
            doubts += _of_two_days(first, second, bars, days, paid)
    return CountedEvents(doubts=tuple(doubts))


def _of_one_day(
    day: date, ratios: list[float], bars: Sequence[BarClose], paid: Mapping[date, float] | None, doubts: list[Doubt]
) -> list[float]:
    """Return the ratios of one day that count, and add the doubts about the others."""
    both = math.prod(ratios)
    odds = {ratio: odds_of_ratio(bars, day, ratio, both, paid) for ratio in ratios}
    single = max(ratios, key=lambda ratio: odds[ratio])
    alike = all(abs(ratio / ratios[0] - 1) <= SAME_RATIO for ratio in ratios)
    lead = odds[single]
    if lead >= DECIDED or (alike and lead > -DECIDED):
        others = list(ratios)
        others.remove(single)
        doubts += [Doubt("repeated", day, "split", ratio) for ratio in others]
        return [single]
    if lead > -DECIDED:
        doubts += [Doubt("undecided", day, "split", ratio) for ratio in ratios]
    return ratios


def _of_two_days(
    first: ShareSplit, second: ShareSplit, bars: Sequence[BarClose], days: set[date], paid: Mapping[date, float] | None
) -> list[Doubt]:
    """Return the doubts about two days with one ratio: the closes fall on the right one, else the later one counts."""
    fall = []
    for split in (first, second):
        fall.append(-step_odds(bars, split.day, split.ratio, days, cash=paid).still)
    if min(fall) >= DECIDED:
        return []  # two splits
    if max(fall) <= -DECIDED:
        return [Doubt("not_shown", split.day, "split", split.ratio) for split in (first, second)]
    other = second if fall[0] > fall[1] else first
    return [Doubt("repeated", other.day, "split", other.ratio)]


# --------------------------------------------------------------------------------------------------------------- cash


@dataclass(frozen=True, kw_only=True)
class CashView:
    """What a reply shows of one symbol's cash events."""

    events: Sequence[CashEvent]
    bars: Sequence[AdjustedBar]  # in order, closes positive
    ratios: Mapping[date, float] = field(default_factory=dict)  # of splits that the closes fall by on their day


class _Step(NamedTuple):
    """The vendor's and the market's step at the first session from a day on, in shares of that day."""

    before: float  # close of the session before
    taken: float | None  # share of the price that the vendor's adjusted close takes; None without one
    tolerance: float
    move: float  # log return


def count_cash(view: CashView) -> CountedEvents:
    """Return the doubts about dividends and capital gains."""
    by_day: dict[date, list[CashEvent]] = {}
    for event in view.events:
        by_day.setdefault(event.day, []).append(event)
    doubts: list[Doubt] = []
    contained = _contained_by_price(view, by_day)
    for day, events in sorted(by_day.items()):
        if len(events) > 1:
            doubts += _doubts_of_day(view, day, events, contained)
    doubts += _repeated_on_two_days(view, by_day)
    return CountedEvents(doubts=tuple(doubts))


def _doubts_of_day(view: CashView, day: date, events: list[CashEvent], contained: bool | None) -> list[Doubt]:
    gains = [event for event in events if event.kind == "capital_gain"]
    may_contain = _may_contain(events)
    if gains and may_contain and contained is not None:
        return [Doubt("contained", *gain) for gain in gains] if contained else []
    step = _step(view, day)
    counted = None if step is None else _counted(step, events) or _counted_by_price(view, step, events)
    if counted is not None:
        others = list(events)
        for event in counted:
            others.remove(event)
        if gains and may_contain and not others:  # computed from the two amounts, and the price does not confirm it
            return [Doubt("undecided", *gain) for gain in gains]
        return [Doubt("contained" if event.kind == "capital_gain" else "repeated", *event) for event in others]
    dividends = [event for event in events if event.kind == "dividend"]
    doubtful = [*(dividends if len(dividends) > 1 else []), *(gains if may_contain else [])]
    return [Doubt("undecided", *event) for event in doubtful]


def _may_contain(events: Sequence[CashEvent]) -> bool:
    """Return whether a dividend of the day is so large that it may contain the day's gains."""
    gains = sum(event.amount for event in events if event.kind == "capital_gain")
    largest = max((event.amount for event in events if event.kind == "dividend"), default=0.0)
    return 0 < gains <= largest


def _counted(step: _Step, events: Sequence[CashEvent]) -> tuple[CashEvent, ...] | None:
    """Return the events whose sum the adjusted close takes: all if they fit, else the nearest ones, if any fit."""
    if step.taken is None:
        return None
    fits: list[tuple[float, tuple[CashEvent, ...]]] = []
    gains, may_contain = sum(event.kind == "capital_gain" for event in events), _may_contain(events)
    for size in range(len(events), 0, -1):
        for some in combinations(events[:_MOST_AMOUNTS], size):
            lacks_gain = sum(event.kind == "capital_gain" for event in some) < gains
            if (lacks_gain and not may_contain) or not any(event.kind == "dividend" for event in some):
                continue
            share = sum(event.amount for event in some) / step.before
            off = abs(share - step.taken)
            if share < 1 and off <= step.tolerance + _NEAR * share:
                fits.append((off, some))
        if fits and size == len(events):
            break
    return min(fits, key=lambda fit: fit[0])[1] if fits else None


def _counted_by_price(view: CashView, step: _Step, events: Sequence[CashEvent]) -> tuple[CashEvent, ...] | None:
    """Return the one dividend of a day without an adjusted close by which the price falls, and not by the sum."""
    if step.taken is not None or any(event.kind != "dividend" for event in events):
        return None
    total = sum(event.amount for event in events)
    odds = {event: _odds_of_fall(view, step, event.amount, total, least=_CLEAR) for event in events}
    single = max(events, key=lambda event: odds[event])
    return (single,) if odds[single] >= DECIDED else None


def _odds_of_fall(view: CashView, step: _Step, amount: float, other: float, *, least: float = 0.0) -> float:
    """Return the log odds that the price falls by one amount against another.

    They are 0 where an amount is no part of the price, or the falls differ by less than `least` usual moves.
    """
    if max(amount, other) >= step.before:
        return 0.0
    falls = (math.log1p(-amount / step.before), math.log1p(-other / step.before))
    days = {event.day for event in view.events} | set(view.ratios)
    usual = usual_move([BarClose(bar.day, bar.close, None) for bar in view.bars], days)
    return log_odds_of_step(step.move, falls, usual) if abs(falls[0] - falls[1]) >= least * usual else 0.0


def _contained_by_price(view: CashView, by_day: Mapping[date, list[CashEvent]]) -> bool | None:
    """Return whether dividends contain the gains by the falls of the price on all such days; None: it is not clear."""
    odds = 0.0
    for day, events in by_day.items():
        step = _step(view, day) if _may_contain(events) else None
        if step is None:
            continue
        gain = sum(event.amount for event in events if event.kind == "capital_gain")
        paid = sum(event.amount for event in events if event.kind == "dividend")
        odds += _odds_of_fall(view, step, paid, paid + gain)
    return None if abs(odds) < DECIDED else odds > 0


def _repeated_on_two_days(view: CashView, by_day: Mapping[date, list[CashEvent]]) -> list[Doubt]:
    """Return dividends that the adjusted close does not show, beside an equal one that it shows.

    Without an adjusted close, the price's own falls decide where they are clear.
    """
    alone = [events[0] for _, events in sorted(by_day.items()) if len(events) == 1 and events[0].kind == "dividend"]
    doubts = []
    for pair in pairwise(alone):
        first, second = pair
        near = (second.day - first.day).days <= _DAYS_APART
        if not near or abs(second.amount / first.amount - 1) > _SAME_AMOUNT:
            continue
        shown = [_is_shown(view, event) for event in pair]
        if {True, False} == set(shown):
            doubts.append(Doubt("repeated", *pair[shown.index(False)]))
    return doubts


def _is_shown(view: CashView, event: CashEvent) -> bool | None:
    """Return whether the prices show a dividend; None where they neither show nor deny it."""
    step = _step(view, event.day)
    if step is None:
        return None
    if step.taken is None:
        odds = _odds_of_fall(view, step, event.amount, 0.0, least=_CLEAR)
        return None if abs(odds) < DECIDED else odds > 0
    if _counted(step, [event]) is not None:
        return True
    return False if abs(step.taken) <= step.tolerance else None


def _step(view: CashView, day: date) -> _Step | None:
    after = next((i for i, bar in enumerate(view.bars) if bar.day >= day), len(view.bars))
    if after in (0, len(view.bars)):
        return None
    before, first = view.bars[after - 1], view.bars[after]
    ratio = math.prod(r for at, r in view.ratios.items() if before.day < at <= first.day)
    close = before.close / ratio
    taken, tolerance = None, 0.0
    if before.adjusted and first.adjusted and before.adjusted > 0 and first.adjusted > 0:
        taken = 1 - (before.adjusted / close) / (first.adjusted / first.close)
        half = _half_unit(view.bars[max(0, after - 20) : after + 20])
        tolerance = 2 * _SINGLE_PRECISION + half / before.adjusted + half / first.adjusted + _HALF_UNIT / close
    return _Step(close, taken, tolerance, math.log(first.close / close))


def _half_unit(bars: Sequence[AdjustedBar]) -> float:
    """Return half a unit of the last decimal of the adjusted closes, from two decimals to six."""
    values = [bar.adjusted for bar in bars if bar.adjusted is not None and bar.adjusted != bar.close]
    for places in range(2, 6):
        if values and all(abs(x * 10**places - round(x * 10**places)) < 1e-3 for x in values):
            return 0.5 * 10.0**-places
    return _HALF_UNIT
