"""The request of an export, and what it reads of an open lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl

from quantx.core.preference import BEST
from quantx.core.prices import ADJUSTMENTS, Adjust
from quantx.core.symbol_history import SymbolHistory
from quantx.errors import ConfigError
from quantx.lake.protocol import StoredTables
from quantx.reader.export.layouts import LAYOUTS, TIMEFRAMES, BarFiles


class ReadBars(Protocol):
    """`Lake.bars`."""

    def __call__(
        self,
        symbols: Sequence[str],
        start: date | None,
        end: date | None,
        *,
        timeframe: str,
        adjust: Adjust,
        source: str | None,
        extended: bool,
        on: Mapping[str, date | None],
    ) -> pl.DataFrame:
        """Return bars."""
        ...


class ReadActions(Protocol):
    """`Lake.actions`."""

    def __call__(self, symbols: Sequence[str], *, source: str | None, on: Mapping[str, date | None]) -> pl.DataFrame:
        """Return splits and dividends."""
        ...


@dataclass(frozen=True, kw_only=True)
class ExportReads:
    """What an export reads of an open lake."""

    url: str
    tables: StoredTables
    history: SymbolHistory
    bars: ReadBars
    actions: ReadActions
    sources_of: Callable[[str, str], Sequence[str]]
    members: Callable[[str], Mapping[str, date | None]]  # of a universe in the window: symbol and last day
    preferred: Callable[[Mapping[str, date | None]], list[str]]  # each security once, by its last symbol
    snapshot: str | None = None  # the name of the snapshot that is read


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What to export, and how; ConfigError for values that no layout has."""

    layout: str
    symbols: tuple[str, ...] | None = None
    universe: str | None = None
    phase: str | None = None
    start: date | None = None
    end: date | None = None
    adjust: Adjust = "none"
    source: str | None = None
    timeframe: str | None = None
    extended: bool = False

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ConfigError(f"unknown layout {self.layout!r}; use {', '.join(LAYOUTS)}")
        if self.timeframe not in (None, *TIMEFRAMES):
            raise ConfigError(f"unknown timeframe {self.timeframe!r}; use {' or '.join(TIMEFRAMES)}")
        if self.adjust not in ADJUSTMENTS:
            raise ConfigError(f"adjust={self.adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
        if sum(each is not None for each in (self.symbols, self.universe, self.phase)) > 1:
            raise ConfigError("symbols, universe and phase exclude each other; give one, or none for the whole lake")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ConfigError(f"the start {self.start} lies after the end {self.end}")
        if self.source == BEST and ("1m" in self.timeframes or any(f.by_source for f in self.files.values())):
            raise ConfigError("source='best' needs daily bars, and a layout without a folder per source")

    @property
    def timeframes(self) -> tuple[str, ...]:
        """Return the timeframes to export."""
        return LAYOUTS[self.layout].default if self.timeframe is None else (self.timeframe,)

    @property
    def files(self) -> dict[str, BarFiles]:
        """Return the files by timeframe."""
        return {timeframe: LAYOUTS[self.layout].bars[timeframe] for timeframe in self.timeframes}

    @property
    def settings(self) -> dict[str, str | None]:
        """Return what must be equal for two exports to one folder."""
        chosen = {"universe": self.universe, "phase": self.phase}
        selection = next((f"{kind} {name}" for kind, name in chosen.items() if name is not None), None)
        return {
            "layout": self.layout,
            "selection": "symbols" if self.symbols is not None else selection or "the whole lake",
            "start": None if self.start is None else self.start.isoformat(),
            "end": None if self.end is None else self.end.isoformat(),
            "adjust": self.adjust,
            "source": self.source,
            "timeframe": " and ".join(self.timeframes),
            "extended": "yes" if self.extended else None,
        }
