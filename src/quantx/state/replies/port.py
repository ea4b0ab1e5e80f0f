"""What the state promises of replies, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quantx.core.model import Series, StoredReply
from quantx.state.series.port import SeriesFacts, Sessions


@dataclass(frozen=True)
class Holding:
    """The curated replies about a symbol."""

    source: str
    symbol: str
    replies: int
    size: int  # bytes


class Replies(Protocol):
    """Replies that a finished round has, for who derives the tables again. Called by who holds the curator's role."""

    def holdings(self, source: str | None, symbols: Collection[str] | None) -> list[Holding]:
        """Return the symbols about which there are curated replies, those that were stored together side by side.

        `source`, `symbols`: of these alone; None: of all.
        """
        ...

    def curated(self, source: str, symbols: Collection[str]) -> list[StoredReply]:
        """Return the curated replies about some symbols in the order of fetching, also those that can't be read."""
        ...

    def unknown(self, paths: Collection[str]) -> set[str]:
        """Return those of these raw objects that have not landed in this state."""
        ...

    def restate(
        self,
        source: str,
        facts: Sequence[SeriesFacts],
        sessions: Mapping[Series, Sessions],
        recent: Collection[str],
        hot_bars: str,
    ) -> None:
        """Record what was derived anew from a vendor's replies.

        `facts`, in the order of the replies, are added to what is known; `sessions` are the first session and the
        watermark of series as they are now, also where the watermark goes back. The recent rows of the symbols `recent`
        are `hot_bars` (JSON) and no others.
        """
        ...
