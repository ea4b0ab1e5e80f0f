"""Tombstones: the records of data that was deleted for good, by vendor, symbol and day.

A tombstone outlives what it deleted. Planning, curating, reprocessing, backup and restore honour it until it is lifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from quantx.core.model import Series, Window

PRICES = "bars"  # as a dataset of tombstones: bars with their splits and dividends, which come in the same replies
_OF_PRICES = ("bars", "actions")
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class SymbolDays:
    """A stored symbol, and its deleted days (both inclusive; None: open)."""

    symbol: str
    first: date | None = None
    last: date | None = None

    @property
    def whole(self) -> bool:
        """Return whether all days are deleted."""
        return self.first is None and self.last is None

    def overlaps(self, window: Window) -> bool:
        """Return whether some days of a window are deleted."""
        return (self.first is None or self.first <= window.end) and (self.last is None or self.last >= window.start)


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """What was deleted, by whom, when and why."""

    id: str  # ULID
    source: str
    at: datetime  # UTC
    by: str
    reason: str
    symbols: tuple[SymbolDays, ...] | None = None  # None: every symbol
    requested: tuple[str, ...] = ()  # the symbols as they were requested
    dataset: str | None = None  # bars (with their events), or a dataset of facts; None: every dataset
    before: date | None = None  # only earlier days; None: all days
    facts: bool = False  # the vendor reports facts, from which features of other vendors' bars are made, too
    lifted: bool = False
    done: bool = False  # nothing is left to remove

    def has_dataset(self, dataset: str) -> bool:
        """Return whether a dataset of tasks and raw objects is deleted."""
        if self.dataset == PRICES:
            return dataset in _OF_PRICES
        return self.dataset in (None, dataset)

    def spans(self) -> Iterator[SymbolDays]:
        """Yield the deleted days by symbol; of a vendor without named symbols the symbol is empty."""
        for each in (SymbolDays(""),) if self.symbols is None else self.symbols:
            if self.before is None:
                yield each
                continue
            last = self.before - _ONE_DAY
            yield SymbolDays(each.symbol, each.first, last if each.last is None else min(each.last, last))

    def spans_of(self, symbol: str) -> list[SymbolDays]:
        """Return the deleted days of a symbol."""
        return [span for span in self.spans() if self.symbols is None or span.symbol == symbol]

    def spans_in(self, source: str, dataset: str, symbol: str) -> list[SymbolDays]:
        """Return the deleted days of the replies about a series.

        Each reply of facts has the whole history of a symbol: it is deleted as a whole.
        """
        if source != self.source or not self.has_dataset(dataset):
            return []
        spans = self.spans_of(symbol)
        return spans if dataset in _OF_PRICES else [SymbolDays(symbol) for _ in spans[:1]]

    def deletes(self, series: Series, window: Window) -> bool:
        """Return whether a series has deleted days in a window."""
        spans = self.spans_in(series.source, series.dataset, series.symbol)
        return any(span.overlaps(window) for span in spans)

    def describe(self) -> str:
        """Return the tombstone as a part of a message."""
        what = ", ".join(self.requested[:5]) + (", …" if len(self.requested) > 5 else "")
        parts = [f"{self.source}'s {self.dataset or 'data'}", f"of {what}" if what else "of all symbols"]
        parts += [f"before {self.before}"] if self.before else []
        return f"{' '.join(parts)} ({self.reason!a}, {self.by}, {self.at:%Y-%m-%d}; tombstone {self.id})"

    def as_json(self) -> dict[str, Any]:
        """Return the tombstone as its object has it."""
        symbols = None if self.symbols is None else [[s.symbol, _text(s.first), _text(s.last)] for s in self.symbols]
        return {
            "id": self.id,
            "source": self.source,
            "symbols": symbols,
            "requested": list(self.requested),
            "dataset": self.dataset,
            "before": _text(self.before),
            "facts": self.facts,
            "reason": self.reason,
            "by": self.by,
            "at": self.at.isoformat(),
        }

    @staticmethod
    def from_json(facts: Mapping[str, Any], *, lifted: bool = False, done: bool = False) -> Tombstone:
        """Return the tombstone of an object; ValueError, KeyError or TypeError where it is none."""
        symbols = facts["symbols"]
        spans = None if symbols is None else tuple(SymbolDays(name, _day(a), _day(b)) for name, a, b in symbols)
        return Tombstone(
            id=facts["id"],
            source=facts["source"],
            symbols=spans,
            requested=tuple(facts["requested"]),
            dataset=facts["dataset"],
            before=_day(facts["before"]),
            facts=bool(facts.get("facts")),
            reason=facts["reason"],
            by=facts["by"],
            at=datetime.fromisoformat(facts["at"]),
            lifted=lifted,
            done=done,
        )


@dataclass(frozen=True)
class Deleted:
    """The tombstones in force."""

    stones: Sequence[Tombstone] = field(default=())

    @staticmethod
    def of(stones: Iterable[Tombstone]) -> Deleted:
        """Return those that are not lifted."""
        return Deleted(tuple(stone for stone in stones if not stone.lifted))

    def __bool__(self) -> bool:
        return bool(self.stones)

    def whole(self, source: str, dataset: str, symbol: str) -> Tombstone | None:
        """Return the tombstone that deletes all days of a series; None where there is none."""
        wholes = (s for s in self.stones if any(span.whole for span in s.spans_in(source, dataset, symbol)))
        return next(wholes, None)

    def of_series(self, series: Series, window: Window) -> Tombstone | None:
        """Return a tombstone with days of a series in a window; None where there is none."""
        return next((stone for stone in self.stones if stone.deletes(series, window)), None)

    def left(self, series: Series, window: Window) -> Window | None:
        """Return a window without the deleted days at its ends; None where all of it is deleted.

        Deleted days in the middle stay in the window: their rows are dropped when the reply is curated.
        """
        first, last = window.start, window.end
        of = (series.source, series.dataset, series.symbol)
        spans = [span for stone in self.stones for span in stone.spans_in(*of)]
        for _ in range(2):  # two spans may follow each other
            for span in spans:
                begins, ends = span.first or date.min, span.last or date.max
                if begins <= first and last <= ends:
                    return None
                if begins <= first <= ends:
                    first = ends + _ONE_DAY
                if begins <= last <= ends:
                    last = begins - _ONE_DAY
        return Window(first, last) if first <= last else None


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
