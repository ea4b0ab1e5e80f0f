"""One curated Delta table: read it, and commit new and changed rows in one transaction.

This module writes and replaces files itself, and commits them in one log entry with adds and removes: new and replaced
rows belong to one commit, a correction rewrites only the files with the corrected rows, and files are sorted, with
exact statistics. The entry is created as the version after the one that was read, or not at all. delta-rs reads the
log, writes checkpoints and deletes old files.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError

from quantx.core.table import Table
from quantx.errors import CommitConflict, LakeError
from quantx.lake.compaction import MonthFiles, plan_compaction
from quantx.lake.diagnosis import log_failure
from quantx.lake.file_changes import AddedFile, FileChange
from quantx.lake.files import TableFiles
from quantx.lake.log import TableMetadata, creating_entry, entry_path, writing_entry
from quantx.lake.one_state import note_new_table
from quantx.lake.protocol import UNREAD, CommitContext, Erased, app_of
from quantx.lake.replay import hinted_version, record_checkpoint
from quantx.lake.snapshots import LakeSnapshot, kept_files
from quantx.lake.store import LakeLocation
from quantx.lake.table_reader import TableReader
from quantx.tracing import shared_span

_SEALING_ATTEMPTS = 20
_LATE = timedelta(days=31)  # updates change the sessions of some days before
_LOG_ENTRIES = 20  # since the last checkpoint
CONFIGURATION = {
    "delta.checkpointInterval": "1000",  # `fold` writes checkpoints, not an update
    "delta.logRetentionDuration": "interval 30 days",
    # Longer than the longest reader: replaced files stay for readers of an older version.
    "delta.deletedFileRetentionDuration": "interval 7 days",
}


class LakeTable(TableReader):
    """A handle on one table; the table is created by the first commit."""

    def __init__(self, location: LakeLocation, table: Table) -> None:
        super().__init__(location, table)
        self._parts = TableFiles(location, self._path, table)
        self._rounds: tuple[int, dict[str, int]] = (-1, {})  # the last rounds by application, as of a version

    def committed_round(self, state_id: str | None = None) -> int:
        """Return the last committed round of a state, 0 before the first; rounds without a state count as its own."""
        delta = self.newest()
        return 0 if delta is None else self._last_round(delta, app_of(state_id))

    def _last_round(self, delta: DeltaTable, app: str) -> int:
        """Return the last round of an application in the handle's version, or of programs that knew no states.

        The first round of a state has a greater number than theirs.
        """
        return self._round_of(delta, app) or self._round_of(delta, app_of(None))

    def _round_of(self, delta: DeltaTable, app: str) -> int:
        """Return the last round of one application, cached: delta-rs reads the whole log for it."""
        if self._rounds[0] != delta.version():
            self._rounds = delta.version(), {}
        rounds = self._rounds[1]
        if app not in rounds:
            try:
                rounds[app] = delta.transaction_version(app) or 0
            except (DeltaError, OSError) as error:
                raise log_failure(self._location, self._path, self.table.name) from error
        return rounds[app]

    def commit(
        self,
        context: CommitContext,
        new: pl.DataFrame,
        changed: pl.DataFrame | None = None,
        gone: pl.DataFrame | None = None,
        *,
        read_at: int | None = UNREAD,
        files: Sequence[AddedFile] = (),
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit.

        `files` have further new rows, which `write` has written.

        Return False, without a commit, if there is nothing to change or the round is already committed. CommitConflict
        if the table has changed since the version `read_at`.
        """
        changed = self.table.empty() if changed is None else changed
        gone = self.table.empty() if gone is None else gone
        if new.is_empty() and changed.is_empty() and gone.is_empty() and not files:
            return False
        for frame in (new, changed, gone):
            self._check_schema(frame)
        rows = new.height + changed.height + gone.height
        with shared_span("commit", context.run_ids, table=self.table.name, rows=rows, round=context.round_id) as span:
            delta = self._at(read_at)
            if context.round_id is not None and self._last_round(delta, context.app) >= context.round_id:
                return False
            rewritten, unknown = self._rewrite(delta, changed, gone)
            added = self._parts.write(pl.concat([new, unknown]))
            span.set_attribute("version", self._commit(delta, [*files, *added, *rewritten], context))
        return True

    def write(self, rows: pl.DataFrame) -> list[AddedFile]:
        """Write rows as data files and return them; a later commit makes them visible."""
        self._check_schema(rows)
        return self._parts.write(rows)

    def annotate(self, context: CommitContext, *, read_at: int | None = UNREAD) -> None:
        """Commit the properties of the context with the same rows; raises as `commit`."""
        self._commit(self._at(read_at), [], context)

    def replace(self, context: CommitContext, files: Sequence[AddedFile], *, read_at: int | None = UNREAD) -> None:
        """Put written files in the place of all files of the table, in one commit; raises as `commit`."""
        delta = self._at(read_at)
        removed = [self._parts.remove(row) for row in self._files(delta).iter_rows(named=True)]
        self._commit(delta, [*removed, *files], context)

    def is_committed(self, context: CommitContext) -> bool:
        """Return whether the round of a context, or a later one of its application, is committed."""
        delta = self.newest()
        if delta is None or context.round_id is None:
            return False
        return self._last_round(delta, context.app) >= context.round_id

    def exchange(
        self, context: CommitContext, gone: Collection[str], files: Sequence[AddedFile], *, read_at: int | None
    ) -> bool:
        """Put written files in the place of the data files with the paths `gone`, in one commit; return as `commit`.

        Files that the table has already stay as they are. CommitConflict if the table has changed since `read_at`.
        """
        delta = self._at(read_at)
        if context.round_id is not None and self._last_round(delta, context.app) >= context.round_id:
            return False
        live = {row["path"]: row for row in self._files(delta).iter_rows(named=True)}
        removed = [self._parts.remove(live[path]) for path in gone]
        added = [file for file in files if file.path not in live or file.path in gone]
        if not removed and not added:
            return False
        self._commit(delta, [*removed, *added], context)
        return True

    def seal(self, context: CommitContext) -> None:
        """Commit a version with the same rows, if the table exists: every commit under way is a conflict then."""
        for attempt in range(1, _SEALING_ATTEMPTS + 1):
            delta = self.newest()
            if delta is None:
                return
            try:
                self._append(delta, [], context)
                return
            except CommitConflict:  # what was under way is committed; nothing has been read yet
                if attempt == _SEALING_ATTEMPTS:
                    raise

    def erase(self, context: CommitContext, where: pl.Expr, source: str | None) -> Erased:
        """Erase the rows of `where` for good, also from replaced files, the log and snapshots; see `lake.erase`."""
        from quantx.lake.erase import Remains

        delta = self.newest()
        if delta is None:
            return Erased()
        remains, actions, lost = Remains(self._location, self.table, where, source), list[FileChange](), 0
        for row in self._files(delta).iter_rows(named=True):
            if not remains.may_have(row["path"]):
                continue
            rows = self._parts.read(row)
            rest = rows.filter(~where)
            if rest.height < rows.height:
                lost += rows.height - rest.height
                actions += [self._parts.remove(row), *self._parts.write(rest)]
        if actions:
            self._commit(delta, actions, context)
        return remains.erase(lost)

    def fold_small(self, context: CommitContext, most_files: int) -> int:
        """Rewrite the small files of a partition as one where they are more than `most_files`; return the partitions.

        A file of fewer rows than half of the table's `rows_per_file` is small. So wide tables, to which each day adds
        a file, keep their large files as they are, and the memory does not grow with the partition.
        """
        return self._fold(context, most_files, rows=(self.table.rows_per_file or 0) // 2)

    def fold(self, context: CommitContext, most_files: int, tail: int = 0) -> int:
        """Rewrite each partition of more than `most_files` files as one sorted file; return the number of partitions.

        The rows stay the same. The newest `tail` dates go to a separate file, so that corrections by the next updates
        rewrite little; a closed year, to which no update comes any more, has one file for all dates, and may have one
        file fewer. Replaced files older than the table's retention are deleted, and a long log gets a checkpoint.
        """
        return self._fold(context, most_files, tail)

    def _fold(self, context: CommitContext, most_files: int, tail: int = 0, rows: int | None = None) -> int:
        """Fold the files with fewer than `rows` rows; None: all."""
        delta = self.newest()
        if delta is None:
            return 0
        files = self._files(delta)
        open_year = _open_year(files)
        if rows is not None:
            files = files.filter(pl.col("num_records") < rows)
        partitions = [f"partition.{p}" for p in self.table.partitions]
        groups = files.group_by(partitions) if partitions else [((), files)]
        actions: list[FileChange] = []
        folded = 0
        for _, group in groups:
            closed = tail > 0 and "partition.year" in group.columns and group["partition.year"][0] < open_year
            if group.height <= (max(1, most_files - 1) if closed else most_files):
                continue
            folded += 1
            merged = pl.concat([self._parts.read(row) for row in group.iter_rows(named=True)])
            newest = 0 if closed else tail
            old, recent = _split_tail(merged, newest) if "date" in self.table.schema else (merged, merged.clear())
            actions += [*self._parts.write(old), *self._parts.write(recent)]
            actions += [self._parts.remove(row) for row in group.iter_rows(named=True)]
        if actions:
            self._commit(delta, actions, context)
            self._delete_old(delta)
        self._checkpoint(delta)
        return folded

    def untidy_months(self, closed_through: int, most_files: int) -> list[int]:
        """Return the months (as in 202410) that `compact` would rewrite, the oldest first."""
        delta = self.newest()
        if delta is None:
            return []
        rewrites = plan_compaction(self._files(delta), self.table, closed_through, most_files)
        return sorted({rewrite.month for rewrite in rewrites})

    def compact(self, context: CommitContext, month: int, closed_through: int, most_files: int) -> int:
        """Compact the files of a month, by symbol or by session; return the number of replaced files.

        The rows stay the same. Files are written first, then one log entry per partition, so that a kill leaves the
        month unchanged. Raises LakeError if another process replaces the same files.
        """
        delta, replaced = self.refresh(), 0
        if delta is None:
            return 0
        months = MonthFiles(self._location, self._path, self.table)
        for rewrite in plan_compaction(self._files(delta), self.table, closed_through, most_files):
            if rewrite.month != month:
                continue
            actions: list[FileChange] = []
            for group in rewrite.groups:
                for rows in months.ranges(group):
                    actions += self._parts.write_pieces(rewrite.partition, rows)
                    del rows  # free the memory before the next range
            actions += [self._parts.remove(row) for row in rewrite.files]
            self._commit(delta, actions, context)
            replaced += len(rewrite.files)
            delta = self.refresh() or delta
        if replaced:
            self._delete_old(delta)
        self._checkpoint(delta)
        return replaced

    def tidy(self) -> None:
        """Delete replaced files that are older than the table's retention, and write a checkpoint of a long log."""
        delta = self.refresh()
        if delta is not None:
            self._delete_old(delta)
            self._checkpoint(delta)

    def _delete_old(self, delta: DeltaTable) -> None:
        """Delete replaced files that are older than the table's retention, except those of snapshots.

        delta-rs only lists them: it would add entries without a digest to the log.
        """
        try:
            delta.update_incremental()
            old = delta.vacuum(dry_run=True)
        except (DeltaError, OSError) as error:
            raise log_failure(self._location, self._path, self.table.name) from error
        if old:
            kept = kept_files(self._location, self.table.name)
            self._location.delete([f"{self._path}/{path}" for path in old if path not in kept])

    def delete_dropped(self, snapshot: str) -> int:
        """Delete the files that only a snapshot has, before it is dropped; return their number.

        Files that were replaced within the table's retention stay for readers of an older version: `fold` deletes them.
        """
        delta = self.refresh()
        version = LakeSnapshot.read(self._location, snapshot).tables.get(self.table.name)
        if delta is None or version is None:
            return 0
        try:
            old = set(delta.vacuum(dry_run=True, full=True))
        except (DeltaError, OSError) as error:
            raise log_failure(self._location, self._path, self.table.name) from error
        kept = kept_files(self._location, self.table.name, without=snapshot)
        dropped = [file.path for file in version.files if file.path in old and file.path not in kept]
        self._location.delete([f"{self._path}/{path}" for path in dropped])
        return len(dropped)

    def _checkpoint(self, delta: DeltaTable) -> None:
        """Write a checkpoint if the log is long since the last one, so that opening the table reads less."""
        version = delta.version()
        if version < _LOG_ENTRIES or version - hinted_version(self._location, self._path) < _LOG_ENTRIES:
            return
        try:
            delta.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise log_failure(self._location, self._path, self.table.name) from error
        record_checkpoint(self._location, self._path, version)

    def _create(self) -> DeltaTable:
        """Create the table without rows, unless another process does; return its handle."""
        schema = Schema.from_arrow(self.table.empty().to_arrow().schema).to_json()
        entry = creating_entry(schema, self.table.partitions, CONFIGURATION)
        self._location.create(f"{self._path}/{entry_path(0)}", entry)
        note_new_table()
        created = self.refresh()
        if created is None:
            raise LakeError(f"the table {self.url} was created and can't be found; try again")
        return created

    def _changed_metadata(self, delta: DeltaTable, properties: Mapping[str, str]) -> TableMetadata | None:
        """Return the table's metadata with the missing columns and other properties; None if it has all of them.

        Missing columns are null in earlier files.
        """
        missing, now = self._missing_columns(delta), delta.metadata()
        if not missing and properties.items() <= now.configuration.items():
            return None
        schema = json.loads(delta.schema().to_json())
        columns = Schema.from_arrow(self.table.empty().select(missing).to_arrow().schema)
        schema["fields"] += json.loads(columns.to_json())["fields"]
        return TableMetadata(
            id=str(now.id),
            created=now.created_time,
            schema=json.dumps(schema),
            partitions=now.partition_columns,
            configuration={**now.configuration, **properties},
            name=now.name,
            description=now.description,
        )

    def _at(self, read_at: int | None) -> DeltaTable:
        """Return the handle of the version `read_at`; CommitConflict if the table has another one now.

        A table without rows is as good as none. A handle that has the version already is not refreshed: a newer one
        shows when the entry is created.
        """
        delta = self._delta
        if read_at in (None, UNREAD):
            delta = self.refresh() or self._create()
        elif delta is None or delta.version() < (read_at or 0) or self._location.delta_options != self._opened_with:
            delta = self.refresh()
        if delta is None or (read_at != UNREAD and delta.version() != (read_at or 0)):
            raise self._conflict()
        return delta

    def _conflict(self) -> CommitConflict:
        self._forget()
        return CommitConflict(f"another process has changed the table {self.url} meanwhile; start the command again")

    def _commit(self, delta: DeltaTable, changes: Sequence[FileChange], context: CommitContext) -> int:
        """Confirm the role, commit changes as the version after that of the handle, and return it."""
        context.confirm()
        return self._append(delta, changes, context)

    def _append(self, delta: DeltaTable, changes: Sequence[FileChange], context: CommitContext) -> int:
        """Create the entry of the version after that of the handle, and return it; CommitConflict if it exists."""
        version = delta.version() + 1
        entry = writing_entry(
            context,
            changes,
            version=version,
            partitions=self.table.partitions,
            metadata=self._changed_metadata(delta, context.properties),
        )
        if not self._location.create(f"{self._path}/{entry_path(version)}", entry):
            raise self._conflict()
        self._forget()
        context.note_version(self._path, version)
        known = self._rounds[1] if self._rounds[0] == delta.version() else {}
        self._rounds = version, known | ({} if context.round_id is None else {context.app: context.round_id})
        return version

    def _check_schema(self, frame: pl.DataFrame) -> None:
        if dict(frame.schema) != dict(self.table.schema):  # delta-rs would cast a numeric string silently
            raise LakeError(f"rows for {self.table.name} have the columns {frame.schema}, not {self.table.schema}")

    def _rewrite(
        self, delta: DeltaTable, changed: pl.DataFrame, gone: pl.DataFrame
    ) -> tuple[list[FileChange], pl.DataFrame]:
        """Rewrite each file with keys of `changed` or `gone`, with the rows of `changed` and without those of `gone`.

        Return the actions, and the rows of `changed` that are in no file. One file becomes one file: small files stay
        small, so that the next correction rewrites as little.
        """
        actions: list[FileChange] = []
        if changed.is_empty() and gone.is_empty():
            return actions, changed
        key = list(self.table.key)
        touched = pl.concat([changed, gone])
        bounded = [c for c in ("symbol", "date", "time", "ex_date", "filed") if c in key]
        for row in self._files(delta).iter_rows(named=True):
            inside = pl.lit(True)
            for p in self.table.partitions:
                inside &= pl.col(p) == row[f"partition.{p}"]
            for c in bounded:
                between = pl.col(c).is_between(pl.lit(row[f"min.{c}"]), pl.lit(row[f"max.{c}"]))
                inside &= between | pl.col(c).is_null()  # the statistics do not cover nulls
            if touched.filter(inside).is_empty():
                continue
            rows = self._parts.read(row)
            rest = rows.join(touched, on=key, how="anti", nulls_equal=True)
            if rest.height < rows.height:
                corrected = changed.join(rows, on=key, how="semi", nulls_equal=True)
                changed = changed.join(corrected, on=key, how="anti", nulls_equal=True)
                actions += [self._parts.remove(row), *self._parts.write(pl.concat([rest, corrected]))]
        return actions, changed


def open_tables(location: LakeLocation, tables: Mapping[str, Table]) -> dict[str, LakeTable]:
    """Return a handle per table, without reading anything."""
    return {name: LakeTable(location, table) for name, table in tables.items()}


def _open_year(files: pl.DataFrame) -> int:
    """Return the first year that updates still change: that of a month before the newest date of the files."""
    newest = files["max.date"].max() if "max.date" in files.columns else None
    return (newest - _LATE).year if isinstance(newest, date) else 0


def _split_tail(rows: pl.DataFrame, tail: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    if tail == 0:
        return rows, rows.clear()
    newest = rows["date"].unique().sort(descending=True).head(tail).min()
    return rows.filter(pl.col("date") < newest), rows.filter(pl.col("date") >= newest)
