"""Merge a vendor's rows with the stored ones: no row is lost or doubled, and previous values become revisions."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quantx.core.table import Table

STORED = "__stored"


@dataclass(frozen=True)
class Merge:
    """The changes of a batch to a table; all frames have the table's columns."""

    new: pl.DataFrame  # rows with a new key
    changed: pl.DataFrame  # rows that replace the current row of their key
    superseded: pl.DataFrame  # previous values; the table's columns and `known_to`
    same: int  # number of incoming rows without a change


def merge(stored: pl.DataFrame, incoming: pl.DataFrame, table: Table) -> Merge:
    """Split `incoming` into new, changed and unchanged rows of `table`, given the current rows `stored`.

    Both have the columns of the table and unique keys. `incoming` may have other columns, which are ignored, and
    columns `<value>_step`: a difference up to the step is not a change. A row that differs, but became known before the
    stored row of its key, is a previous value: it goes to `superseded`. A null in `incoming` takes the stored value,
    unless null is a value in the table.

    The law: merging the same rows again changes nothing.
    """
    columns = list(table.schema)
    if stored.is_empty():
        return Merge(incoming.select(columns), table.empty(), table.revisions.empty(), same=0)
    joined = incoming.join(
        stored.select(columns).rename({c: c + STORED for c in columns if c not in table.key}),
        on=list(table.key),
        how="left",
        nulls_equal=True,
    )
    is_new = pl.col("known_from" + STORED).is_null()
    if table.null_is_unknown:
        joined = joined.with_columns(
            pl.when(is_new).then(pl.col(c)).otherwise(pl.coalesce(c, c + STORED)).alias(c) for c in table.values
        )
    is_other = pl.any_horizontal(differs(c, table, joined.columns) for c in table.values)
    newer = pl.col("known_from") >= pl.col("known_from" + STORED)
    joined = joined.with_columns(
        pl.when(is_new)
        .then(pl.lit("new"))
        .when(~is_other)
        .then(pl.lit("same"))
        .when(newer)
        .then(pl.lit("changed"))
        .otherwise(pl.lit("older"))
        .alias("__verdict")
    )
    parts = joined.partition_by("__verdict", as_dict=True)
    new, same, changed, older = (parts.get((v,), joined.clear()) for v in ("new", "same", "changed", "older"))
    replaced = changed.select(
        *(pl.col(c) if c in table.key else pl.col(c + STORED).alias(c) for c in columns),
        pl.col("known_from").alias("known_to"),
    )
    return Merge(
        new=new.select(columns),
        changed=changed.select(columns),
        superseded=pl.concat([replaced, older.select(*columns, pl.col("known_from" + STORED).alias("known_to"))]),
        same=same.height,
    )


def differs(column: str, table: Table, available: list[str]) -> pl.Expr:
    """Return whether a value differs from the column `<value>__stored`, beyond the table's tolerance."""
    now, before = pl.col(column), pl.col(column + STORED)
    relative = table.relative_tolerance.get(column)
    if relative is None:
        return now.ne_missing(before)
    allowed = before.abs() * relative
    if f"{column}_step" in available:
        allowed = pl.max_horizontal(allowed, pl.col(f"{column}_step"))
    return ((now - before).abs() > allowed).fill_null(False) | (now.is_null() != before.is_null())
