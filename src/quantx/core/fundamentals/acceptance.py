"""When a filing was public: the acceptance time that the SEC sends is UTC in some downloads, New York's in others."""

from __future__ import annotations

import polars as pl

NEW_YORK = "America/New_York"

# How `public_at` is known.
ACCEPTED_UTC, FILED_DAY = "accepted_utc", "filed_day"


def public_times(filings: pl.DataFrame) -> pl.DataFrame:
    """Return the filings with `public_at` (UTC) and `public_how` in place of `accepted`.

    A filing without an acceptance time is public at the end of its day of filing in New York.
    """
    midnight = pl.col("filed").dt.offset_by("1d").cast(pl.Datetime("us")).dt.replace_time_zone(NEW_YORK)
    return filings.with_columns(
        pl.coalesce("accepted", midnight.dt.convert_time_zone("UTC")).alias("public_at"),
        pl.when(pl.col("accepted").is_null())
        .then(pl.lit(FILED_DAY))
        .otherwise(pl.lit(ACCEPTED_UTC))
        .alias("public_how"),
    ).drop("accepted")
