"""The manifest of the lake: its tables, and each series with its first and last session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE, Table
from quantx.lake.protocol import CuratedTable, Tables
from quantx.state.gaps.port import Gaps
from quantx.state.series.port import SeriesBook

# The tables of each kind of series.
_TABLES = {"bars_1d": (BARS_1D, BARS_1D_ADJUSTED), "bars_1m": (BARS_1M,), "actions": (ACTIONS,)}
_REVISIONS = {name: tuple(table.revisions for table in tables) for name, tables in _TABLES.items()}


def manifest_of(tables: Tables, series: SeriesBook, gaps: Gaps, lake: str) -> dict[str, Any]:
    """Return the tables (version, rows, files, size) and the series (sessions, rows, revisions, rejected rows)."""
    rows, revised = ({name: _per_series(tables, t) for name, t in kinds.items()} for kinds in (_TABLES, _REVISIONS))
    rejected = _rejected(tables[QUARANTINE.name])
    counts = {(_kind(row), row["source"], row["symbol"]): row for row in gaps.count()}
    listed = []
    for row in series.manifest():
        key, kind = (row["source"], row["symbol"]), _kind(row)
        stored, missing = rows[kind].get(key, {}), counts.get((kind, *key), {})
        listed.append(
            {
                "source": row["source"],
                "dataset": row["dataset"],
                "timeframe": row["timeframe"],
                "symbol": row["symbol"],
                "first": stored.get("first"),
                "last": stored.get("last"),
                "rows": stored.get("rows", 0),
                "revised": revised[kind].get(key, {}).get("rows", 0),
                "rejected": rejected.get((kind, *key), 0),
                "covered": row["covered"],
                "vendor_has_nothing": row["nothing"].strip("{}"),
                "gaps_open": missing.get("open", 0),
                "gaps_explained": missing.get("explained", 0),
                "failures": row["failures"],
                "last_error": row["last_error"],
                "last_asked_at": row["last_asked_at"],
            }
        )
    return {
        "lake": lake,
        "tables": [facts for table in tables.values() if (facts := table.facts())],
        "series": listed,
    }


def _kind(series: Mapping[str, Any]) -> str:
    return "actions" if series["dataset"] == "actions" else f"bars_{series['timeframe']}"


def _per_series(tables: Tables, kinds: Sequence[Table]) -> dict[tuple[str, str], dict[str, Any]]:
    """Count the rows of each vendor and symbol; a vendor's daily bars are in one of two tables."""
    counts: dict[tuple[str, str], dict[str, Any]] = {}
    for table in (tables[kind.name] for kind in kinds):
        day = "date" if "date" in table.table.schema else "ex_date"
        counted = (
            table.scan()
            .group_by("source", "symbol")
            .agg(pl.len().alias("rows"), pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
        )
        counts |= {(row["source"], row["symbol"]): row for row in table.collect(counted).iter_rows(named=True)}
    return counts


def _rejected(table: CuratedTable) -> dict[tuple[str, str, str], int]:
    """Count the quarantined rows that did not pass later, by kind, vendor and symbol."""
    kind = pl.col("dataset").str.strip_suffix("_adjusted")
    counted = table.collect(
        table.scan().filter(pl.col("passed").is_null()).group_by(kind, "source", "symbol").agg(pl.len())
    )
    return {(kind, source, symbol): rows for kind, source, symbol, rows in counted.iter_rows()}
