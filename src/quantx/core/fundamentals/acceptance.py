"""When a filing was public: the acceptance time that the SEC sends is UTC in some downloads, New York's in others.

It always ends in Z. Fannie Mae's 1,140 filings, downloaded twice, moved by exactly New York's difference from UTC; one
download of NVIDIA's has both, New York's in the newest rows. Which clock a row has is decided per page as it was sent:

- EDGAR accepts filings from 06:00 to 22:00 in New York, and finishes late ones some minutes after 22:00. A row that
  falls outside when it is read as New York's is therefore UTC, and so are the older rows of its page.
- The rows above the newest such row are read as New York's: late where they are UTC, never early.
- Notices that the SEC files itself (EFFECT, QUALIF: numbers that begin with 99999999) are made at any hour, and prove
  nothing. Filings of some early years have the day alone, as midnight in New York.
- Two downloads of one filing that differ by New York's difference from UTC prove both: the later one is UTC.
"""

from __future__ import annotations

from datetime import time

import polars as pl

NEW_YORK = "America/New_York"

# How `public_at` is known.
ACCEPTED_UTC, ACCEPTED_NEW_YORK = "accepted_utc", "accepted_new_york"  # proven to be UTC; assumed to be New York's
CONFIRMED, FILED_DAY = "confirmed", "filed_day"  # by a second download; the end of the day of filing
BY_VENDOR = "vendor"  # sent with the row, by a vendor without filings

# https://www.sec.gov/submit-filings/filing-operations: 06:00 to 22:00. Apple's of 2022-10-04 was accepted at 22:05:07.
_OPENS, _CLOSES = time(6), time(22, 30)
_OWN_NOTICES = "99999999"

PAGE = ("symbol", "page")  # rows of one page as it was sent; their clock is decided together


def public_times(filings: pl.DataFrame) -> pl.DataFrame:
    """Return the filings with `public_at` (UTC) and `public_how` in place of `accepted` and `page`.

    `accepted` is the time as it was sent, read as UTC; `page` numbers the pages of a filer's reply. A filing without a
    time is public at the end of its day of filing in New York.
    """
    sent = pl.col("accepted").dt.replace_time_zone(None)  # the clock's hands
    as_new_york = sent.dt.replace_time_zone(NEW_YORK, ambiguous="latest", non_existent="null").dt.convert_time_zone(
        "UTC"
    )
    utc_in_new_york = pl.col("accepted").dt.convert_time_zone(NEW_YORK)
    day_alone = (sent.dt.time() == time(0)) | (utc_in_new_york.dt.time() == time(0))
    outside = ~sent.dt.time().is_between(_OPENS, _CLOSES)
    proves_utc = outside & ~day_alone & ~pl.col("accession").str.starts_with(_OWN_NOTICES)
    newest_utc = pl.col("accepted").filter(proves_utc).max().over(PAGE)
    is_utc = (pl.col("accepted") <= newest_utc).fill_null(False)
    known = pl.col("accepted").is_not_null() & ~day_alone
    return filings.with_columns(
        pl.when(known & is_utc)
        .then("accepted")
        .when(known)
        .then(pl.coalesce(as_new_york, pl.col("accepted").dt.offset_by("5h")))
        .otherwise(end_of_day("filed"))
        .alias("public_at"),
        pl.when(known & is_utc)
        .then(pl.lit(ACCEPTED_UTC))
        .when(known)
        .then(pl.lit(ACCEPTED_NEW_YORK))
        .otherwise(pl.lit(FILED_DAY))
        .alias("public_how"),
    ).drop("accepted", "page")


def end_of_day(day: str, zone: str = NEW_YORK) -> pl.Expr:
    """Return the instant at which a day ends in a zone, in UTC."""
    midnight = pl.col(day).dt.offset_by("1d").cast(pl.Datetime("us")).dt.replace_time_zone(zone)
    return midnight.dt.convert_time_zone("UTC")


def public_or_filed_day(zone: str = NEW_YORK) -> pl.Expr:
    """Return `public_at`, or the end of the day of filing in a zone where the instant is not known."""
    return pl.coalesce("public_at", end_of_day("filed", zone)).alias("public_at")


def reconcile_times(filings: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return filings (symbol, accession, public_at, public_how) reconciled with the stored times of the same filings.

    Times that differ by New York's difference from UTC, or not at all, are one time: no revision. Where the two
    downloads prove it (one was sent in each clock), the stored row gets the proven time. A time that was proven to be
    UTC stays where it is sent again without the row that proves it, which has moved to another page. Otherwise the
    later time is kept, unless a stored one is confirmed.
    """
    before = stored.select("symbol", "accession", pl.col("public_at").alias("_at"), pl.col("public_how").alias("_how"))
    joined = filings.join(before, on=["symbol", "accession"], how="left", maintain_order="left")
    sent, sent_before = _as_sent("public_at", "public_how"), _as_sent("_at", "_how")
    proven = pl.max_horizontal(sent, sent_before)
    earlier = pl.min_horizontal(sent, sent_before)
    as_new_york = earlier.dt.replace_time_zone(NEW_YORK, ambiguous="latest", non_existent="null")
    two_clocks = (as_new_york.dt.convert_time_zone("UTC").dt.replace_time_zone(None) == proven).fill_null(False)
    proven_utc = proven.dt.replace_time_zone("UTC")
    hours = (pl.col("public_at") - pl.col("_at")).dt.total_seconds().abs()
    one_time = hours.is_in([0, 4 * 3600, 5 * 3600]).fill_null(False)
    proven_before = (pl.col("_how") == ACCEPTED_UTC) & (sent == sent_before)
    keep = one_time & ((pl.col("_how") == CONFIRMED) | proven_before | (pl.col("_at") >= pl.col("public_at")))
    return (
        joined.with_columns(
            pl.when(two_clocks & (pl.col("_at") != proven_utc) & (pl.col("_how") != CONFIRMED))
            .then(pl.struct(proven_utc.alias("public_at"), pl.lit(CONFIRMED).alias("public_how")))
            .when(two_clocks | keep)
            .then(pl.struct(pl.col("_at").alias("public_at"), pl.col("_how").alias("public_how")))
            .otherwise(pl.struct("public_at", "public_how"))
            .alias("_reconciled")
        )
        .with_columns(pl.col("_reconciled").struct.field("public_at"), pl.col("_reconciled").struct.field("public_how"))
        .drop("_at", "_how", "_reconciled")
    )


def _as_sent(at: str, how: str) -> pl.Expr:
    """Return the clock's hands as they were sent; null where they were not the evidence."""
    in_new_york = pl.col(at).dt.convert_time_zone(NEW_YORK).dt.replace_time_zone(None)
    return (
        pl.when(pl.col(how) == ACCEPTED_UTC)
        .then(pl.col(at).dt.replace_time_zone(None))
        .when(pl.col(how) == ACCEPTED_NEW_YORK)
        .then(in_new_york)
    )
