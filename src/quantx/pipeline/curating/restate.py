"""Tables that are stated anew as a whole: members of a universe, securities and their symbols."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from quantx.core.merge import merge
from quantx.core.tables import INSTANT, Table
from quantx.lake.protocol import CommitContext, CuratedTable


def restate(
    tables: Mapping[str, CuratedTable], table: Table, stored: pl.DataFrame, rows: pl.DataFrame, now: datetime
) -> bool:
    """Let `table` say `rows` where it says `stored`; what is not said any more goes to its revisions.

    Return whether anything has changed. Called by who holds a role that nobody else has at the same time.
    """
    merged = merge(stored, rows, table)
    gone = stored.join(rows, on=list(table.key), how="anti", nulls_equal=True)
    superseded = pl.concat([merged.superseded, gone.with_columns(pl.lit(now).cast(INSTANT).alias("known_to"))])
    # There is no round of the curator: the commit is numbered after the table's last one, so that what is repeated after
    # a crash between the two commits does not write the replaced rows again.
    context = CommitContext(tables[table.name].committed_round() + 1)
    tables[table.revisions.name].commit(context, superseded)
    return tables[table.name].commit(context, merged.new, merged.changed, gone)
