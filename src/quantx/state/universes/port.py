"""The port of universes, and its values."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Protocol

from quantx.state.values import Row, Universe


class Universes(Protocol):
    """Named lists of symbols."""

    def put(self, universe: Universe) -> None:
        """Record a universe with all its members; it replaces the earlier record."""
        ...

    def enable(self, names: Collection[str]) -> None:
        """Enable these universes for daily updates, and disable all others."""
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

        `since`: also members that left on that day or later; `among`: only of these universes.
        """
        ...

    def listed(self) -> list[Row]:
        """Return name, phase, market, source_type, members and refreshed_at of each universe."""
        ...

    def freshness(self) -> list[Row]:
        """Return the progress of the members of each enabled universe."""
        ...
