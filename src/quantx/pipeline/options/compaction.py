"""Compaction of the tables of options: one sorted file per session, and few files per year. No row changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import structlog

from quantx.core.option_tables import OPTION_TABLES
from quantx.errors import Fenced, LakeError
from quantx.lake.protocol import CommitContext, Committer
from quantx.lake.store import LakeLocation
from quantx.lake.streamed_file import StreamedFile
from quantx.lake.table import LakeTable
from quantx.pipeline.options.sorted_files import SortedFiles, prefix_of, write_rows

log = structlog.get_logger()

MOST_SESSION_FILES = 4  # archives that are split by symbol bring a file each
MOST_YEAR_FILES = 24


def compact_options(
    location: LakeLocation,
    by: Committer,
    folder: Path,
    *,
    most_session_files: int = MOST_SESSION_FILES,
    most_year_files: int = MOST_YEAR_FILES,
) -> dict[str, int]:
    """Compact the tables of options under their role; return the number of replaced files or partitions by table.

    The files of a session are merged in parts in `folder`. The next run compacts a table that another process changes
    meanwhile. Raises Fenced if the role is lost.
    """
    done, context = dict[str, int](), CommitContext(by=by)
    for table in OPTION_TABLES:
        for each in (table, table.revisions):
            stored = LakeTable(location, each)
            try:
                if "month" in each.partitions:
                    folded = _fold_sessions(location, stored, context, folder, most_session_files)
                elif each is table or "month" not in table.partitions:
                    folded = stored.fold(context, most_year_files)
                else:
                    continue  # the revisions of minutes: a file per correction, which is rare and may be large
            except Fenced:
                raise
            except LakeError as error:
                log.warning("table.not_folded", table=each.name, error=str(error))
                continue
            if folded:
                done[each.name] = folded
                log.info("table.folded", table=each.name, files=folded)
    return done


def _fold_sessions(
    location: LakeLocation, stored: LakeTable, context: CommitContext, folder: Path, most_files: int
) -> int:
    """Merge the files of each session that has more than `most_files`; return the number of replaced files."""
    version, files = stored.version(), stored.files()
    if files.is_empty():
        return 0
    partition = [f"partition.{name}" for name in stored.table.partitions]
    replaced, numbers = 0, count()
    groups = files.filter(pl.col("min.date") == pl.col("max.date")).group_by([*partition, "min.date"])
    for _, group in sorted(groups, key=lambda each: [str(value) for value in each[0]]):
        if group.height <= max(1, most_files):
            continue
        merged = StreamedFile(stored.table, folder / f"session-{next(numbers)}.parquet")
        row: Mapping[str, Any] = group.row(0, named=True)
        values = {name: row[f"partition.{name}"] for name in stored.table.partitions}
        paths: Sequence[str] = group["path"].to_list()
        sources = SortedFiles(location, stored.table, folder, paths, values)
        for within in sources.ranges():
            write_rows(merged, sources.rows(within).sort(stored.table.sort))
        sources.discard()
        texts = {name: str(value) for name, value in values.items()}
        put = merged.put(location, texts, prefix_of(row["min.date"], row["max.date"]))
        stored.exchange(context, paths, [put.added], read_at=version)
        version = stored.version()
        replaced += len(paths)
    stored.tidy()
    return replaced
