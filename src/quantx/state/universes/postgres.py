"""Universes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from quantx.state.database import Database, run
from quantx.state.values import Row, Universe


class PostgresUniverses:
    """Named lists of symbols."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, universe: Universe) -> None:
        """Record a universe with all of its members."""
        facts = {"name": universe.name, "phase": universe.phase, "market": universe.market}
        facts["source_type"] = universe.source_type
        current = sum(until is None for *_, until in universe.members)
        columns = list(zip(*universe.members, strict=True)) or [()] * 5
        with self._database.transaction() as connection:
            refreshed = {"members": current, "refreshed_at": universe.refreshed_at, "enabled": universe.enabled}
            run(connection, "universes.put_universe", {**facts, **refreshed})
            run(connection, "universes.remove_members", {"universe": universe.name})
            names = ("symbols", "markets", "names", "froms", "tos")
            members = {name: list(column) for name, column in zip(names, columns, strict=True)}
            run(connection, "universes.add_members", {"universe": universe.name, **members})

    def enable(self, names: Collection[str]) -> None:
        """Let these universes take part in daily updates, and no others."""
        with self._database.transaction() as connection:
            run(connection, "universes.enable", {"names": list(names)})

    def symbols(
        self,
        universe: str | None,
        phase: str | None,
        *,
        since: date | None = None,
        among: Collection[str] | None = None,
    ) -> list[str]:
        """Return the members of a universe, of a phase's enabled universes, or of all that are enabled."""
        names = None if among is None else list(among)
        chosen = {"universe": universe, "phase": phase, "since": since, "among": names}
        return [row["symbol"] for row in self._database.rows("universes.symbols", **chosen)]

    def listed(self) -> list[Row]:
        """Return the universes."""
        return self._database.rows("universes.list_universes")

    def freshness(self) -> list[Row]:
        """Return how far the members of each enabled universe are."""
        return self._database.rows("universes.freshness")
