"""By which splits the closes of a reply are divided: from its own steps, and from the stored closes. Pure.

A vendor with split-adjusted prices sends closes and a list of splits. The two need not agree at every moment: a split
is listed before the prices are divided (early, undivided), or after it (late). As-traded closes are right only if they
are multiplied by exactly the splits that the vendor has divided by. A reply for which these can't be proved is held
back: a wrong row costs more than a late one.

The evidence about a split, in units of log odds:

own steps     the closes and volumes around the ex-date, see price_steps.py
stored rows   a stored as-traded close is the ratio times the reply's close where the reply is divided, and equal to it
              where it is not. Rows stored before the ex-date were not divided yet: they decide alone
age           vendors divide within days (yfinance#906): an old split is divided unless its own steps deny it
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from statistics import median
from typing import Literal, NamedTuple

from quantx.core.calendars import Calendar
from quantx.core.quality.price_steps import DECIDED, LARGE_STEP, BarClose, StepOdds, displaced_step, step_odds

Reason = Literal["undivided", "undecided", "unlisted"]

# Sessions after the ex-date from which a split counts as divided unless its own steps deny it, and the log odds.
_AGES = ((60, 7.0), (15, 5.0), (0, 0.0))
_EXACT = 2 * DECIDED  # of stored closes that agree with one basis and not with the other
SAME_RATIO = 0.01  # relative difference of two ratios of one split
_LATEST = timedelta(days=90)  # for which a vendor may be late with a split; one that it names later is doubtful
_LONGEST_CLOSURE = timedelta(days=30)
_MOST_BETWEEN = 6  # splits that are combined; each doubles the number of sums
SESSIONS_APART = 5  # sessions between two days that are named for one split
# Closes pass through 32 bits, a multiplication and a division.
_PRECISION = 3e-6
# The least factor of an unlisted split: spin-offs of one per cent are divided, too.
_LEAST_FACTOR = 0.01
_MOST_EXCEPTIONS = 0.2  # share of the common sessions whose bars the vendor may have corrected meanwhile


class ShareSplit(NamedTuple):
    """A split: its ex-date and the new shares per old one."""

    day: date
    ratio: float


class StoredClose(NamedTuple):
    """The stored as-traded close of a session, and where it came from."""

    close: float
    known_from: datetime
    raw: str


@dataclass(frozen=True, kw_only=True)
class ReplyView:
    """What a reply shows of one symbol, and what is stored of it."""

    bars: Sequence[BarClose]  # in order, closes positive; also outside of the window and of a running session
    splits: Sequence[ShareSplit]  # as listed, the same split perhaps twice
    settled: date | None  # last session that had settled at the time of the reply
    today: date  # at the exchange, at the time of the reply
    calendar: Calendar
    cash: Mapping[date, float] = field(default_factory=dict)  # dividends, on the basis of the closes
    stored: Mapping[date, StoredClose] = field(default_factory=dict)
    recorded: Sequence[ShareSplit] = ()  # splits that are in the table of actions


class DoubtfulDays(NamedTuple):
    """Two days that are named for one split, where nothing shows which is right.

    The sessions from the first day to before the other one may be on either basis.
    """

    first: date
    other: date
    ratio: float


@dataclass(frozen=True, kw_only=True)
class BasisDecision:
    """The splits of a reply: those in its prices, and those that count as actions; or why it is held back."""

    applied: tuple[ShareSplit, ...] = ()  # the closes are divided by these
    actions: tuple[ShareSplit, ...] = ()  # settled, and shown by the prices
    not_shown: tuple[
        ShareSplit, ...
    ] = ()  # listed and no action: the prices do not show them, or they repeat another one
    corrected: tuple[ShareSplit, ...] = ()  # stored rows before the ex-date lack these
    wrong_raws: frozenset[str] = frozenset()  # raw objects of stored rows that lack a corrected split
    unproven: tuple[DoubtfulDays, ...] = ()
    held: Reason | None = None
    about: ShareSplit | None = (
        None  # the split of `held`; of an unlisted one the first session after it, if there is one
    )


def decide_basis(view: ReplyView) -> BasisDecision:
    """Return the splits by which the closes are divided, and those that are actions; or hold the reply back."""
    return _Weighing(view).decide()


class _Common(NamedTuple):
    """A session that the reply and the table have in common."""

    day: date
    factor: float  # log of stored close / close of the reply
    tolerance: float
    stored: StoredClose


class _Weighing:
    """The state of one decision: splits are decided from the latest to the earliest."""

    def __init__(self, view: ReplyView) -> None:
        self._view = view
        self._common = _common_sessions(view)
        self._events = _by_day(view.splits)
        self._days = {split.day for split in self._events} | view.cash.keys()
        self._applied: list[ShareSplit] = []
        self._reflected: list[ShareSplit] = []  # those of `applied` that the stored rows contain
        self._corrected: list[ShareSplit] = []
        self._not_shown: list[ShareSplit] = []
        self._false: list[ShareSplit] = []  # those of `applied` that were none
        self._wrong: set[str] = set()
        self._unproven: list[DoubtfulDays] = []
        self._pending: ShareSplit | None = None  # one of two days named for a split, of which nothing decides yet

    def decide(self) -> BasisDecision:
        view = self._view
        self._drop_repeated()
        if self._pending is not None:
            return BasisDecision(held="undecided", about=self._pending, not_shown=tuple(self._not_shown))
        actions: list[ShareSplit] = []
        unlisted = [split for split in self._unlisted() if self._is_inside(split)]
        for split in sorted([*self._events, *unlisted], reverse=True):
            settled = view.settled is not None and split.day <= view.settled
            reason = self._weigh(split, settled)
            if reason == "undivided" and split in unlisted:
                continue  # it was listed before: the closes are neither divided by it nor do they say so
            if reason is not None:
                return BasisDecision(held=reason, about=split, not_shown=tuple(self._not_shown))
            if settled and split not in self._false and split not in unlisted:
                actions.append(split)
        late = self._unlisted_factor()
        if late is not None:
            return BasisDecision(held="unlisted", about=late, not_shown=tuple(self._not_shown))
        return BasisDecision(
            applied=tuple(sorted(self._applied)),
            actions=tuple(sorted(actions)),
            not_shown=tuple(sorted(self._not_shown)),
            corrected=tuple(sorted(self._corrected)),
            wrong_raws=frozenset(self._wrong),
            unproven=tuple(self._unproven),
        )

    def _weigh(self, split: ShareSplit, settled: bool) -> Reason | None:
        """Decide whether the closes are divided by a listed split; return why the reply is held back, if it is."""
        view = self._view
        odds = self._odds(split)
        stored, wrong = self._by_stored(split)
        if stored is None:
            return "unlisted"
        age = self._age(split) if settled else 0.0
        if stored >= 0 and self._rose(split, odds, age):
            self._not_shown.append(split)  # the prices are divided by a split that they do not show
            self._false.append(split)
            self._apply(split)
            return None
        total = odds.still + stored + age
        if settled and stored <= 0 and displaced_step(view.bars, split.day, split.ratio, self._days) is not None:
            return "undivided"  # a part of the closes is divided, the earlier ones are not
        if total >= DECIDED:
            self._apply(split, wrong)
            return None
        if not self._view.bars or split.day <= self._view.bars[0].day:
            return None  # no bar is before it
        if not settled and (total <= -DECIDED or view.today < split.day):
            return None  # the prices are not divided yet
        return "undivided" if total <= -DECIDED else "undecided"

    @staticmethod
    def _rose(split: ShareSplit, odds: StepOdds, age: float) -> bool:
        """Return whether the closes rise by the ratio: they are divided by a split that was none."""
        return abs(math.log(split.ratio)) >= LARGE_STEP and odds.rose >= DECIDED + age

    def _age(self, split: ShareSplit) -> float:
        assert self._view.settled is not None, "only settled splits have an age"
        sessions = len(self._view.calendar.sessions(split.day, self._view.settled))
        return next(odds for least, odds in _AGES if sessions >= least)

    def _apply(self, split: ShareSplit, wrong: set[str] | None = None) -> None:
        self._applied.append(split)
        if wrong:
            self._corrected.append(split)
            self._wrong |= wrong
        else:
            self._reflected.append(split)

    def _by_stored(self, split: ShareSplit) -> tuple[float | None, set[str]]:
        """Return the evidence of the stored closes, and the raw objects of those that lack the split.

        None: closes of one reply both have and lack it, so that there is a split between them that is not listed.
        """
        size, view = math.log(split.ratio), self._view
        last_close, late = _close_before(view.calendar, split.day), split.day + _LATEST
        divided, undivided, decides = set[str](), set[str](), False
        for row in self._common:
            if row.day >= split.day:
                break
            rest, others = self._rest(row), self._sums_between(row.day, split.day)
            is_divided, is_not = (
                any(abs(rest - step - other) <= row.tolerance for other in others) for step in (size, 0.0)
            )
            if is_divided == is_not:
                continue
            if is_divided:
                divided.add(row.stored.raw)
            if is_not:
                undivided.add(row.stored.raw)
                at = row.stored.known_from
                decides |= at < last_close or at.date() > late
        if decides:
            return -math.inf, set()
        if divided & undivided:
            return None, set()
        return (_EXACT if divided else 0.0), undivided

    def _sums_between(self, row: date, split: date) -> list[float]:
        """Return the sums of the logs of any splits between a row and a split, which are not decided yet."""
        ratios = {other.day: other.ratio for other in (*self._view.recorded, *self._events) if row < other.day < split}
        sums = [0.0]
        for ratio in list(ratios.values())[:_MOST_BETWEEN]:
            sums += [each + math.log(ratio) for each in sums]
        return sums

    def _rest(self, row: _Common) -> float:
        """Return the log factor of a stored close that the decided splits leave unexplained."""
        return row.factor - sum(math.log(split.ratio) for split in self._reflected if split.day > row.day)

    def _is_inside(self, split: ShareSplit) -> bool:
        bars = self._view.bars
        return bool(bars) and bars[0].day < split.day

    def _drop_repeated(self) -> None:
        """Keep one of the splits that are named twice: of one day, or of days beside each other."""
        kept: list[ShareSplit] = []
        for split in self._events:
            twin = next((other for other in kept if self._is_twin(other, split)), None)
            if twin is None:
                kept.append(split)
                continue
            keep = self._of_twins(twin, split)
            kept = [*(other for other in kept if other != twin), *([] if keep is None else [keep])]
            if keep is not None:
                self._not_shown.append(twin if keep == split else split)
        for day, ratios in _ratios(self._view.splits).items():
            once = self._once(day, ratios) if len(ratios) > 1 else None
            if once is not None:
                kept = [ShareSplit(day, once) if split.day == day else split for split in kept]
                dropped = list(ratios)
                dropped.remove(once)
                self._not_shown += [ShareSplit(day, ratio) for ratio in dropped]
        self._events = sorted(kept)
        self._replace_recorded()

    def _replace_recorded(self) -> None:
        """Let a listed split take the place of a recorded one on a day beside it that is not listed any more.

        A reply that begins after the earlier day may leave that out: the recorded one stays.
        """
        for before in self._unlisted():
            twin = next((each for each in self._events if self._is_twin(*sorted((before, each)))), None)
            if twin is None:
                continue
            if self._is_inside(min(before, twin)):
                self._not_shown.append(before)
            else:
                self._not_shown.append(twin)
                self._events.remove(twin)

    def _unlisted(self) -> list[ShareSplit]:
        """Return the recorded splits that the reply does not list, without those whose place a listed one takes."""
        listed = {split.day for split in self._view.splits}
        return [
            split for split in _by_day(self._view.recorded) if split.day not in listed and split not in self._not_shown
        ]

    def _is_twin(self, one: ShareSplit, other: ShareSplit) -> bool:
        """Return whether two days are named for one split: near, of one ratio, and not both in the prices."""
        near = len(self._view.calendar.sessions(one.day, other.day)) - 1 <= SESSIONS_APART
        if not (one.day < other.day and near and abs(one.ratio / other.ratio - 1) <= SAME_RATIO):
            return False
        both = self._agrees(one.day, math.log(one.ratio) + math.log(other.ratio))
        return not both and not any(self._rose(split, self._odds(split), 0.0) for split in (one, other))

    def _of_twins(self, first: ShareSplit, second: ShareSplit) -> ShareSplit | None:
        """Return which of two days named for one split counts; None where the reply shows nothing of either.

        The prices fall at the right one, or the stored closes between the two tell, or one is recorded. Else the later
        one counts, as a split is announced before it is executed; the sessions between the two are unproven.
        """
        falls = [odds.still <= -DECIDED for odds in map(self._odds, (first, second))]
        if falls[0] != falls[1]:
            return first if falls[0] else second
        shown, is_proven = self._stored_twin(first, second)
        if shown is not None and is_proven:
            return shown
        self._unproven.append(DoubtfulDays(first.day, second.day, first.ratio))
        recorded = [split for split in (first, second) if split.day in {each.day for each in self._view.recorded}]
        if len(recorded) == 1:
            return recorded[0]
        if not self._is_inside(first):
            return None
        if self._is_open(first, second):
            self._pending = second
        return shown or second

    def _is_open(self, first: ShareSplit, second: ShareSplit) -> bool:
        """Return whether the second day is still to come while closes may be divided by the first."""
        settled = self._view.settled
        return self._is_inside(first) and (settled is None or second.day > settled) and first.day <= self._view.today

    def _stored_twin(self, first: ShareSplit, second: ShareSplit) -> tuple[ShareSplit | None, bool]:
        """Return the one that stored closes between the two days show, and whether they prove it.

        Closes on the new basis show the first one where their reply was not divided by the second. They prove it where
        the reply came before that day, or agreed with stored closes on the old basis.
        """
        size, opened = math.log(first.ratio), _open_from(self._view.calendar, second.day)
        later = {0.0, sum(math.log(split.ratio) for split in self._events if split.day > second.day)}

        def differ_by(step: float, since: date, before: date) -> list[StoredClose]:
            rows = [row for row in self._common if since <= row.day < before]
            return [row.stored for row in rows if any(abs(row.factor - step - more) <= row.tolerance for more in later)]

        if differ_by(size, first.day, second.day):
            return second, True
        undivided, divided = (differ_by(step, date.min, first.day) for step in (size, 0.0))
        shown = False
        for row in differ_by(0.0, first.day, second.day):
            if row.known_from < opened or any(
                old.known_from <= row.known_from or old.raw == row.raw for old in undivided
            ):
                return first, True
            shown |= row.raw not in {old.raw for old in divided}
        return (first if shown else None), False

    def _once(self, day: date, ratios: Sequence[float]) -> float | None:
        """Return the ratio that counts alone where a day has several; None where all of them do."""
        alone = [ratio for ratio in ratios if self._agrees(day, math.log(ratio))]
        if alone:
            return alone[0]
        alike = all(abs(ratio / ratios[0] - 1) <= SAME_RATIO for ratio in ratios)
        return ratios[0] if alike and not self._agrees(day, sum(map(math.log, ratios))) else None

    def _agrees(self, day: date, size: float) -> bool:
        """Return whether the last common sessions before a day differ by this log factor, and later splits."""
        rows = [row for row in self._common if row.day < day][-SESSIONS_APART:]
        later = sum(math.log(split.ratio) for split in self._events if split.day > day)
        return bool(rows) and any(
            all(abs(row.factor - size - more) <= row.tolerance for row in rows) for more in {0.0, later}
        )

    def _odds(self, split: ShareSplit) -> StepOdds:
        view = self._view
        return step_odds(view.bars, split.day, split.ratio, self._days, cash=view.cash, settled=view.settled)

    def _unlisted_factor(self) -> ShareSplit | None:
        """Return an unlisted split: stored closes differ by constant factors in all common sessions before a day."""
        rows = [(row, self._rest(row)) for row in self._common if not self._is_corrected(row)]
        off = [i for i, (row, rest) in enumerate(rows) if abs(rest) > max(2 * row.tolerance, math.log1p(_LEAST_FACTOR))]
        if not off:
            return None
        before = rows[: off[-1] + 1]
        if len(off) < (1 - _MOST_EXCEPTIONS) * len(before):
            return None
        rests = [rows[i] for i in off]
        beside = [
            any(abs(rest - other) <= row.tolerance for _, other in (*rests[max(0, i - 1) : i], *rests[i + 1 : i + 2]))
            for i, (row, rest) in enumerate(rests)
        ]
        factor = math.exp(median(rest for _, rest in rests))
        alone = len(rests) == 1 and _is_usual(factor)
        if not alone and sum(beside) < (1 - _MOST_EXCEPTIONS) * len(rests):
            return None
        after = rows[off[-1] + 1 :]
        return ShareSplit(after[0][0].day if after else rests[-1][0].day, factor)

    def _is_corrected(self, row: _Common) -> bool:
        return any(row.day < split.day for split in self._corrected)


def _by_day(splits: Sequence[ShareSplit]) -> list[ShareSplit]:
    """Return one split for each day, with the product of its ratios, in order."""
    return sorted(ShareSplit(day, math.prod(ratios)) for day, ratios in _ratios(splits).items())


def _ratios(splits: Sequence[ShareSplit]) -> dict[date, list[float]]:
    ratios: dict[date, list[float]] = {}
    for split in splits:
        ratios.setdefault(split.day, []).append(split.ratio)
    return ratios


def _common_sessions(view: ReplyView) -> list[_Common]:
    if not view.stored:
        return []
    half = _half_unit([bar.close for bar in view.bars])
    rows = []
    for bar in view.bars:
        stored = view.stored.get(bar.day)
        if stored is not None and stored.close > 0:
            tolerance = _PRECISION + half / bar.close + half / stored.close
            rows.append(_Common(bar.day, math.log(stored.close / bar.close), tolerance, stored))
    return rows


def _half_unit(closes: Sequence[float]) -> float:
    """Return half a unit of the last decimal of closes that are rounded to two to four decimals, else 0."""
    for places in (2, 3, 4):
        scale = 10.0**places
        if all(abs(close * scale - round(close * scale)) <= 1e-6 * scale + 1e-7 * close * scale for close in closes):
            return 0.5 / scale
    return 0.0


def _close_before(calendar: Calendar, day: date) -> datetime:
    """Return the close of the last session before a day; from it on a vendor may have divided the prices."""
    return calendar.close_of(calendar.back(day, 1))


def _open_from(calendar: Calendar, day: date) -> datetime:
    """Return the open of the first session on a day or after it."""
    return calendar.open_of(calendar.sessions(day, day + _LONGEST_CLOSURE)[0])


def _is_usual(factor: float) -> bool:
    """Return whether a factor is a usual split ratio: n for 1 or m for n of small whole numbers, or the inverse."""
    size = max(factor, 1 / factor)
    if size < 1.2:
        return False
    most = 1 if size > 10 else 10
    return any(abs(size * n - round(size * n)) <= 1e-4 * size * n for n in range(1, most + 1))
