"""Compaction: keep the tables' files few and sorted. No row changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from quantx.core.coverage import LATE
from quantx.core.tables import ACTIONS, ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE
from quantx.errors import ConfigError, Fenced, LakeError
from quantx.lake.protocol import CommitContext, Committer, CuratedTable, Tables

log = structlog.get_logger()

MOST_FILES = 24  # per partition of a daily table, before they are folded into one
MOST_MINUTE_FILES = 4  # on top of one another in a month or a session, before they are put in order
_TAIL_SESSIONS = 10


def last_closed_month(now: datetime) -> int:
    """Return the last month (as in 202410) for which vendors rarely deliver rows any more.

    >>> from datetime import UTC
    >>> last_closed_month(datetime(2024, 11, 5, tzinfo=UTC)), last_closed_month(datetime(2024, 11, 6, tzinfo=UTC))
    (202409, 202410)
    """
    first = (now.date() - LATE).replace(day=1)
    before = first - timedelta(days=1)
    return before.year * 100 + before.month


def fold_tables(tables: Tables, by: Committer, most_files: int = MOST_FILES) -> dict[str, int]:
    """Fold the partitions of all tables but that of minutes; return the number of partitions by table.

    The next run folds a table that another process changes meanwhile. Raises Fenced if the role is lost.
    """
    done, context = dict[str, int](), CommitContext(by=by)
    daily = (BARS_1D, BARS_1D_ADJUSTED)
    events = (ACTIONS, ADJUSTMENT_PROOFS)
    for table in (*daily, *events, *(t.revisions for t in (*daily, BARS_1M, *events)), QUARANTINE):
        try:
            folded = tables[table.name].fold(context, most_files, tail=_TAIL_SESSIONS if table in daily else 0)
        except Fenced:
            raise
        except LakeError as error:
            log.warning("table.not_folded", table=table.name, error=str(error))
            continue
        if folded:
            done[table.name] = folded
            log.info("table.folded", table=table.name, partitions=folded)
    return done


def compact_minutes(
    table: CuratedTable,
    by: Committer,
    now: datetime,
    *,
    most_files: int = MOST_MINUTE_FILES,
    month: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
    on_month: Callable[[int, int, int], None] = lambda month, done, of: None,
) -> dict[int, int]:
    """Compact the months of minute bars, or one month; return the number of replaced files by month.

    A closed month is sorted by symbol; in an open one, the files of a session become one. Compaction ends after the
    month in which `stopping` turns true. `on_month` gets each month, the number of months done, and their total. The
    next run compacts a month that another process changes meanwhile. Raises Fenced if the role is lost.
    """
    closed = last_closed_month(now)
    done: dict[int, int] = {}
    try:
        months = [m for m in table.untidy_months(closed, most_files) if month in (None, m)]
    except LakeError as error:
        log.warning("table.not_compacted", table=table.table.name, error=str(error))
        return done
    for number, each in enumerate(months):
        if stopping():
            break
        on_month(each, number, len(months))
        try:
            done[each] = table.compact(CommitContext(by=by), each, closed, most_files)
        except Fenced:
            raise
        except LakeError as error:
            log.warning("month.not_compacted", table=table.table.name, month=each, error=str(error))
            continue
        log.info("month.compacted", table=table.table.name, month=each, files=done[each])
    return done


def parse_month(text: str) -> int:
    """Return a month as the tables have it; raises ConfigError where the text is not a month.

    >>> parse_month("2024-10")
    202410
    """
    try:
        day = datetime.strptime(text, "%Y-%m")  # noqa: DTZ007 — a month has no zone
    except ValueError:
        raise ConfigError(f"{text!r} is not a month; write it as in 2024-10") from None
    return day.year * 100 + day.month
