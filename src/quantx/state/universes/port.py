"""What the state promises of universes, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Protocol

from quantx.state.values import Row, Universe


class Universes(Protocol):
    """Named lists of symbols."""

    def put(self, universe: Universe) -> None:
        """Record a universe with all of its members, in place of what was recorded before."""
        ...

    def enable(self, names: Collection[str]) -> None:
        """Let these universes take part in daily updates, and no others."""
        ...

    def symbols(
        self,
        universe: str | None,
        phase: str | None,
        *,
        since: date | None = None,
        among: Collection[str] | None = None,
    ) -> list[str]:
        """Return the members of a universe, of a phase's enabled universes, or of all that are enabled.

        `since`: also those who have left on that day or later; `among`: of these universes alone.
        """
        ...

    def listed(self) -> list[Row]:
        """Return name, phase, market, source_type, members and refreshed_at of each universe."""
        ...

    def freshness(self) -> list[Row]:
        """Return how far the members of each enabled universe are."""
        ...
