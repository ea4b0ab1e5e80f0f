"""Compaction of a table with a partition per month: the groups of files to merge, and their rows in a new order.

In an open month each session has its own files: a day's update is one sorted file, and a correction rewrites that day.
After the month the rows are merged by symbol, so that one symbol's month is one read. Both work on ranges of symbols of
about `rows_per_file` rows, so that the memory does not grow with the month.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from quantx.core.table import Table
from quantx.lake.files import damaged_file, intact_file
from quantx.lake.store import LakeLocation

_FOOTER = 65_536  # bytes at the end of a file that include its footer: 100 row groups of a dozen columns


@dataclass(frozen=True)
class MonthRewrite:
    """The files to rewrite in one partition."""

    partition: tuple[Any, ...]
    month: int
    groups: tuple[pl.DataFrame, ...]  # rows of Delta's add actions; the files of a group are merged by symbol

    @property
    def files(self) -> list[Mapping[str, Any]]:
        """Return the add actions of all files to replace."""
        return [row for group in self.groups for row in group.iter_rows(named=True)]


def plan_compaction(files: pl.DataFrame, table: Table, closed_through: int, most_files: int) -> list[MonthRewrite]:
    """Return the rewrites for the files (Delta's add actions) of a table, the oldest month first.

    `closed_through` is the last month (as in 202410) whose files are merged by symbol; in later months only the files
    of one session are merged. With `most_files` above one, partitions with about as few files as possible stay as they
    are.
    """
    if files.is_empty():
        return []
    work = []
    one_day = pl.col("min.date") == pl.col("max.date")
    for key, part in files.group_by([f"partition.{p}" for p in table.partitions]):
        month = int(str(key[table.partitions.index("month")]))
        session = pl.lit(None, pl.Date) if month <= closed_through else pl.when(one_day).then("min.date")
        groups: list[pl.DataFrame] = []
        for _, same_session in part.group_by(session.alias("__session")):
            groups += _groups(same_session, table.rows_per_file or 1, most_files)
        if groups:
            work.append(MonthRewrite(key, month, tuple(groups)))
    return sorted(work, key=lambda w: (w.month, [str(value) for value in w.partition]))


def _groups(files: pl.DataFrame, target: int, most_files: int) -> list[pl.DataFrame]:
    """Return groups of files that share symbols, or are small neighbours, if there are enough of them.

    Each rewrite leaves fewer files or fewer shared symbols, so the process ends: then no two files share a symbol, and
    two neighbours are too large for one file.
    """
    files = files.sort("min.symbol", "max.symbol", "path")
    slices: list[tuple[int, int]] = []  # offset, length
    start, rows, last, depth, deepest = 0, 0, "", 0, 0
    for i, (first, end, count) in enumerate(files.select("min.symbol", "max.symbol", "num_records").iter_rows()):
        if i > start and first > last and rows + count > target:
            slices.append((start, i - start))
            start, rows, last = i, 0, ""
        depth = depth + 1 if i > start and first <= last else 1
        rows, last, deepest = rows + count, max(last, end), max(deepest, depth)
    slices.append((start, files.height - start))
    needed = sum(files["num_records"]) / target
    if most_files > 1 and deepest <= most_files and files.height <= 2 * needed + most_files:
        return []
    return [files.slice(at, length) for at, length in slices if length > 1]


class MonthFiles:
    """Read the files of a table at `path` in ranges of symbols."""

    def __init__(self, location: LakeLocation, path: str, table: Table) -> None:
        self._location = location
        self._path = path
        self._table = table

    def ranges(self, files: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield the sorted rows of the files, without the partition columns, by ranges of symbols.

        All ranges but the last have about `rows_per_file` rows, or more.
        """
        opened = [self._open(row) for row in files.iter_rows(named=True)]
        waiting: list[pl.DataFrame] = []
        after, target = "", self._table.rows_per_file or 1
        for upto in self._cuts(opened, target):
            waiting.append(self._sorted(opened, after, upto))
            after = upto
            if sum(rows.height for rows in waiting) >= target * 2 // 3:
                yield pl.concat([waiting.pop(0) for _ in range(len(waiting))])
        if waiting:
            yield pl.concat(waiting)

    def _cuts(self, files: Sequence[_SortedFile], target: int) -> Iterator[str]:
        """Yield the last symbol of each range.

        The statistics of the row groups give the ranges. Where the groups are so wide that a range would be too large,
        the symbols are counted.
        """
        after = ""
        for upto in _cuts([group for file in files for group in file.row_groups], target):
            if sum(g.rows for file in files for g in file.groups(after, upto).values()) > 2 * target:
                symbols = pl.concat([file.symbols(after, upto) for file in files]).value_counts().sort("symbol")
                yield from _cuts([_RowGroup(symbol, symbol, count) for symbol, count in symbols.iter_rows()], target)
            else:
                yield upto
            after = upto

    def _sorted(self, files: Sequence[_SortedFile], after: str, upto: str) -> pl.DataFrame:
        return pl.concat([file.rows(after, upto) for file in files]).sort(self._table.sort)

    def _open(self, row: Mapping[str, Any]) -> _SortedFile:
        path = f"{self._path}/{row['path']}"
        intact_file(self._location, self._table, path)  # read as a whole once: ranges can't be compared with a digest
        try:
            return _SortedFile(self._location, self._table, path, int(row["size_bytes"]))
        except (pa.ArrowException, OSError, ValueError):
            raise damaged_file(self._table, path, "can't be read as Parquet") from None


@dataclass(frozen=True)
class _RowGroup:
    first: str
    last: str
    rows: int


class _SortedFile:
    """A Parquet file whose rows are sorted by symbol, read by ranges."""

    def __init__(self, location: LakeLocation, table: Table, path: str, size: int) -> None:
        self._path = path
        self._table = table
        self._schema = {c: t for c, t in table.schema.items() if c not in table.partitions}
        self._object = _Object(location, path, size)
        self._file = pq.ParquetFile(self._object, page_checksum_verification=True)
        metadata = self._metadata = self._file.metadata
        place = self._file.schema_arrow.get_field_index("symbol")
        self.row_groups = []
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            statistics = group.column(place).statistics
            self.row_groups.append(_RowGroup(statistics.min, statistics.max, group.num_rows))

    def groups(self, after: str, upto: str) -> dict[int, _RowGroup]:
        """Return the row groups, by number, that may have symbols after `after`, up to `upto`."""
        return {i: g for i, g in enumerate(self.row_groups) if g.last > after and g.first <= upto}

    def symbols(self, after: str, upto: str) -> pl.Series:
        """Return the symbol of each row with a symbol after `after`, up to `upto`."""
        return self._read(after, upto, ["symbol"])["symbol"]

    def rows(self, after: str, upto: str) -> pl.DataFrame:
        """Return the rows with a symbol after `after`, up to `upto`."""
        return self._read(after, upto, list(self._schema))

    def _read(self, after: str, upto: str, columns: list[str]) -> pl.DataFrame:
        numbers = list(self.groups(after, upto))
        if not numbers:
            return pl.DataFrame(schema={c: self._schema[c] for c in columns})
        try:
            self._object.fetch(self._start(numbers[0]), self._start(numbers[-1] + 1))
            rows = self._file.read_row_groups(numbers, columns=columns)
        except (pa.ArrowException, OSError, ValueError):
            raise damaged_file(self._table, self._path, "can't be read as Parquet") from None
        finally:
            self._object.forget()
        frame = pl.DataFrame(rows).select(pl.col(c).cast(self._schema[c]) for c in columns)
        return frame.filter(pl.col("symbol") > after, pl.col("symbol") <= upto)

    def _start(self, number: int) -> int:
        """Return the offset of a row group; for one after the last, the end of the last."""
        if number == self._metadata.num_row_groups:
            column = self._metadata.row_group(number - 1).column(self._metadata.num_columns - 1)
            return _offset(column) + int(column.total_compressed_size)
        return _offset(self._metadata.row_group(number).column(0))


def _offset(column: Any) -> int:
    return int(column.dictionary_page_offset or column.data_page_offset)


def _cuts(row_groups: Sequence[_RowGroup], target: int) -> list[str]:
    """Return the last symbols of ranges of about `target` rows.

    Files of one layout have row groups that end with the same symbol; these belong to one range.
    """
    ends: dict[str, int] = {}
    for group in sorted(row_groups, key=lambda g: g.last):
        ends[group.last] = ends.get(group.last, 0) + group.rows
    cuts: list[str] = []
    rows, before = 0, ""
    for last, count in ends.items():
        if rows and rows + count > target and rows + count - target > target - rows:  # the one before is nearer
            cuts.append(before)
            rows = 0
        rows, before = rows + count, last
    return [*cuts, before]


class _Object(io.RawIOBase):
    """A stored object as a file that is read by ranges; it keeps the end with the footer, and the last range."""

    def __init__(self, location: LakeLocation, path: str, size: int) -> None:
        self._location = location
        self._path = path
        self._size = size
        self._at = 0
        start = max(0, size - _FOOTER)
        self._end = (start, location.get_range(path, start, size))
        self._fetched = (0, b"")

    def fetch(self, start: int, end: int) -> None:
        """Fetch a range in one request, for the following reads."""
        self._fetched = (start, self._location.get_range(self._path, start, end))

    def forget(self) -> None:
        """Free the memory of the fetched range."""
        self._fetched = (0, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        start, end = self._at, self._size if size is None or size < 0 else min(self._size, self._at + size)
        self._at = end
        for first, held in (self._fetched, self._end):
            if first <= start and end <= first + len(held):
                return held[start - first : end - first]
        return self._location.get_range(self._path, start, end)
