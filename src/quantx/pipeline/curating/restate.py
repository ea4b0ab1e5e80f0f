"""Restate a table as a whole: members of a universe, securities and their symbols."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from quantx.core.merge import merge
from quantx.core.tables import INSTANT, Table
from quantx.lake.protocol import CommitContext, Tables


def restate(tables: Tables, table: Table, stored: pl.DataFrame, rows: pl.DataFrame, now: datetime) -> bool:
    """Replace the rows `stored` of a table by `rows`, with revisions; return whether a row has changed.

    The caller holds an exclusive role.
    """
    merged = merge(stored, rows, table)
    gone = stored.join(rows, on=list(table.key), how="anti", nulls_equal=True)
    superseded = pl.concat([merged.superseded, gone.with_columns(pl.lit(now).cast(INSTANT).alias("known_to"))])
    # The commit belongs to no round of the curator. Its number follows the table's last one: after a crash between the
    # two commits, the repetition does not write the replaced rows again.
    context = CommitContext(tables[table.name].committed_round() + 1)
    tables[table.revisions.name].commit(context, superseded)
    return tables[table.name].commit(context, merged.new, merged.changed, gone)
