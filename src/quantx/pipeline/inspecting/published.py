"""Publish to the lake what reading needs and only the state or a library has: the sessions, and the findings.

Readers of a lake need no database and no calendars then. A finding that is resolved moves to the revisions, so that
`as_of` shows the findings that were open at that time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.symbols import venue_of
from quantx.core.table import Table
from quantx.core.tables import FINDINGS, SESSIONS
from quantx.lake.one_state import one_state
from quantx.lake.protocol import CommitContext, Tables
from quantx.pipeline.curating.compaction import MOST_FILES
from quantx.pipeline.curating.restate import StoredRows, is_restated, read_stored, restate
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.roles import RoleHolder, committing, tables_of, take_role

_AHEAD = timedelta(days=330)  # calendars end a year from today: whole months of them, so that a month has one commit


def publish_sessions(
    context: Context, tables: Tables, symbols: Collection[str], *, run_ids: Sequence[str] = ()
) -> None:
    """Publish the sessions of the exchanges of these symbols; those of other exchanges stay."""
    codes = {venue_of(symbol).calendar for symbol in symbols}

    def rows(stored: StoredRows, now: datetime) -> pl.DataFrame:
        known = {*codes, *stored.rows["calendar"].unique()}
        until = (now.date() + _AHEAD).replace(day=1)
        parts = [SESSIONS.empty(), *(_sessions(code, until, now) for code in sorted(known))]
        return pl.concat(parts)

    _publish(context, tables, SESSIONS, rows, run_ids)


def publish_findings(context: Context, tables: Tables, *, run_ids: Sequence[str] = ()) -> None:
    """Publish the open and the acknowledged findings of the state."""

    def rows(_: StoredRows, now: datetime) -> pl.DataFrame:
        findings = context.state.findings
        listed = [*findings.listed(None, status="open"), *findings.listed(None, status="acknowledged")]
        published = [_finding(row, now) for row in listed]
        return pl.DataFrame(published, schema=dict(FINDINGS.schema), orient="row")

    _publish(context, tables, FINDINGS, rows, run_ids)


def _publish(
    context: Context,
    tables: Tables,
    table: Table,
    rows: Callable[[StoredRows, datetime], pl.DataFrame],
    run_ids: Sequence[str],
) -> None:
    """Restate a table by new rows, under the publisher's role; another process that holds it publishes the same.

    The role is not taken where the table has these rows.
    """
    stored = read_stored(tables[table.name])
    if is_restated(table, stored, rows(stored, context.clock.now())):
        return

    def carry_out(holder: RoleHolder | None) -> None:
        if holder is None:
            return
        with one_state(tables_of("publisher", tables)):
            stored, now = read_stored(tables[table.name]), context.clock.now()
            restate(tables, table, stored, rows(stored, now), now, holder, run_ids)
            for name in (table.name, table.revisions.name):
                tables[name].fold(CommitContext(by=holder), MOST_FILES)

    committing(lambda: take_role(context.location, tables, context.state, "publisher"), carry_out)


def _sessions(code: str, until: date, now: datetime) -> pl.DataFrame:
    days = calendar(code)
    columns = {"calendar": code, "date": days.days, "open": days.opens, "close": days.closes, "known_from": now}
    frame = pl.DataFrame({name: columns[name] for name in SESSIONS.schema}, schema=dict(SESSIONS.schema))
    return frame.filter(pl.col("date") < until)


def _finding(row: Any, now: datetime) -> dict[str, object]:
    facts = row["facts"]
    text = facts if facts is None or isinstance(facts, str) else json.dumps(facts, sort_keys=True, default=str)
    return {
        **{c: row[c] for c in ("rule", "severity", "subject", "first_day", "last_day", "status", "message")},
        **{c: row[c] or None for c in ("source", "dataset")},
        "facts": text,
        "first_seen": row["first_seen"],
        "by": row["settled_by"],
        "reason": row["reason"],
        "known_from": now,
    }
