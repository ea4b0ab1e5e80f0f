"""What the state promises of gaps, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from quantx.core.gap_schedule import Ask, Gap
from quantx.state.values import Row


class Gaps(Protocol):
    """Sessions that series lack, until they are filled or explained. Who was asked for them is what the tasks say."""

    def known(self, symbols: Collection[str] | None = None) -> list[Gap]:
        """Return the gaps of these symbols, or all, that are open or explained; those that were filled are left out."""
        ...

    def asks(self, symbols: Collection[str]) -> list[Ask]:
        """Return what tasks of the kind `heal` have asked for about these symbols, in the order of planning."""
        ...

    def due(self, sources: Collection[str], now: datetime) -> list[str]:
        """Return the symbols of which an open gap of one of these vendors is to be asked for by `now`."""
        ...

    def put(self, gaps: Sequence[Gap]) -> None:
        """Record gaps as they are now, each in place of what was recorded of it before."""
        ...

    def count(self) -> list[Row]:
        """Return source, dataset, timeframe, symbol, open and explained: how many; series without any are absent."""
        ...
