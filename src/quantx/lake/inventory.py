"""The inventory of a lake: its tables, and what they have of each series. It needs no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS_FACTS
from quantx.core.rate_tables import RATE_TABLES
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE
from quantx.lake.protocol import StoredTable, StoredTables

# The tables of each kind of series.
_TABLES = {
    "bars_1d": (BARS_1D, BARS_1D_ADJUSTED),
    "bars_1m": (BARS_1M,),
    "actions": (ACTIONS,),
    "fundamentals_facts": (FUNDAMENTALS_FACTS,),
    **{table.name: (table,) for table in RATE_TABLES},
}
_REVISIONS = {name: tuple(table.revisions for table in tables) for name, tables in _TABLES.items()}
_DATASETS = {"bars_1d": ("bars", "1d"), "bars_1m": ("bars", "1m"), "actions": ("actions", "1d")}
_DATASETS |= {"fundamentals_facts": ("fundamentals", "filing")}
_DATASETS |= {table.name: (table.name, "1d") for table in RATE_TABLES}
# The facts of the manifest that only the state knows.
_UNKNOWN = (
    "covered",
    "vendor_has_nothing",
    "gaps_open",
    "gaps_explained",
    "failures",
    "last_error",
    "last_asked_at",
)
SeriesKey = tuple[str, str, str]  # kind (a name in _TABLES), vendor, symbol


@dataclass(frozen=True)
class StoredSeries:
    """What the tables have of one series."""

    first: Any = None  # session
    last: Any = None
    rows: int = 0
    revised: int = 0
    rejected: int = 0  # rows in quarantine that did not pass later


def stored_series(tables: StoredTables) -> dict[SeriesKey, StoredSeries]:
    """Return what the tables have of each series, by kind, vendor and symbol."""
    current, revised = ({name: _counted(tables, t) for name, t in kinds.items()} for kinds in (_TABLES, _REVISIONS))
    rejected = _rejected(tables[QUARANTINE.name])
    keys = {(kind, *key) for counts in (current, revised) for kind, found in counts.items() for key in found}
    series = {}
    for key in sorted(keys | rejected.keys()):
        kind, source, symbol = key
        rows = current.get(kind, {}).get((source, symbol), {})
        series[key] = StoredSeries(
            rows.get("first"),
            rows.get("last"),
            rows.get("rows", 0),
            revised.get(kind, {}).get((source, symbol), {}).get("rows", 0),
            rejected.get(key, 0),
        )
    return series


def table_facts(tables: StoredTables) -> list[dict[str, Any]]:
    """Return version, rows, files and size of each table that exists."""
    return [facts for table in tables.values() if (facts := table.facts())]


def inventory_of(tables: StoredTables, lake: str) -> dict[str, Any]:
    """Return the tables and the series of the lake at this address, in the form of the manifest.

    What only the state knows is null: the windows that were fetched, gaps, and failures.
    """
    unknown = dict.fromkeys(_UNKNOWN)
    series = [
        {"source": source, "dataset": dataset, "timeframe": timeframe, "symbol": symbol, **vars(stored), **unknown}
        for (kind, source, symbol), stored in stored_series(tables).items()
        for dataset, timeframe in (_DATASETS.get(kind, (kind, None)),)
    ]
    return {"lake": lake, "tables": table_facts(tables), "series": series}


def _counted(tables: StoredTables, kinds: Sequence[Table]) -> dict[tuple[str, str], dict[str, Any]]:
    """Count the rows of each vendor and symbol; a vendor's daily bars are in one of two tables."""
    counts: dict[tuple[str, str], dict[str, Any]] = {}
    for table in (tables[kind.name] for kind in kinds):
        day = str(table.table.day)
        counted = (
            table.scan()
            .group_by("source", "symbol")
            .agg(pl.len().alias("rows"), pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
        )
        counts |= {(row["source"], row["symbol"]): row for row in table.collect(counted).iter_rows(named=True)}
    return counts


def _rejected(table: StoredTable) -> dict[tuple[str, str, str], int]:
    """Count the quarantined rows that did not pass later, by kind, vendor and symbol."""
    kind = pl.col("dataset").str.strip_suffix("_adjusted")
    counted = table.collect(
        table.scan().filter(pl.col("passed").is_null()).group_by(kind, "source", "symbol").agg(pl.len())
    )
    return {(kind, source, symbol): rows for kind, source, symbol, rows in counted.iter_rows()}
