"""What the lake holds: its tables, and each series with its first and last session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE, Table
from quantx.pipeline.runtime.platform import Platform

# In which tables the rows of a kind of series are.
_TABLES = {"bars_1d": (BARS_1D, BARS_1D_ADJUSTED), "bars_1m": (BARS_1M,), "actions": (ACTIONS,)}
_REVISIONS = {name: tuple(table.revisions for table in tables) for name, tables in _TABLES.items()}


def manifest_of(platform: Platform) -> dict[str, Any]:
    """Return the tables (version, rows, files, size) and the series (sessions, rows, revisions, rejected rows)."""
    rows, revised = ({name: _per_series(platform, t) for name, t in tables.items()} for tables in (_TABLES, _REVISIONS))
    rejected, gaps = _rejected(platform), _gaps(platform)
    series = []
    for known in platform.state.series.manifest():
        key, kind = (known["source"], known["symbol"]), _kind(known)
        found = rows[kind].get(key, {})
        series.append(
            {
                "source": known["source"],
                "dataset": known["dataset"],
                "timeframe": known["timeframe"],
                "symbol": known["symbol"],
                "first": found.get("first"),
                "last": found.get("last"),
                "rows": found.get("rows", 0),
                "revised": revised[kind].get(key, {}).get("rows", 0),
                "rejected": rejected.get((kind, *key), 0),
                "covered": known["covered"],
                "vendor_has_nothing": known["nothing"].strip("{}"),
                "gaps_open": gaps.get((kind, *key), {}).get("open", 0),
                "gaps_explained": gaps.get((kind, *key), {}).get("explained", 0),
                "failures": known["failures"],
                "last_error": known["last_error"],
                "last_asked_at": known["last_asked_at"],
            }
        )
    return {
        "lake": platform.location.url,
        "tables": [facts for table in platform.tables.values() if (facts := table.facts())],
        "series": series,
    }


def _gaps(platform: Platform) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return how many sessions are missing and how many are explained, by kind, vendor and symbol."""
    return {(_kind(row), row["source"], row["symbol"]): row for row in platform.state.gaps.count()}


def _kind(series: Mapping[str, Any]) -> str:
    return "actions" if series["dataset"] == "actions" else f"bars_{series['timeframe']}"


def _per_series(platform: Platform, tables: Sequence[Table]) -> dict[tuple[str, str], dict[str, Any]]:
    """Count the rows of each vendor and symbol; a vendor's daily bars are in one of two tables."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for table in map(platform.tables.__getitem__, (t.name for t in tables)):
        day = "date" if "date" in table.table.schema else "ex_date"
        counted = (
            table.scan()
            .group_by("source", "symbol")
            .agg(pl.len().alias("rows"), pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
        )
        found |= {(row["source"], row["symbol"]): row for row in table.collect(counted).iter_rows(named=True)}
    return found


def _rejected(platform: Platform) -> dict[tuple[str, str, str], int]:
    """Count the rows that are rejected still by kind, vendor and symbol."""
    table = platform.tables[QUARANTINE.name]
    kind = pl.col("dataset").str.strip_suffix("_adjusted")
    counted = table.collect(
        table.scan().filter(pl.col("passed").is_null()).group_by(kind, "source", "symbol").agg(pl.len())
    )
    return {(kind, source, symbol): rows for kind, source, symbol, rows in counted.iter_rows()}
