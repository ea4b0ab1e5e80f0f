"""Rows of replies without what tombstones delete: a task may have been planned before its data was deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quantx.core.deleted_rows import without_deleted
from quantx.core.tables import ADJUSTMENT_PROOFS, QUARANTINE, TABLES
from quantx.core.tombstones import Deleted
from quantx.pipeline.curating.normalize import Rows
from quantx.pipeline.curating.stored_replies import ReadReply


def rows_left(deleted: Deleted, rows: Rows, items: Sequence[ReadReply]) -> Rows:
    """Return the rows of the replies `items` without those that a tombstone deletes.

    A series that is deleted as a whole has no coverage and no findings either.
    """
    if not deleted or not items:
        return rows
    source, dataset = items[0].stored.series.source, items[0].stored.series.dataset
    stones = [stone for stone in deleted.stones if stone.source == source]
    if not stones:
        return rows
    gone = {item.symbol for item in items if deleted.whole(source, dataset, item.symbol) is not None}
    proofs = without_deleted(ADJUSTMENT_PROOFS, rows.proofs.rows, stones)
    return replace(
        rows,
        tables={name: without_deleted(TABLES[name], frame, stones) for name, frame in rows.tables.items()},
        quarantine=without_deleted(QUARANTINE, rows.quarantine, stones),
        coverage={symbol: each for symbol, each in rows.coverage.items() if symbol not in gone},
        sessions={symbol: days for symbol, days in rows.sessions.items() if symbol not in gone},
        findings=[finding for finding in rows.findings if finding.subject not in gone],
        proofs=replace(rows.proofs, rows=proofs),
        compared=[reply for reply in rows.compared if not gone],
    )
