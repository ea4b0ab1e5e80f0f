"""What the state promises of series, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from quantx.core.model import Series, Window
from quantx.state.values import Row

Sessions = tuple[date | None, date | None]  # the first and the last one that is curated


@dataclass(frozen=True)
class SeriesFacts:
    """What a reply has proved about its series."""

    series: Series
    covered: Window | None
    nothing: Sequence[Window]
    first_session: date | None
    watermark: date | None
    asked_through: date | None
    asked_at: datetime


@dataclass(frozen=True)
class SeriesProgress:
    """How far a series is."""

    watermark: date | None
    asked_through: date | None
    asked_at: datetime | None
    refused: bool  # the last answer was one that asking again does not change: unknown, not entitled


class SeriesBook(Protocol):
    """What is known of each series."""

    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, patience: float
    ) -> dict[str, list[Window]]:
        """Return the parts of the windows that were never answered, by symbol.

        What the vendor was late with when it was asked less than `patience` seconds before `now` is left out.
        """
        ...

    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        """Return how far the series are; what was never asked is absent."""
        ...

    def manifest(self) -> list[Row]:
        """Return what is known of every series, for people."""
        ...
