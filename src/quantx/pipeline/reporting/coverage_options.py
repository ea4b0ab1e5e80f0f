"""Coverage of options: the sessions with rows among those of the calendar, by underlying, from the tables' logs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.option_tables import OPTION_TABLES
from quantx.core.options.hours import CALENDAR
from quantx.lake.protocol import StoredTable, StoredTables
from quantx.pages.views import HtmlTable, per_cent, table_of

OPTION_COVERAGE = {
    "source": pl.String,
    "dataset": pl.String,
    "underlying": pl.String,
    "first": pl.Date,
    "newest": pl.Date,
    "expected": pl.UInt32,  # sessions from the first to the newest one
    "present": pl.UInt32,
    "rows": pl.UInt64,
}
# source, underlying, date, rows
SESSION_ROWS = {"source": pl.String, "underlying": pl.String, "date": pl.Date, "rows": pl.UInt64}


def option_coverage(tables: StoredTables) -> pl.DataFrame:
    """Return OPTION_COVERAGE of the stored sessions."""
    parts = [pl.DataFrame(schema=OPTION_COVERAGE)]
    for table in OPTION_TABLES:
        if "date" not in table.schema:
            continue
        sessions = session_rows(tables[table.name])
        for (source, underlying), part in sessions.group_by("source", "underlying", maintain_order=True):
            days = part["date"].unique().to_list()
            expected = calendar(CALENDAR).sessions(min(days), max(days))
            present = len(set(days).intersection(expected))
            row = (source, table.name, underlying, min(days), max(days), len(expected), present, part["rows"].sum())
            parts.append(pl.DataFrame([row], schema=OPTION_COVERAGE, orient="row"))
    return pl.concat(parts)


def missing_sessions(sessions: pl.DataFrame) -> list[date]:
    """Return the sessions of the calendar between the first and the last date of SESSION_ROWS that have no row."""
    days = set(sessions["date"].to_list())
    return [day for day in calendar(CALENDAR).sessions(min(days), max(days)) if day not in days] if days else []


def session_rows(stored: StoredTable) -> pl.DataFrame:
    """Return SESSION_ROWS of a table: of files with one session and source from the log, else from the rows."""
    key, files = ["source", "underlying", "date"], stored.files()
    if stored.version() is None:
        return pl.DataFrame(schema=SESSION_ROWS)
    counted = pl.len().cast(pl.UInt64).alias("rows")
    if not {"min.source", "min.date"} <= set(files.columns):
        return stored.collect(stored.scan().group_by(key).agg(counted)).sort(key)
    alone = (pl.col("min.date") == pl.col("max.date")) & (pl.col("min.source") == pl.col("max.source"))
    partition = [f"partition.{name}" for name in stored.table.partitions]
    mixed = files.filter(~alone).select(partition).unique()
    of_log = files.join(mixed, on=partition, how="anti").select(
        pl.col("min.source").alias("source"),
        pl.col("partition.underlying").alias("underlying"),
        pl.col("min.date").alias("date"),
        pl.col("num_records").cast(pl.UInt64).alias("rows"),
    )
    parts = [of_log]
    for values in mixed.iter_rows():
        named = zip(stored.table.partitions, values, strict=True)
        within = pl.all_horizontal(pl.col(c) == pl.lit(value, stored.table.schema[c]) for c, value in named)
        rows = stored.scan().filter(within).group_by(key).agg(counted)
        parts.append(stored.collect(rows).select(of_log.columns))
    return pl.concat(parts).group_by(key).agg(pl.col("rows").sum()).sort(key)


def option_tables(coverage: pl.DataFrame) -> Iterator[HtmlTable]:
    """Yield the table of the underlyings; nothing where the lake has no options."""
    rows = [
        row | {"missing": row["expected"] - row["present"], "share": per_cent(row["present"], row["expected"])}
        for row in coverage.iter_rows(named=True)
    ]
    heads = {
        "underlying": "underlying",
        "dataset": "dataset",
        "source": "source",
        "first": "first session",
        "newest": "newest session",
        "expected": "expected sessions",
        "missing": "missing",
        "share": "completeness, %",
        "rows": "rows",
    }
    if rows:
        yield table_of(rows, "Options", heads)
