"""The changes from a stored table to the one that today's rules derive: pure functions on frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.merge import STORED, differs
from quantx.core.table import Table
from quantx.core.tables import QUARANTINE

QUOTED = ("source", "dataset", "symbol", "date", "row")  # the identity of a rejected row, whichever rules it breaks


@dataclass(frozen=True)
class Change:
    """The changes of one table: rows to add, rows that replace those of their key, and rows to delete."""

    new: pl.DataFrame
    changed: pl.DataFrame
    gone: pl.DataFrame
    before: pl.DataFrame  # the stored rows that `changed` replaces

    @property
    def empty(self) -> bool:
        """Return whether there is no change."""
        return self.new.is_empty() and self.changed.is_empty() and self.gone.is_empty()


def change_of(table: Table, derived: pl.DataFrame, stored: pl.DataFrame) -> Change:
    """Compare current rows; a stored row stays where the values differ in their last bits only.

    A key that a damaged table has twice gets one row again.
    """
    now, key = _as_stored(derived, stored, table), list(table.key)
    differing = pl.concat([_without(now, stored), _of_doubled(now, stored, key)]).unique(maintain_order=True)
    changed = differing.join(stored, on=key, how="semi", nulls_equal=True)
    return Change(
        new=differing.join(changed, on=key, how="anti", nulls_equal=True),
        changed=changed,
        gone=stored.join(now, on=key, how="anti", nulls_equal=True),
        before=stored.join(changed, on=key, how="semi", nulls_equal=True),
    )


def revisions_change_of(
    table: Table, derived: tuple[pl.DataFrame, pl.DataFrame], stored: tuple[pl.DataFrame, pl.DataFrame]
) -> Change:
    """Compare the revisions of a table; `derived` and `stored` are its current rows and its revisions.

    A stored value that today's rules do not derive stays on record with an empty period: no reader sees it at any
    moment, and its trace is kept.
    """
    columns, key = list(table.schema), list(table.revisions.key)
    lasted = pl.col("known_to") > pl.col("known_from")
    before = stored[1].filter(lasted)
    revised = _as_stored(derived[1].filter(lasted), before, table)
    valid = pl.concat([_as_stored(derived[0], stored[0], table), revised.select(columns)])
    withdrawn = _without(pl.concat([stored[0], before.select(columns)]), valid)
    wanted = pl.concat(
        [revised, stored[1].filter(~lasted), withdrawn.with_columns(pl.col("known_from").alias("known_to"))]
    ).unique(maintain_order=True)
    doubled = stored[1].filter(stored[1].is_duplicated())
    touched = pl.concat([_without(wanted, stored[1]), _without(stored[1], wanted), doubled]).select(key).unique()
    rewritten = wanted.join(touched, on=key, how="semi", nulls_equal=True)
    replaced = stored[1].join(touched, on=key, how="semi", nulls_equal=True)
    return Change(
        new=rewritten.join(replaced, on=key, how="anti", nulls_equal=True),
        changed=rewritten.join(replaced, on=key, how="semi", nulls_equal=True),
        gone=replaced.join(rewritten, on=key, how="anti", nulls_equal=True),
        before=replaced,
    )


def quarantine_change_of(derived: pl.DataFrame, stored: pl.DataFrame, policy: int) -> Change:
    """Compare quarantine rows; a row that passes under the rules of version `policy` stays, marked with it.

    A row that breaks other rules than before replaces its stored row.
    """
    key = list(QUARANTINE.key)
    open_ = stored.filter(pl.col("passed").is_null())
    rejected = derived.join(open_, on=key, how="anti", nulls_equal=True)
    rejected = pl.concat([rejected, _of_doubled(derived, stored, key)]).unique(maintain_order=True)
    again = rejected.join(stored, on=key, how="semi", nulls_equal=True)
    not_derived = stored.join(derived, on=key, how="anti", nulls_equal=True)
    replaced = not_derived.join(derived, on=list(QUOTED), how="semi", nulls_equal=True)
    passed = not_derived.join(replaced, on=key, how="anti", nulls_equal=True).filter(pl.col("passed").is_null())
    passed = passed.unique(key, maintain_order=True)
    return Change(
        new=rejected.join(again, on=key, how="anti", nulls_equal=True),
        changed=pl.concat([again, passed.with_columns(pl.lit(policy, pl.Int32).alias("passed"))]),
        gone=replaced,
        before=passed,
    )


def _without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are not among `others`."""
    return rows.join(others, on=rows.columns, how="anti", nulls_equal=True)


def _of_doubled(rows: pl.DataFrame, stored: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return the rows whose key `stored` has more than once."""
    return rows.join(stored.filter(pl.struct(key).is_duplicated()), on=key, how="semi", nulls_equal=True)


def _as_stored(rows: pl.DataFrame, stored: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return `rows` with the stored values where these are the same within the table's tolerance."""
    if stored.is_empty() or rows.is_empty():
        return rows
    fixed = [c for c in rows.columns if c not in table.values]
    previous = stored.select(
        *fixed, *(pl.col(c).alias(c + STORED) for c in table.values), pl.lit(True).alias("__there")
    ).unique(fixed, keep="first", maintain_order=True)
    joined = rows.join(previous, on=fixed, how="left", nulls_equal=True, maintain_order="left")
    same = pl.col("__there").fill_null(False) & ~reduce(or_, (differs(c, table, []) for c in table.values))
    values = (pl.when(same).then(pl.col(c + STORED)).otherwise(pl.col(c)).alias(c) for c in table.values)
    return joined.with_columns(*values).select(rows.columns)
