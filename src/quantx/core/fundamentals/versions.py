"""Values through time: each row is the value of a key from `at` on, until the next row of the key.

A frame of versions has `key`, `at` (public from then on), `nth` (the number of the last fact it is made of; facts are
numbered in the order in which they became public), `value` and `facts` (the facts it is made of: their numbers from 1,
negative where they are subtracted).
"""

from __future__ import annotations

import polars as pl

VERSION = ("key", "at", "nth", "value", "facts")


def changes(versions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that change the value of their key, in the order of the keys and of time."""
    ordered = versions.sort("key", "at", "nth").unique(["key", "at"], keep="last", maintain_order=True)
    first = pl.col("key") != pl.col("key").shift()
    return ordered.filter(first.fill_null(True) | pl.col("value").ne_missing(pl.col("value").shift()))


def resolve(candidates: pl.DataFrame, order: list[pl.Expr], member: tuple[str, ...] = ("member",)) -> pl.DataFrame:
    """Return the version that is the choice at each time, of several members per key (by the columns `member`).

    At each time at which a candidate changes, the latest version of each member is known. The first one by `order`
    (expressions over the columns of the candidates; `at` is that of the version, `event` the time) is the choice.
    """
    several = pl.any_horizontal(pl.col(c).min().over("key") != pl.col(c).max().over("key") for c in member)
    flagged = candidates.with_columns(several.alias("several"))
    single = flagged.filter(~pl.col("several")).drop("several")
    multi = flagged.filter("several").drop("several").sort("at", "nth")
    if multi.is_empty():
        return single
    events = multi.group_by("key", pl.col("at").alias("event")).agg(pl.col("nth").max().alias("event_nth"))
    known = (
        events.join(multi.select("key", *member).unique(), on="key")
        .sort("event")
        .join_asof(multi, left_on="event", right_on="at", by=["key", *member], coalesce=False, check_sortedness=False)
        .filter(pl.col("nth").is_not_null())
    )
    best = known.sort("key", "event", *order).unique(["key", "event"], keep="first", maintain_order=True)
    best = best.with_columns(at=pl.col("event"), nth=pl.col("event_nth"))
    return pl.concat([single, best.select(single.columns)])


def combine(members: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the versions of sums, from the time at which all their required parts are known.

    `members` has a row for each part: `chain` (the sum), `cell` (the key of the part), `sign`, `required`. The result
    has `chain` in place of `key`.
    """
    lengths = versions.group_by("key").agg(pl.len().alias("times"))
    counted = members.join(lengths, left_on="cell", right_on="key", how="left", maintain_order="left")
    # Most parts are reported once: their sums need no states.
    once = ((pl.col("times") == 1).fill_null(False) & pl.col("required")).all().over("chain")
    still, moving = (counted.filter(each).drop("times") for each in (once, ~once))
    states = [still.join(versions.select(VERSION), left_on="cell", right_on="key")]
    sums = [_sums(states[0], "chain")]
    if moving.height:
        sums.append(_sums(_states(moving, versions), "chain", "at"))
    return pl.concat(sums)


def _sums(states: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Return the sum of the parts in each state, public with the last of them."""
    at = [] if "at" in by else [pl.col("at").max()]
    signed = (pl.col("facts") * pl.col("sign")).list.explode(keep_nulls=False, empty_as_null=False)
    made = states.group_by(by).agg(
        *at, pl.col("nth").max(), (pl.col("value") * pl.col("sign")).sum().alias("value"), signed.alias("facts")
    )
    return made.select("chain", "at", "nth", "value", pl.col("facts").list.sort())


def _states(members: pl.DataFrame, versions: pl.DataFrame) -> pl.DataFrame:
    """Return the parts of sums with their versions at each time `at` at which one of them changes."""
    known = members.join(versions.select("key", "at"), left_on="cell", right_on="key")
    firsts = known.group_by("chain", "cell", "required").agg(pl.col("at").min())
    begin = firsts.group_by("chain").agg(
        pl.coalesce(pl.col("at").filter("required").max(), pl.col("at").min()).alias("begin")
    )
    missing = members.filter("required").join(firsts, on=["chain", "cell"], how="anti")
    begin = begin.join(missing, on="chain", how="anti")
    events = known.join(begin, on="chain").select("chain", pl.max_horizontal("at", "begin").alias("at")).unique()
    states = events.join(members, on="chain").sort("at")
    ordered = versions.sort("at").select(VERSION)
    found = states.join_asof(ordered, on="at", by_left="cell", by_right="key", check_sortedness=False)
    return found.filter(pl.col("nth").is_not_null())
