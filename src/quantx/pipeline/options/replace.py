"""Sessions that are stored already: merge their files with the staged ones, in parts, into files that replace them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path

import polars as pl

from quantx.core.merge import merge
from quantx.core.table import INSTANT
from quantx.lake.file_changes import AddedFile
from quantx.lake.store import LakeLocation
from quantx.lake.streamed_file import PutFile, StreamedFile
from quantx.lake.table import LakeTable
from quantx.pipeline.options.sorted_files import SortedFiles, prefix_of, write_rows
from quantx.pipeline.options.staged import StagedFile, StagedMember


@dataclass
class Replaced:
    """The files to add and to remove, and how many rows that changes."""

    files: list[AddedFile] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    superseded: list[AddedFile] = field(default_factory=list)  # of the revisions
    unused: list[str] = field(default_factory=list)  # staged files whose rows stand in other files
    put: list[str] = field(default_factory=list)  # objects that only a commit makes useful
    new: int = 0
    changed: int = 0
    removed: int = 0


class SessionMerge:
    """Brings the files of a table up to a staged member."""

    def __init__(
        self,
        location: LakeLocation,
        table: LakeTable,
        staged: StagedMember,
        folder: Path,
        corrects: Collection[str],
    ) -> None:
        self._location, self._stored, self._staged = location, table, staged
        self._folder, self._corrects = folder, list(corrects)
        self._table = table.table
        self._revisions = LakeTable(location, self._table.revisions)
        self._numbers = count()
        self._live = table.files()
        self.done = Replaced()

    def run(self) -> Replaced:
        """Return the changes; files with new rows alone are added as they are."""
        for file in self._staged.files:
            added = file.put.added
            if not self._live.is_empty() and added.path in self._live["path"]:
                continue
            before = self._files_of(file)
            if before.is_empty():
                self.done.files.append(added)
                self.done.new += file.put.rows
            else:
                self._merge(file.underlying, (file.first, file.last), before, file)
        for underlying, days, before in self._left_out():
            self._merge(underlying, days, before, None)
        # A merge of a session that has changed as a whole is the staged file itself.
        live = {file.path for file in self.done.files}
        self.done.unused = [path for path in self.done.unused if path not in live]
        return self.done

    def note_kept(self) -> None:
        """Note that the previous rows are committed to the revisions."""
        self.done.put = [path for path in self.done.put if not path.startswith(f"{self._table.revisions.path}/")]

    def undo(self) -> None:
        """Remove the files that were put into the lake for a commit that failed."""
        self._location.delete(self.done.put)

    def _files_of(self, file: StagedFile) -> pl.DataFrame:
        """Return the live files that may have rows of a staged file's contracts and sessions."""
        if self._live.is_empty():
            return self._live
        found = self._within(file.first, file.last).filter(self._in_partition(file.put.added))
        if self._corrects:
            return found
        low, high = (file.contracts[0], file.contracts[-1])
        return found.filter(pl.col("min.contract") <= high, pl.col("max.contract") >= low)

    def _left_out(self) -> Iterator[tuple[str, tuple[date, date], pl.DataFrame]]:
        """Yield the files with sessions for which a correction has no rows, by file."""
        if not self._corrects or self._live.is_empty():
            return
        taken = [(file.underlying, file.first, file.last) for file in self._staged.files]
        for row in self._within(self._staged.first, self._staged.last).iter_rows(named=True):
            underlying, first, last = row["partition.underlying"], row["min.date"], row["max.date"]
            if row["path"] in self.done.gone or any(
                underlying == of and start <= last and first <= end for of, start, end in taken
            ):
                continue
            yield underlying, (first, last), self._live.filter(pl.col("path") == row["path"])

    def _within(self, first: date, last: date) -> pl.DataFrame:
        source = pl.lit(self._staged.source)
        return self._live.filter(
            pl.col("min.date") <= last,
            pl.col("max.date") >= first,
            source.is_between(pl.col("min.source"), pl.col("max.source")),
        )

    def _in_partition(self, added: AddedFile) -> pl.Expr:
        return pl.all_horizontal(
            pl.col(f"partition.{name}").cast(pl.String) == value for name, value in added.partition.items()
        )

    def _merge(self, underlying: str, days: tuple[date, date], before: pl.DataFrame, file: StagedFile | None) -> None:
        """Merge live files with a staged one; where nothing changes, the live ones stay."""
        row = before.row(0, named=True)
        values = {name: row[f"partition.{name}"] for name in self._table.partitions}
        opened = partial(SortedFiles, self._location, self._table, self._folder, values=values)
        stored = opened(before["path"].to_list())
        incoming = opened([] if file is None else [file.put.added.path])
        merged = StreamedFile(self._table, self._folder / f"merged-{next(self._numbers)}.parquet")
        replaced = StreamedFile(self._table.revisions, self._folder / f"replaced-{next(self._numbers)}.parquet")
        kept = self._kept_before(underlying, days)
        was = self.done.new, self.done.changed, self.done.removed
        for within in stored.ranges(incoming):
            rows, superseded = self._merged(stored.rows(within), incoming.rows(within))
            write_rows(merged, rows)
            write_rows(replaced, superseded.join(kept, on=kept.columns, how="anti", nulls_equal=True))
        stored.discard()
        incoming.discard()
        if file is not None and file.put.is_new:
            self.done.unused.append(file.put.added.path)
        if was == (self.done.new, self.done.changed, self.done.removed):
            merged.discard()
            replaced.discard()
            return
        self.done.gone += before["path"].to_list()
        texts = {name: str(value) for name, value in values.items()}
        if merged.rows:
            self.done.files.append(self._noted(merged, texts, days))
        if replaced.rows:
            self.done.superseded.append(self._noted(replaced, texts, days))

    def _merged(self, stored: pl.DataFrame, incoming: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of a range after the merge, and the previous ones as rows of the revisions."""
        table, key = self._table, list(self._table.key)
        changes = merge(stored, incoming, table)
        rest = stored.join(changes.changed, on=key, how="anti") if changes.changed.height else stored
        superseded = changes.superseded
        if self._corrects:
            is_gone = pl.col("raw").is_in(self._corrects)
            gone = rest.join(incoming, on=key, how="anti").filter(is_gone)
            rest = rest.join(gone, on=key, how="anti") if gone.height else rest
            known_to = pl.lit(self._staged.known_from, INSTANT).alias("known_to")
            superseded = pl.concat([superseded, gone.with_columns(known_to)])
            self.done.removed += gone.height
        self.done.new += changes.new.height
        self.done.changed += changes.changed.height
        return pl.concat([rest, changes.new, changes.changed]).sort(table.sort), superseded

    def _kept_before(self, underlying: str, days: tuple[date, date]) -> pl.DataFrame:
        """Return the keys of the rows that an interrupted commit of the same member has kept as previous ones."""
        key = list(self._table.revisions.key)
        return self._revisions.read(
            (pl.col("underlying") == underlying)
            & pl.col("date").is_between(*days)
            & (pl.col("known_to") == pl.lit(self._staged.known_from, INSTANT))
        ).select(key)

    def _noted(self, file: StreamedFile, partition: dict[str, str], days: tuple[date, date]) -> AddedFile:
        put: PutFile = file.put(self._location, partition, prefix_of(*days))
        if put.is_new:
            self.done.put.append(f"{file.table.path}/{put.added.path}")
        return put.added
