"""Keeping the tables' files few and sorted, without changing a row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from quantx.core.coverage import LATE
from quantx.core.tables import ACTIONS, ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE
from quantx.errors import ConfigError, LakeError
from quantx.lake.protocol import CommitContext
from quantx.pipeline.runtime.platform import Platform

log = structlog.get_logger()

MOST_FILES = 24  # per partition of a daily table, before they are folded into one
MOST_MINUTE_FILES = 4  # on top of one another in a month or a session, before they are put in order
_TAIL_SESSIONS = 10


def last_closed_month(now: datetime) -> int:
    """Return the last month (as in 202410) for which vendors hardly bring rows any more.

    >>> from datetime import UTC
    >>> last_closed_month(datetime(2024, 11, 5, tzinfo=UTC)), last_closed_month(datetime(2024, 11, 6, tzinfo=UTC))
    (202409, 202410)
    """
    first = (now.date() - LATE).replace(day=1)
    before = first - timedelta(days=1)
    return before.year * 100 + before.month


def fold_tables(platform: Platform, most_files: int = MOST_FILES) -> dict[str, int]:
    """Fold the partitions of the tables that are no minutes; return how many, by table.

    Where somebody else changes a table meanwhile, the next time does it.
    """
    done = {}
    daily = (BARS_1D, BARS_1D_ADJUSTED)
    events = (ACTIONS, ADJUSTMENT_PROOFS)
    for table in (*daily, *events, *(t.revisions for t in (*daily, BARS_1M, *events)), QUARANTINE):
        try:
            folded = platform.tables[table.name].fold(
                CommitContext(0), most_files, tail=_TAIL_SESSIONS if table in daily else 0
            )
        except LakeError as error:
            log.warning("table.not_folded", table=table.name, error=str(error))
            continue
        if folded:
            done[table.name] = folded
            log.info("table.folded", table=table.name, partitions=folded)
    return done


def compact_minutes(
    platform: Platform,
    most_files: int = MOST_MINUTE_FILES,
    *,
    month: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
    on_month: Callable[[int, int, int], None] = lambda month, done, of: None,
) -> dict[int, int]:
    """Put the months of minute bars (or one) in order; return how many files were replaced, by month.

    A month that has closed is put together by symbol; before, the files of a session become one. Ends after the month in
    which `stopping` turns true; `on_month` is told each month, and how many are done of how many. Where somebody else
    changes a month meanwhile, the next time does it.
    """
    table, closed = platform.tables[BARS_1M.name], last_closed_month(platform.clock.now())
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
            done[each] = table.compact(CommitContext(0), each, closed, most_files)
        except LakeError as error:
            log.warning("month.not_compacted", table=table.table.name, month=each, error=str(error))
            continue
        log.info("month.compacted", table=table.table.name, month=each, files=done[each])
    return done


def parse_month(text: str) -> int:
    """Return a month as tables have it; ConfigError where the text is none.

    >>> parse_month("2024-10")
    202410
    """
    try:
        day = datetime.strptime(text, "%Y-%m")  # noqa: DTZ007 — a month has no zone
    except ValueError:
        raise ConfigError(f"{text!r} is no month; write it as in 2024-10") from None
    return day.year * 100 + day.month
