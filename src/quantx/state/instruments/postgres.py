"""The symbol history in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import override

from quantx.state.database import Database, run
from quantx.state.instruments.port import Instruments
from quantx.state.values import Named


class PostgresInstruments(Instruments):
    """A copy of the lake's symbol history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def put(self, namings: Sequence[Named]) -> None:
        columns = list(zip(*namings, strict=True)) or [()] * 4
        names = ("instruments", "symbols", "firsts", "lasts")
        with self._database.transaction() as connection:
            run(connection, "instruments.forget_namings", {})
            values = {name: list(column) for name, column in zip(names, columns, strict=True)}
            run(connection, "instruments.add_namings", values)

    @override
    def namings(self) -> list[Named]:
        rows = self._database.rows("instruments.list_namings")
        return [(r["instrument"], r["symbol"], r["symbol_from"], r["symbol_to"]) for r in rows]
