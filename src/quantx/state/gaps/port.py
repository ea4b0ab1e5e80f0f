"""The port of gaps, and its values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from quantx.core.gap_schedule import Gap, GapRequest
from quantx.state.values import Row


class Gaps(Protocol):
    """Missing sessions of series, until they are filled or explained. Tasks record the requests for them."""

    def known(self, symbols: Collection[str] | None = None) -> list[Gap]:
        """Return the open and explained gaps of these symbols, or of all; filled ones are left out."""
        ...

    def requests(self, symbols: Collection[str]) -> list[GapRequest]:
        """Return the requests by tasks of the kind `heal` for these symbols, in the order of planning."""
        ...

    def due(self, sources: Collection[str], now: datetime) -> list[str]:
        """Return the symbols with an open gap of one of these vendors whose next request is due at `now`."""
        ...

    def put(self, gaps: Sequence[Gap]) -> None:
        """Record gaps; each replaces its earlier record."""
        ...

    def count(self) -> list[Row]:
        """Return source, dataset, timeframe, symbol, and the numbers of open and explained gaps."""
        ...
