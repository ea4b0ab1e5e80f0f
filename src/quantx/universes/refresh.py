"""Derive the new membership intervals of a universe from its last ones and a new list."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from quantx.core.table import INSTANT
from quantx.core.tables import UNIVERSE_MEMBERS
from quantx.universes.protocol import MEMBERS


def next_members(stored: pl.DataFrame, listed: pl.DataFrame, today: date) -> pl.DataFrame:
    """Return the membership intervals with the list read on `today`; both frames have the columns of MEMBERS.

    A list with any date in it already has intervals and is used unchanged. A plain list has only the current members: a
    new symbol is a member from today, a missing one was a member until yesterday. On the first reading all are members
    since before the list began.
    """
    dated = listed["member_from"].is_not_null().any() or listed["member_to"].is_not_null().any()
    if dated or stored.is_empty():
        return listed
    open_now = stored.filter(pl.col("member_to").is_null())
    kept = open_now.join(listed, on="symbol", how="semi")
    # A symbol that joined only today and is missing again never was a member.
    gone = open_now.join(listed, on="symbol", how="anti").filter(pl.col("member_from").ne_missing(today))
    joined = listed.join(open_now, on="symbol", how="anti")
    return pl.concat(
        [
            stored.filter(pl.col("member_to").is_not_null()),
            kept.update(listed.select("symbol", "market", "name"), on="symbol"),
            gone.with_columns(pl.lit(today - timedelta(days=1)).alias("member_to")),
            joined.with_columns(pl.lit(today).alias("member_from")),
        ]
    ).select(list(MEMBERS))


def keep_missing_members(stored: pl.DataFrame, listed: pl.DataFrame, today: date) -> pl.DataFrame:
    """Return `listed` with the members of `stored` that are in no interval of it: they left by yesterday.

    A source whose history comes from changes may drop a member from today's list before, or without, a change; its past
    would be lost. A member that is gone because of a new symbol is dropped: a new member has the same joining day.
    """
    gone = stored.join(listed, on="symbol", how="anti")
    renamed = listed.join(stored, on="symbol", how="anti").filter(pl.col("member_to").is_null())
    gone = gone.join(renamed.drop_nulls("member_from"), on="member_from", how="anti")
    yesterday = pl.lit(today - timedelta(days=1))
    left = gone.with_columns(pl.coalesce("member_to", yesterday).alias("member_to"))
    return pl.concat(
        [listed, left.filter(pl.col("member_from").is_null() | (pl.col("member_from") <= pl.col("member_to")))]
    )


def as_table(members: pl.DataFrame, universe: str, phase: str, now: datetime) -> pl.DataFrame:
    """Return members as rows of the curated table."""
    return members.with_columns(
        pl.lit(universe).alias("universe"), pl.lit(phase).alias("phase"), pl.lit(now).cast(INSTANT).alias("known_from")
    ).select(list(UNIVERSE_MEMBERS.schema))
