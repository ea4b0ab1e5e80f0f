"""The port of curated replies, and its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quantx.core.model import Series, StoredReply
from quantx.state.series.port import SeriesFacts, Sessions
from quantx.state.values import Row


@dataclass(frozen=True)
class Holding:
    """The number and size of the curated replies about a symbol."""

    source: str
    symbol: str
    replies: int
    size: int  # bytes


class Replies(Protocol):
    """Replies that a finished round has, to derive the tables again. The caller holds the curator's role."""

    def holdings(self, source: str | None, symbols: Collection[str] | None) -> list[Holding]:
        """Return the symbols with curated replies; symbols that were stored together come side by side.

        `source`, `symbols`: only of these; None: of all.
        """
        ...

    def curated(self, source: str, symbols: Collection[str]) -> list[StoredReply]:
        """Return the curated replies about some symbols in the order of fetching, also those that can't be read."""
        ...

    def unknown(self, paths: Collection[str]) -> set[str]:
        """Return the raw objects among `paths` that have not landed in this state."""
        ...

    def objects(self) -> list[str]:
        """Return the paths of all raw objects that have landed in this state."""
        ...

    def stored(self) -> list[Row]:
        """Return the raw objects by source and dataset: source, dataset, objects, replies, size (bytes), last_at."""
        ...

    def first_and_last_objects(self, most: int) -> list[str]:
        """Return the paths of the first and of the last raw objects that have landed, up to `most` of each."""
        ...

    def of_object(self, path: str) -> list[StoredReply]:
        """Return the replies that have landed with a raw object, in their order; none for an unknown object."""
        ...

    def restate(
        self,
        source: str,
        facts: Sequence[SeriesFacts],
        sessions: Mapping[Series, Sessions],
        recent: Collection[str],
        hot_bars: str,
    ) -> None:
        """Record the facts that were derived again from a vendor's replies.

        `facts`, in the order of the replies, are added to the recorded coverage. `sessions` are the first session and
        the watermark of series as they are now, also where the watermark goes back. `hot_bars` (JSON) replace the
        recent rows of the symbols `recent`.
        """
        ...
