"""What a table says, against what it would say had today's rules been there from the start: pure functions on frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.merge import STORED, differs
from quantx.core.tables import QUARANTINE, Table

QUOTED = ("source", "dataset", "symbol", "date", "row")  # what a rejected row says, whichever rules it breaks


@dataclass(frozen=True)
class Change:
    """What makes one table say another thing: rows to add, to put in place of those of their key, and to take out."""

    new: pl.DataFrame
    changed: pl.DataFrame
    gone: pl.DataFrame
    before: pl.DataFrame  # the stored rows that `changed` replaces

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return self.new.is_empty() and self.changed.is_empty() and self.gone.is_empty()


def change_of(table: Table, derived: pl.DataFrame, stored: pl.DataFrame) -> Change:
    """Compare current rows; of a row whose values differ in their last bits only, the stored one stays."""
    now, key = _as_stored(derived, stored, table), list(table.key)
    differing = _without(now, stored)
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

    A row that was believed, for whichever period, and would not have been, stays on record with an empty period: no
    reader sees it at any moment, and nobody has to wonder where it went.
    """
    columns, key = list(table.schema), list(table.revisions.key)
    lasted = pl.col("known_to") > pl.col("known_from")
    before = stored[1].filter(lasted)
    told = _as_stored(derived[1].filter(lasted), before, table)
    believed = pl.concat([_as_stored(derived[0], stored[0], table), told.select(columns)])
    withdrawn = _without(pl.concat([stored[0], before.select(columns)]), believed)
    wanted = pl.concat(
        [told, stored[1].filter(~lasted), withdrawn.with_columns(pl.col("known_from").alias("known_to"))]
    ).unique(maintain_order=True)
    touched = pl.concat([_without(wanted, stored[1]), _without(stored[1], wanted)]).select(key).unique()
    rewritten = wanted.join(touched, on=key, how="semi", nulls_equal=True)
    replaced = stored[1].join(touched, on=key, how="semi", nulls_equal=True)
    return Change(
        new=rewritten.join(replaced, on=key, how="anti", nulls_equal=True),
        changed=rewritten.join(replaced, on=key, how="semi", nulls_equal=True),
        gone=replaced.join(rewritten, on=key, how="anti", nulls_equal=True),
        before=replaced,
    )


def quarantine_change_of(derived: pl.DataFrame, stored: pl.DataFrame, policy: int) -> Change:
    """Compare quarantine; what passes under the rules of `policy` stays, marked with it.

    A row that breaks other rules than before takes the place of what was said about it.
    """
    key = list(QUARANTINE.key)
    open_ = stored.filter(pl.col("passed").is_null())
    rejected = derived.join(open_, on=key, how="anti", nulls_equal=True)
    again = rejected.join(stored, on=key, how="semi", nulls_equal=True)
    left = stored.join(derived, on=key, how="anti", nulls_equal=True)
    told_anew = left.join(derived, on=list(QUOTED), how="semi", nulls_equal=True)
    passed = left.join(told_anew, on=key, how="anti", nulls_equal=True).filter(pl.col("passed").is_null())
    return Change(
        new=rejected.join(again, on=key, how="anti", nulls_equal=True),
        changed=pl.concat([again, passed.with_columns(pl.lit(policy, pl.Int32).alias("passed"))]),
        gone=told_anew,
        before=passed,
    )


def _without(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that are not among `others`."""
    return rows.join(others, on=rows.columns, how="anti", nulls_equal=True)


def _as_stored(rows: pl.DataFrame, stored: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return `rows` with the stored values in place of those that are the same within the table's tolerance."""
    if stored.is_empty() or rows.is_empty():
        return rows
    fixed = [c for c in rows.columns if c not in table.values]
    theirs = stored.select(*fixed, *(pl.col(c).alias(c + STORED) for c in table.values), pl.lit(True).alias("__there"))
    joined = rows.join(theirs, on=fixed, how="left", nulls_equal=True, maintain_order="left")
    same = pl.col("__there").fill_null(False) & ~reduce(or_, (differs(c, table, []) for c in table.values))
    values = (pl.when(same).then(pl.col(c + STORED)).otherwise(pl.col(c)).alias(c) for c in table.values)
    return joined.with_columns(*values).select(rows.columns)
