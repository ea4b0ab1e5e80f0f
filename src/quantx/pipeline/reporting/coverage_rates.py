"""Coverage of published rates: the days with rates among those on which the publisher issues some."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from quantx.core.rate_series import RATE_SERIES
from quantx.core.rate_tables import FX_RATES, RATES
from quantx.lake.protocol import StoredTables
from quantx.pages.views import HtmlTable, per_cent, table_of

RATE_COVERAGE = {
    "source": pl.String,
    "series": pl.String,
    "first": pl.Date,
    "newest": pl.Date,
    "due": pl.Date,  # the newest day whose rates are public
    "expected": pl.UInt32,  # days from the first one to `due`
    "present": pl.UInt32,  # of the expected days
    "items": pl.UInt32,  # tenors, or currencies
}


def rate_coverage(tables: StoredTables, now: datetime) -> pl.DataFrame:
    """Return RATE_COVERAGE of the stored series of rates at an instant."""
    parts = [pl.DataFrame(schema=RATE_COVERAGE)]
    for table, item in ((RATES, "tenor"), (FX_RATES, "quote")):
        stored = tables[table.name]
        if stored.version() is None:
            continue
        rows = stored.scan().group_by("source", "symbol")
        counted = stored.collect(rows.agg(pl.col("date").unique(), pl.col(item).n_unique().alias("items")))
        for source, symbol, days, items in counted.sort("source", "symbol").iter_rows():
            if symbol not in RATE_SERIES:
                continue
            series = RATE_SERIES[symbol]
            due = series.newest(now)
            expected = series.days(min(days), due)
            present = len(set(days).intersection(expected))
            row = (source, symbol, min(days), max(days), due, len(expected), present, items)
            parts.append(pl.DataFrame([row], schema=RATE_COVERAGE, orient="row"))
    return pl.concat(parts)


def rate_tables(coverage: pl.DataFrame) -> Iterator[HtmlTable]:
    """Yield the table of the series; nothing where the lake has none."""
    rows = [
        row | {"missing": row["expected"] - row["present"], "share": per_cent(row["present"], row["expected"])}
        for row in coverage.iter_rows(named=True)
    ]
    heads = {
        "series": "series",
        "source": "source",
        "items": "tenors or currencies",
        "first": "first day",
        "newest": "newest day",
        "due": "due",
        "expected": "expected days",
        "missing": "missing",
        "share": "completeness, %",
    }
    if rows:
        yield table_of(rows, "Series of rates", heads)
