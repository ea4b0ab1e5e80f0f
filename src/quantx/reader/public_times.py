"""When daily rows were public: when their session settled on the exchange of their symbol."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from quantx.core.model import SETTLED_AFTER
from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.reader.session_times import SessionTimes

_DAY = timedelta(days=1)


def with_public_at(rows: pl.DataFrame, times: SessionTimes) -> pl.DataFrame:
    """Add `public_at` (UTC) to rows with symbol and date: as `public_by` of bars decides.

    A row of a day without a session is public with the next one; of a day outside of the calendar, at its end in UTC.
    """
    codes = {symbol: venue_of(symbol).calendar for symbol in rows["symbol"].unique()}
    days = rows.select("date", code=pl.col("symbol").replace_strict(codes, return_dtype=pl.String))
    sessions = [
        times.of(code).select(pl.lit(code).alias("code"), "date", (pl.col("close") + SETTLED_AFTER).alias("public_at"))
        for code in sorted(set(codes.values()))
    ]
    if not sessions:
        return rows.with_columns(pl.lit(None, INSTANT).alias("public_at"))
    known = pl.concat(sessions)
    pairs = days.unique().sort("date")
    first = known.group_by("code").agg(pl.col("date").min().alias("__first"))
    at = pairs.join_asof(known.sort("date"), on="date", by="code", strategy="forward", check_sortedness=False)
    at = at.join(first, on="code").select(
        "date",
        "code",
        pl.when(pl.col("date") >= pl.col("__first"))
        .then("public_at")
        .fill_null((pl.col("date") + _DAY).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
        .cast(INSTANT)
        .alias("public_at"),
    )
    return rows.with_columns(days.join(at, on=["date", "code"], how="left", maintain_order="left")["public_at"])
