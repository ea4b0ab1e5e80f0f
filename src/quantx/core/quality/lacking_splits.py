"""Which splits the stored rows of earlier replies lack: every combination is weighed for each raw object. Pure.

A reply is on one basis, so that all rows of a raw object lack the same splits. The evidence, in units of log odds: the
reply's own closes of the same sessions, which are equal or differ by the ratios; and the steps from a stored session to
the following one, against the usual move of the series (see price_steps.py).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations, pairwise
from typing import NamedTuple

from quantx.core.calendars import Calendar
from quantx.core.quality.price_steps import DECIDED, log_density
from quantx.core.quality.split_basis import ShareSplit

_SAME_CLOSE = 0.002  # the usual log difference of one session's closes on one basis: they are rounded
_MOST_SPLITS = 6  # that are combined; each doubles the number of combinations


class StoredBar(NamedTuple):
    """A stored session: its as-traded close, the raw object that it came from, and when it became known."""

    day: date
    close: float
    raw: str
    known_from: datetime


@dataclass(frozen=True, kw_only=True)
class ShownHistory:
    """What a reply shows: as-traded closes, its splits, and the usual daily log return."""

    closes: Mapping[date, float]
    splits: Collection[ShareSplit]
    calendar: Calendar
    sigma: float


def lacking_splits(
    rows: Sequence[StoredBar], shown: ShownHistory, concerned: Collection[ShareSplit]
) -> dict[str, tuple[ShareSplit, ...]]:
    """Return the splits of `concerned` that the rows of each raw object lack; a raw object in doubt is absent.

    `rows` are stored rows, in order. Raw objects are decided from the latest to the earliest, as a step shows the basis
    of a row only beside a row whose basis is known. A row lacks no split that its reply came before.
    """
    by_raw: dict[str, list[StoredBar]] = defaultdict(list)
    for row in reversed(rows):
        by_raw[row.raw].append(row)
    days = sorted({row.day for row in rows} | shown.closes.keys())
    following = dict(pairwise(days))
    stored = {row.day: row for row in rows}
    decided: dict[str, tuple[ShareSplit, ...]] = {}
    for raw, bars in by_raw.items():
        known_from = min(bar.known_from for bar in bars)
        possible = [split for split in sorted(concerned) if _eve(shown.calendar, split.day) <= known_from]
        odds = {
            lacks: 0.0 for size in range(len(possible) + 1) for lacks in combinations(possible[-_MOST_SPLITS:], size)
        }
        for bar in bars:
            later = following.get(bar.day)
            for lacks in odds:
                odds[lacks] += _odds_of(bar, lacks, shown, None if later is None else stored.get(later), later, decided)
        best, *others = sorted(odds, key=lambda lacks: odds[lacks], reverse=True)
        if not others or odds[best] - odds[others[0]] >= DECIDED:
            decided[raw] = best
    return decided


def _odds_of(
    bar: StoredBar,
    lacks: Collection[ShareSplit],
    shown: ShownHistory,
    after: StoredBar | None,
    later: date | None,
    decided: Mapping[str, Collection[ShareSplit]],
) -> float:
    """Return the log density of a row's close if its raw object lacks these splits."""
    close = bar.close * ratio_after(bar.day, lacks)
    if bar.day in shown.closes:
        return log_density(math.log(close / shown.closes[bar.day]), _SAME_CLOSE)
    if later is None:
        return 0.0
    if later in shown.closes:
        following = shown.closes[later]
    elif after is not None and (after.raw == bar.raw or after.raw in decided):
        following = after.close * ratio_after(later, lacks if after.raw == bar.raw else decided[after.raw])
    else:
        return 0.0
    step = -math.log(ratio_after(bar.day, shown.splits) / ratio_after(later, shown.splits))
    sigma = shown.sigma * math.sqrt(max(1.0, (later - bar.day).days * 5 / 7))
    return log_density(math.log(following / close) - step, sigma)


def ratio_after(day: date, splits: Collection[ShareSplit]) -> float:
    """Return the shares at the end for one share of a day."""
    return math.prod(split.ratio for split in splits if split.day > day)


def _eve(calendar: Calendar, day: date) -> datetime:
    """Return the close of the last session before a day; from it on a vendor may have divided the prices."""
    return calendar.close_of(calendar.back(day, 1))
