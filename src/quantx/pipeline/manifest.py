"""What the lake holds: its tables, and each series with its first and last session."""

from __future__ import annotations

from typing import Any

import polars as pl

from quantx.core.tables import BARS_1D, QUARANTINE
from quantx.lake.protocol import CuratedTable
from quantx.pipeline.platform import Platform


def manifest_of(platform: Platform) -> dict[str, Any]:
    """Return the tables (version, rows, files, size) and the series (sessions, rows, revisions, rejected rows)."""
    rows = _per_series(
        platform.tables[BARS_1D.name], pl.col("date").min().alias("first"), pl.col("date").max().alias("last")
    )
    revised = _per_series(platform.tables[BARS_1D.revisions.name])
    rejected = _per_series(platform.tables[QUARANTINE.name])
    series = []
    for known in platform.state.series.manifest():
        key = (known["source"], known["symbol"])
        found = rows.get(key, {})
        series.append(
            {
                "source": known["source"],
                "timeframe": known["timeframe"],
                "symbol": known["symbol"],
                "first": found.get("first"),
                "last": found.get("last"),
                "rows": found.get("rows", 0),
                "revised": revised.get(key, {}).get("rows", 0),
                "rejected": rejected.get(key, {}).get("rows", 0),
                "covered": known["covered"],
                "vendor_has_nothing": known["nothing"].strip("{}"),
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


def _per_series(table: CuratedTable, *more: pl.Expr) -> dict[tuple[str, str], dict[str, Any]]:
    counted = table.collect(table.scan().group_by("source", "symbol").agg(pl.len().alias("rows"), *more))
    return {(row["source"], row["symbol"]): row for row in counted.iter_rows(named=True)}
