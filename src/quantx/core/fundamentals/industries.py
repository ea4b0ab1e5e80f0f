"""The divisions of the Standard Industrial Classification: the sector of a filer's code. Pure."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from quantx.core.table import INSTANT

# First and last major group (the first two digits) of each division:
# https://www.osha.gov/data/sic-manual, read in November 2026. The SEC's codes are from the same manual.
DIVISIONS = (
    (1, 9, "Agriculture, Forestry and Fishing"),
    (10, 14, "Mining"),
    (15, 17, "Construction"),
    (20, 39, "Manufacturing"),
    (40, 49, "Transportation, Communications and Utilities"),
    (50, 51, "Wholesale Trade"),
    (52, 59, "Retail Trade"),
    (60, 67, "Finance, Insurance and Real Estate"),
    (70, 89, "Services"),
    (91, 98, "Public Administration"),
    (99, 99, "Nonclassifiable Establishments"),
)
_BY_GROUP = {group: name for first, last, name in DIVISIONS for group in range(first, last + 1)}


def with_sector(filers: pl.DataFrame) -> pl.DataFrame:
    """Return filers with `sector`: the division of `sic`, null for a code of no division."""
    group = pl.col("sic").str.zfill(4).str.slice(0, 2).cast(pl.Int64, strict=False)
    return filers.with_columns(group.replace_strict(_BY_GROUP, default=None, return_dtype=pl.String).alias("sector"))


INDUSTRY = ("sic", "industry", "sector")


def with_industries(instruments: pl.DataFrame, securities: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Return rows of `instruments` with the industries of `securities` (instrument, name, sic, industry, sector).

    Securities that are not among the instruments get a row. An instrument that is not among the securities keeps what
    it has. `known_from` is `now` in the rows that have changed.
    """
    before = instruments.select("instrument", *(pl.col(c).alias(f"{c}_known") for c in INDUSTRY))
    rows = instruments.drop(INDUSTRY).join(
        securities.select("instrument", *INDUSTRY), on="instrument", how="left", maintain_order="left"
    )
    rows = rows.join(before, on="instrument", maintain_order="left").with_columns(
        *(pl.coalesce(c, f"{c}_known").alias(c) for c in INDUSTRY)
    )
    changed = pl.any_horizontal(*(pl.col(c).ne_missing(pl.col(f"{c}_known")) for c in INDUSTRY))
    rows = rows.with_columns(pl.when(changed).then(pl.lit(now, INSTANT)).otherwise("known_from").alias("known_from"))
    new = securities.join(instruments, on="instrument", how="anti").with_columns(
        pl.lit("us").alias("market"),
        pl.lit("equity").alias("asset_class"),
        pl.lit("listed").alias("status"),
        pl.lit("the SEC's list of tickers").alias("evidence"),
        pl.lit(now, INSTANT).alias("known_from"),
        *(pl.lit(None, instruments.schema[c]).alias(c) for c in ("listed_on", "delisted_on", "reason")),
    )
    columns = instruments.columns
    return pl.concat([rows.select(columns), new.select(columns)])
