"""Rows that are sorted on disk: runs of bounded size, each sorted, then merged in ranges of contracts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from quantx.core.foreign_errors import file_fact
from quantx.errors import LakeError

MOST_HELD_ROWS = 2_100_000  # of about 70 bytes each in memory: most sessions need no disk
ROWS_PER_RUN = 700_000  # a run is sorted before it is written
ROWS_PER_RANGE = 600_000
_RANGES = 64  # of each run: the smallest parts that can be merged apart
_COMPRESSION = "lz4"  # a third of the size, at a tenth of the time of zstd

_NUMBERS = count()

RANK = "rank"  # of a row's contract: the first column by which rows are sorted


@dataclass
class SortedRuns:
    """The rows of one session, with a rank for the contract; `order` are the columns that sort those of a contract."""

    folder: Path
    ranks: int  # the number of contracts
    order: Sequence[str]
    rows: int = 0
    _held: list[pl.DataFrame] = field(default_factory=list)
    _runs: list[_Run] = field(default_factory=list)
    _in_order: bool = True
    _last: datetime | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows; where too many are held, they go to the disk."""
        if rows.is_empty():
            return
        self._held.append(rows)
        self.rows += rows.height
        self._note_order(rows)
        if sum(each.height for each in self._held) > MOST_HELD_ROWS:
            self._spill()

    def _spill(self) -> None:
        """Write the held rows as sorted runs."""
        while self._held:
            taken = [self._held.pop(0)]
            while self._held and sum(each.height for each in taken) + self._held[0].height <= ROWS_PER_RUN:
                taken.append(self._held.pop(0))
            rows = self._sorted(taken)
            del taken
            run = _Run(self.folder / f"run-{next(_NUMBERS)}", np.searchsorted(rows[RANK].to_numpy(), self._bounds()))
            self._runs.append(run)
            try:
                run.write(rows)
            except OSError as error:
                raise LakeError(f"the sorted rows can't be written to {run.path}: {file_fact(error)}") from None

    def ranges(self) -> Iterator[pl.DataFrame]:
        """Yield all rows in order, in frames of contracts that belong to no other frame."""
        if not self._runs:
            if self._held:
                rows = self._sorted(self._held)
                self._held = []
                yield from _slices(rows)
            return
        self._spill()
        sizes = np.sum([run.sizes for run in self._runs], axis=0)
        start = 0
        for end in _cuts(sizes):
            parts = [part for run in self._runs for part in run.read(start, end)]
            if parts:
                yield self._sorted(parts)
            del parts
            start = end

    def discard(self) -> None:
        """Free the memory and the disk."""
        self._held = []
        for run in self._runs:
            run.discard()
        self._runs = []

    def _bounds(self) -> npt.NDArray[np.int64]:
        return np.linspace(0, self.ranks, _RANGES + 1).astype(np.int64)

    def _note_order(self, rows: pl.DataFrame) -> None:
        """Note whether all rows came in the order of time, as most archives have them."""
        times = rows[self.order[0]]
        later = self._last is None or times[0] >= self._last
        self._in_order = self._in_order and len(self.order) == 1 and later and times.is_sorted()
        self._last = times[-1]

    def _sorted(self, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
        """Return rows in order."""
        rows = parts[0] if len(parts) == 1 else pl.concat(parts)
        by = (RANK,) if self._in_order else (RANK, *self.order)
        return rows.sort(by, maintain_order=True)


@dataclass(frozen=True)
class _Run:
    """One sorted run on disk: a file for each range of ranks, which goes away once it is read."""

    path: Path  # of the files, without their numbers
    cuts: npt.NDArray[np.int64]  # the first row of each range, and the end

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the rows of each range."""
        return np.diff(self.cuts)

    def write(self, rows: pl.DataFrame) -> None:
        """Write the rows of the run."""
        table = rows.to_arrow()
        options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
        for number, (start, end) in enumerate(pairwise(self.cuts.tolist())):
            if start == end:
                continue
            part = table.slice(start, end - start).combine_chunks()
            with pa.OSFile(self._file(number), "wb") as file, pa.ipc.new_file(file, part.schema, options=options) as to:
                to.write_table(part)

    def read(self, start: int, end: int) -> list[pl.DataFrame]:
        """Return the rows of the ranges from `start` to `end`, exclusive, and remove their files."""
        found = []
        for number in range(start, end):
            if self.cuts[number] == self.cuts[number + 1]:
                continue
            with pa.OSFile(self._file(number)) as file, pa.ipc.open_file(file) as reader:
                frame = pl.from_arrow(reader.read_all())
            assert isinstance(frame, pl.DataFrame)
            found.append(frame)
            Path(self._file(number)).unlink()
        return found

    def discard(self) -> None:
        """Remove the files that were not read."""
        for number in range(len(self.cuts) - 1):
            Path(self._file(number)).unlink(missing_ok=True)

    def _file(self, number: int) -> str:
        return f"{self.path}-{number}.arrow"


def _slices(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield sorted rows in slices of about ROWS_PER_RANGE that end with a contract."""
    ranks, start = rows[RANK].to_numpy(), 0
    while start < rows.height:
        last = min(start + ROWS_PER_RANGE, rows.height) - 1
        end = int(np.searchsorted(ranks, ranks[last], side="right"))
        yield rows[start:end]
        start = end


def _cuts(sizes: npt.NDArray[np.int64]) -> list[int]:
    """Return the ends of groups of ranges of about ROWS_PER_RANGE rows."""
    ends, held = list[int](), 0
    for number, size in enumerate(sizes.tolist(), 1):
        held += size
        if held >= ROWS_PER_RANGE:
            ends.append(number)
            held = 0
    return [*ends, len(sizes)] if not ends or ends[-1] != len(sizes) else ends
