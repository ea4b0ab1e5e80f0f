"""Today's members and the list of changes, walked backwards: who was a member when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from quantx.universes.protocol import LatestSymbol, Member

_DAY = timedelta(days=1)
_NEAR = timedelta(days=7)  # a member's own date and the date of the change differ by days: announced, effective


@dataclass(frozen=True)
class Current:
    """A member of today, and since when it is said to be one."""

    symbol: str
    name: str
    since: date | None


@dataclass(frozen=True)
class Change:
    """Who joined and who left on a day, under the symbols of that day; one of them may be missing."""

    day: date
    added: str | None
    added_name: str
    removed: str | None
    removed_name: str


def membership(
    current: Sequence[Current], changes: Sequence[Change], latest: LatestSymbol
) -> tuple[list[Member], list[str]]:
    """Return the intervals of membership, and what in the two lists contradicts each other.

    A change names securities by the symbols of its day: `latest` gives today's where it is known. Where it is not, a
    member that is said to have joined on the day of an addition which nobody else explains is that addition, renamed
    since. A contradiction is told and else passed over: the list of today is the truth about today.
    """
    walk = _Walk(current, latest, {latest(c.added, c.day) for c in changes if c.added})
    for day in sorted({change.day for change in changes}, reverse=True):
        walk.back_over(day, [change for change in changes if change.day == day])
    return walk.finished(), walk.contradictions


class _Walk:
    """The members as of a day that moves into the past, and the intervals that it has left behind."""

    def __init__(self, current: Sequence[Current], latest: LatestSymbol, added: set[str]) -> None:
        self.contradictions: list[str] = []
        self._latest = latest
        self._since = {c.symbol: c.since for c in current}
        self._unexplained = {c.symbol for c in current} - added  # no change tells of their joining
        self._names = {c.symbol: c.name for c in current}
        self._open: dict[str, date | None] = dict.fromkeys(self._since)  # member → last day
        self._closed: list[Member] = []

    def back_over(self, day: date, changes: Sequence[Change]) -> None:
        """Take back what happened on a day: first who joined, then who left, since one may have taken another's symbol."""
        for change in changes:
            if change.added:
                self._unjoin(day, change.added, change.added_name)
        for change in changes:
            if change.removed:
                self._unleave(day, change.removed, change.removed_name)

    def _unjoin(self, day: date, added: str, name: str) -> None:
        symbol = self._latest(added, day)
        if symbol not in self._open:
            symbol = self._renamed(day) or symbol
        if symbol in self._open:
            self._close(symbol, day)
            return
        self.contradictions.append(f"{added} ({name}) joined on {day}, and is no member after that day")

    def _renamed(self, day: date) -> str | None:
        near = [s for s in self._unexplained if s in self._open and _apart(self._since[s], day) <= _NEAR]
        exact = [s for s in near if self._since[s] == day]
        one = exact if len(exact) == 1 else near
        if len(one) != 1:
            return None
        self._unexplained.remove(one[0])
        return one[0]

    def _unleave(self, day: date, removed: str, name: str) -> None:
        symbol = self._latest(removed, day - _DAY)
        if symbol in self._open:
            since = self._since.get(symbol)
            if self._open[symbol] is not None or since is None or since < day:
                self.contradictions.append(f"{removed} ({name}) left on {day}, and is a member after that day")
                return
            self._close(symbol, since)  # it has come back since, which no change tells
        self._open[symbol] = day - _DAY
        self._names.setdefault(symbol, name)

    def _close(self, symbol: str, first: date | None) -> None:
        last = self._open.pop(symbol)
        if first is not None and last is not None and last < first:
            self.contradictions.append(f"{symbol} joined on {first} and left on {last + _DAY}")
            return
        self._closed.append((symbol, "us", self._names.get(symbol), first, last))

    def finished(self) -> list[Member]:
        """Return all intervals; who was a member before the first change began on its own date, if it has one."""
        for symbol in list(self._open):
            still = self._open[symbol] is None
            self._close(symbol, self._since.get(symbol) if still else None)
        return self._closed


def _apart(one: date | None, other: date) -> timedelta:
    return abs(one - other) if one is not None else timedelta.max
