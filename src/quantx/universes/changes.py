"""Derive membership intervals from today's members and the list of changes, backwards in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, timedelta

from quantx.universes.protocol import LatestSymbol, Member

_DAY = timedelta(days=1)
_NEAR = timedelta(days=7)  # announcement and effective date of a change differ by days


@dataclass(frozen=True)
class CurrentMember:
    """A current member, with its joining date according to the source."""

    symbol: str
    name: str
    since: date | None


@dataclass(frozen=True)
class MembershipChange:
    """The addition and the removal on a day, by the symbols of that day; one of them may be missing."""

    day: date
    _: KW_ONLY
    added: str | None
    added_name: str
    removed: str | None
    removed_name: str


def membership(
    current: Sequence[CurrentMember], changes: Sequence[MembershipChange], latest: LatestSymbol
) -> tuple[list[Member], list[str]]:
    """Return the membership intervals, and the contradictions between the two lists.

    A change has the symbols of its day; `latest` gives today's symbol if it is known. An addition with an unknown
    symbol is a renamed member if exactly one member without an addition joined on that day. Contradictions are reported
    and otherwise ignored: today's list is right about today.
    """
    walk = _Walk(current, latest, {latest(c.added, c.day) for c in changes if c.added})
    for day in sorted({change.day for change in changes}, reverse=True):
        walk.back_over(day, [change for change in changes if change.day == day])
    return walk.intervals(), walk.contradictions


class _Walk:
    """The members on a day that moves into the past, and the closed intervals after it."""

    def __init__(self, current: Sequence[CurrentMember], latest: LatestSymbol, added: set[str]) -> None:
        self.contradictions: list[str] = []
        self._latest = latest
        self._since = {c.symbol: c.since for c in current}
        self._unexplained = {c.symbol for c in current} - added  # members without an addition in the changes
        self._names = {c.symbol: c.name for c in current}
        self._open: dict[str, date | None] = dict.fromkeys(self._since)  # member → last day
        self._closed: list[Member] = []

    def back_over(self, day: date, changes: Sequence[MembershipChange]) -> None:
        """Undo the changes of a day: first additions, then removals, because an addition may reuse a removed symbol."""
        for change in changes:
            if change.added:
                self._undo_addition(day, change.added, change.added_name)
        for change in changes:
            if change.removed:
                self._undo_removal(day, change.removed, change.removed_name)

    def _undo_addition(self, day: date, added: str, name: str) -> None:
        symbol = self._latest(added, day)
        if symbol not in self._open:
            symbol = self._renamed(day) or symbol
        if symbol in self._open:
            self._close(symbol, day)
            return
        self.contradictions.append(f"{added} ({name}) joined on {day}, but is not a member after that day")

    def _renamed(self, day: date) -> str | None:
        near = [s for s in self._unexplained if s in self._open and _apart(self._since[s], day) <= _NEAR]
        exact = [s for s in near if self._since[s] == day]
        candidates = exact if len(exact) == 1 else near
        if len(candidates) != 1:
            return None
        self._unexplained.remove(candidates[0])
        return candidates[0]

    def _undo_removal(self, day: date, removed: str, name: str) -> None:
        symbol = self._latest(removed, day - _DAY)
        if symbol in self._open:
            since = self._since.get(symbol)
            if self._open[symbol] is not None or since is None or since < day:
                self.contradictions.append(f"{removed} ({name}) left on {day}, but is a member after that day")
                return
            self._close(symbol, since)  # it joined again, without an addition in the changes
        self._open[symbol] = day - _DAY
        self._names.setdefault(symbol, name)

    def _close(self, symbol: str, first: date | None) -> None:
        last = self._open.pop(symbol)
        if first is not None and last is not None and last < first:
            self.contradictions.append(f"{symbol} joined on {first} and left on {last + _DAY}")
            return
        self._closed.append((symbol, "us", self._names.get(symbol), first, last))

    def intervals(self) -> list[Member]:
        """Return all intervals; a member before the first change joined on its own date, if it has one."""
        for symbol in list(self._open):
            still = self._open[symbol] is None
            self._close(symbol, self._since.get(symbol) if still else None)
        return self._closed


def _apart(one: date | None, other: date) -> timedelta:
    return abs(one - other) if one is not None else timedelta.max
