"""The manifest of the lake: its tables, and each series with its first and last session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantx.lake.inventory import StoredSeries, stored_series, table_facts
from quantx.lake.protocol import StoredTables
from quantx.state.gaps.port import Gaps
from quantx.state.series.port import SeriesBook


def manifest_of(tables: StoredTables, series: SeriesBook, gaps: Gaps, lake: str) -> dict[str, Any]:
    """Return the tables (version, rows, files, size) and the series (sessions, rows, revisions, rejected rows)."""
    found = stored_series(tables)
    counts = {(_kind(row), row["source"], row["symbol"]): row for row in gaps.count()}
    listed = []
    for row in series.manifest():
        key = _kind(row), row["source"], row["symbol"]
        missing = counts.get(key, {})
        listed.append(
            {
                "source": row["source"],
                "dataset": row["dataset"],
                "timeframe": row["timeframe"],
                "symbol": row["symbol"],
                **vars(found.get(key, StoredSeries())),
                "covered": row["covered"],
                "vendor_has_nothing": row["nothing"].strip("{}"),
                "gaps_open": missing.get("open", 0),
                "gaps_explained": missing.get("explained", 0),
                "failures": row["failures"],
                "last_error": row["last_error"],
                "last_asked_at": row["last_asked_at"],
            }
        )
    return {"lake": lake, "tables": table_facts(tables), "series": listed}


def _kind(series: Mapping[str, Any]) -> str:
    kinds = {"actions": "actions", "fundamentals": "fundamentals_facts", "rates": "rates", "fx_rates": "fx_rates"}
    return kinds.get(series["dataset"], f"bars_{series['timeframe']}")
