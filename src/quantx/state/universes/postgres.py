"""Universes in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from typing_extensions import override

from quantx.state.database import Database, run
from quantx.state.universes.port import Universes
from quantx.state.values import Row, Universe


class PostgresUniverses(Universes):
    """Named lists of symbols."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def put(self, universe: Universe) -> None:
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

    @override
    def enable(self, names: Collection[str]) -> None:
        with self._database.transaction() as connection:
            run(connection, "universes.enable", {"names": list(names)})

    @override
    def symbols(
        self,
        universe: str | None,
        phase: str | None,
        *,
        since: date | None = None,
        among: Collection[str] | None = None,
    ) -> list[str]:
        names = None if among is None else list(among)
        chosen = {"universe": universe, "phase": phase, "since": since, "among": names}
        return [row["symbol"] for row in self._database.rows("universes.symbols", **chosen)]

    @override
    def listed(self) -> list[Row]:
        return self._database.rows("universes.list_universes")

    @override
    def freshness(self) -> list[Row]:
        return self._database.rows("universes.freshness")
