"""Restate a table under its role."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import polars as pl

from quantx.core.table import Table
from quantx.lake.protocol import Tables
from quantx.pipeline.curating.restate import StoredRows, is_restated, read_stored, restate
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.state.port import Role


def restate_in_role(
    context: Context, tables: Tables, table: Table, role: Role, rows: Callable[[StoredRows, datetime], pl.DataFrame]
) -> None:
    """Replace the rows of a table by those of a function of its stored rows and the time (UTC), under a role.

    The role is not taken where the table has these rows. Nothing changes while another process holds the role.
    """
    stored = read_stored(tables[table.name])
    if is_restated(table, stored, rows(stored, context.clock.now())):
        return

    def carry_out(holder: RoleHolder | None) -> None:
        if holder is not None:
            current, now = read_stored(tables[table.name]), context.clock.now()
            restate(tables, table, current, rows(current, now), now, holder)

    committing(partial(take_role, context.location, tables, context.state, role), carry_out)
