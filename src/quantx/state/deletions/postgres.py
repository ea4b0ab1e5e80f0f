"""Deletions in PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

from typing_extensions import override

from quantx.core.tombstones import PRICES, Tombstone
from quantx.state.database import Database, run
from quantx.state.deletions.port import Deletions, Stopped

_ERASED = {
    "hot_bars": "deletions.erase_hot_bars",
    "gaps": "deletions.erase_gaps",
    "findings": "deletions.erase_findings",
    "series": "deletions.erase_series",
}


class PostgresDeletions(Deletions):
    """The state's deletions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def count(self, stone: Tombstone) -> Mapping[str, int]:
        return {row["name"]: row["rows"] for row in self._database.rows("deletions.count", **_values(stone))}

    @override
    def stop_tasks(self, stone: Tombstone) -> Stopped:
        values = _values(stone)
        with self._database.transaction() as connection:
            stopped = run(connection, "deletions.stop_tasks", values)[0]
            run(connection, "deletions.drop_fallback", values)
        return Stopped(stopped["tasks"], stopped["held_until"])

    @override
    def erase(self, stone: Tombstone) -> Mapping[str, int]:
        values = _values(stone)
        with self._database.transaction() as connection:
            erased = {name: len(run(connection, statement, values)) for name, statement in _ERASED.items()}
            run(connection, "deletions.forget_errors", values)
        return erased

    @override
    def replace_object(self, path: str, stand_in: str | None, size: int, kept: Collection[int]) -> None:
        with self._database.transaction() as connection:
            run(connection, "deletions.forget_replies", {"path": path, "kept": sorted(kept)})
            if stand_in is None:
                run(connection, "deletions.forget_object", {"path": path})
            else:
                run(connection, "deletions.move_object", {"path": path, "stand_in": stand_in, "size": size})


def why(stone: Tombstone) -> str:
    """Return the text in place of the errors of tasks."""
    return f"deleted for good: tombstone {stone.id}"


def names_of_datasets(stone: Tombstone) -> tuple[list[str] | None, list[str] | None]:
    """Return the datasets of tasks, and the names that findings have for them; None: all."""
    if stone.dataset is None:
        return None, None
    if stone.dataset == PRICES:
        tables = ("bars_1d", "bars_1d_adjusted", "bars_1m", "adjustment_proofs")
        return ["bars", "actions"], ["bars", "actions", *tables]
    return [stone.dataset], [stone.dataset, f"{stone.dataset}_facts"]


def _values(stone: Tombstone) -> dict[str, Any]:
    datasets, named = names_of_datasets(stone)
    spans = list(stone.spans())
    return {
        "source": stone.source,
        "datasets": datasets,
        "named": named,
        "prices": stone.dataset in (None, PRICES),
        "symbols": [span.symbol for span in spans],
        "firsts": [_open(span.first, "-infinity") for span in spans],
        "lasts": [_open(span.last, "infinity") for span in spans],
        "mentions": rf"\m{re.escape(stone.source)}\M",
        "why": why(stone),
    }


def _open(day: date | None, otherwise: str) -> str:
    return otherwise if day is None else day.isoformat()
