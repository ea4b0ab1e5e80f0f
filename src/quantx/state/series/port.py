"""The port of series, and its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime
from typing import Protocol

from quantx.core.model import Series, Window
from quantx.state.values import Row

Sessions = tuple[date | None, date | None]  # the first and the last curated session


@dataclass(frozen=True)
class SeriesFacts:
    """The facts about a series from one reply."""

    series: Series
    _: KW_ONLY
    covered: Window | None
    nothing: Sequence[Window]
    first_session: date | None
    watermark: date | None
    asked_through: date | None
    asked_at: datetime


@dataclass(frozen=True)
class SeriesProgress:
    """The progress of a series."""

    watermark: date | None
    asked_through: date | None
    asked_at: datetime | None
    refused: bool  # the last reply was final: unknown symbol, not entitled
    last_error: str | None = None  # of the last request, if it failed


class SeriesBook(Protocol):
    """Coverage and watermark of each series."""

    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, late_seconds: float
    ) -> dict[str, list[Window]]:
        """Return the uncovered parts of the windows, by symbol.

        Days for which the vendor was late are left out until `late_seconds` after the last request.
        """
        ...

    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        """Return the progress of the series; a series without a request is absent."""
        ...

    def refused(self, limit: int) -> list[Row]:
        """Return source, timeframe, symbol, last_error and last_asked_at of series that their vendor refuses.

        The first `limit` by symbol and source.
        """
        ...

    def manifest(self) -> list[Row]:
        """Return the coverage of every series, for people."""
        ...
