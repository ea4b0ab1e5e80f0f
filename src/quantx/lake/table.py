"""One curated Delta table: read it, and commit new and changed rows in one transaction.

This module writes and replaces files itself, and commits them through delta-rs in one log entry with adds and removes.
The `write_deltalake` of delta-rs does not meet three requirements at once: new and replaced rows belong to one commit;
a correction rewrites only the files with the corrected rows; files are sorted, with exact statistics. One process
commits to a table (the curator's lock); Delta's conflict check refuses a second one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from quantx.core.tables import Table
from quantx.errors import DamagedObject, LakeError
from quantx.lake.compaction import MonthFiles, plan_compaction
from quantx.lake.files import TableFiles
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation
from quantx.tracing import shared_span

APP = "quantx.curator"  # the application id of Delta's application transactions; their versions are rounds
_ATTEMPTS = 5
_LOG_ENTRIES = 20  # since the last checkpoint
CONFIGURATION = {
    "delta.checkpointInterval": "1000",  # `fold` writes checkpoints, not an update
    "delta.logRetentionDuration": "interval 30 days",
    # Longer than the longest reader: replaced files stay for readers of an older version.
    "delta.deletedFileRetentionDuration": "interval 7 days",
}


class LakeTable:
    """A handle on one table; the table is created by the first commit."""

    def __init__(self, location: LakeLocation, table: Table) -> None:
        self.table = table
        self._location = location
        self._path = table_path(table.name)
        self._parts = TableFiles(location, self._path, table)
        self._delta: DeltaTable | None = None
        self._opened_with: dict[str, str] = {}  # options of the handle, with a token that expires
        self._round: tuple[int, int] | None = None  # the last round, as of a version

    @property
    def url(self) -> str:
        """Return the address of the table for any Delta reader."""
        return self._location.table_url(self._path)

    def refresh(self) -> DeltaTable | None:
        """Update the handle to the newest version; return None if the table does not exist."""
        options = self._location.delta_options
        try:
            if self._delta is None or options != self._opened_with:
                self._delta, self._opened_with = DeltaTable(self.url, storage_options=options), options
            else:
                self._delta.update_incremental()
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            raise LakeError(f"cannot open the table {self.url}: {error}") from error
        return self._delta

    def version(self) -> int | None:
        """Return the newest version; None if the table does not exist."""
        delta = self.refresh()
        return None if delta is None else delta.version()

    def committed_round(self) -> int:
        """Return the last committed round, 0 before the first."""
        delta = self.refresh()
        return 0 if delta is None else self._round_of(delta)

    def _round_of(self, delta: DeltaTable) -> int:
        """Return the last round of the handle's version, cached: delta-rs reads the whole log for it."""
        if self._round is None or self._round[0] != delta.version():
            try:
                self._round = delta.version(), delta.transaction_version(APP) or 0
            except (DeltaError, OSError) as error:
                raise LakeError(f"cannot read the log of the table {self.url}: {error}") from error
        return self._round[1]

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily; filters on partitions, symbol and date skip files.

        Collect it soon: with an Azure identity the frame holds a token that expires.
        """
        delta = self.refresh()
        if delta is None:
            return self.table.empty().lazy()
        try:
            rows = pl.scan_delta(delta, storage_options=self._location.delta_options or None)
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            raise LakeError(f"cannot read the table {self.url}: {error}") from error
        # Columns that were declared after the table was created are null.
        missing = [pl.lit(None, dtype=self.table.schema[c]).alias(c) for c in self._missing_columns(delta)]
        return rows.with_columns(missing).select(list(self.table.schema))

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`); LakeError if a file is missing or damaged."""
        return self.collect(self.scan() if where is None else self.scan().filter(where))

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run a query on `scan` and return its result; LakeError if a file is missing or damaged."""
        try:
            return rows.collect(engine="streaming" if in_pieces else "in-memory")
        except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise LakeError(
                f"the table {self.url} can't be read: {reason}; a file is missing or damaged, restore it from a backup"
            ) from error

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None if the table does not exist."""
        delta = self.refresh()
        if delta is None:
            return None
        files = self._files(delta)
        rows, size = (int(files[c].sum()) if files.height else 0 for c in ("num_records", "size_bytes"))
        return {
            "table": self.table.name,
            "url": self.url,
            "version": delta.version(),
            "rows": rows,
            "files": files.height,
            "megabytes": round(size / 1e6, 3),
        }

    def commit(
        self,
        context: CommitContext,
        new: pl.DataFrame,
        changed: pl.DataFrame | None = None,
        gone: pl.DataFrame | None = None,
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit.

        Return False, without a commit, if there is nothing to change or the round is already committed.
        """
        changed = self.table.empty() if changed is None else changed
        gone = self.table.empty() if gone is None else gone
        if new.is_empty() and changed.is_empty() and gone.is_empty():
            return False
        for frame in (new, changed, gone):
            self._check_schema(frame)
        rows = new.height + changed.height + gone.height
        with shared_span("commit", context.run_ids, table=self.table.name, rows=rows, round=context.round_id) as span:
            for attempt in range(1, _ATTEMPTS + 1):
                delta = self._with_all_columns(self.refresh() or self._create())
                if self._round_of(delta) >= context.round_id:
                    return False
                rewritten, unknown = self._rewrite(delta, changed, gone)
                added = self._parts.write(pl.concat([new, unknown]))
                if self._try_commit(delta, [*added, *rewritten], context, last=attempt == _ATTEMPTS):
                    span.set_attribute("version", delta.version() + 1)
                    return True
        raise AssertionError("the last attempt returns or raises")

    def fold(self, context: CommitContext, most_files: int, tail: int = 0) -> int:
        """Rewrite each partition of more than `most_files` files as one sorted file; return the number of partitions.

        The rows stay the same. The newest `tail` dates go to a separate file, so that corrections by the next updates
        rewrite little. Replaced files older than the table's retention are deleted, and a long log gets a checkpoint.
        """
        delta = self.refresh()
        if delta is None:
            return 0
        files = self._files(delta)
        partitions = [f"partition.{p}" for p in self.table.partitions]
        groups = files.group_by(partitions) if partitions else [((), files)]
        actions: list[AddAction | RemoveAction] = []
        folded = 0
        for _, group in groups:
            if group.height <= most_files:
                continue
            folded += 1
            rows = pl.concat([self._parts.read(row) for row in group.iter_rows(named=True)])
            old, recent = _split_tail(rows, tail) if "date" in self.table.schema else (rows, rows.clear())
            # The data does not change, but the commit claims it: delta-rs 1.6.6 lets two commits remove the same files
            # if one of them changes no data, and both copies of their rows would stay.
            actions += [*self._parts.write(old), *self._parts.write(recent)]
            actions += [self._parts.remove(row) for row in group.iter_rows(named=True)]
        if actions:
            self._try_commit(delta, actions, context, last=True, once=False)
            self._delete_old(delta)
        self._checkpoint(delta)
        return folded

    def untidy_months(self, closed_through: int, most_files: int) -> list[int]:
        """Return the months (as in 202410) that `compact` would rewrite, the oldest first."""
        delta = self.refresh()
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
            actions: list[AddAction | RemoveAction] = []
            for group in rewrite.groups:
                for rows in months.ranges(group):
                    actions += self._parts.write_pieces(rewrite.partition, rows)
                    del rows  # free the memory before the next range
            actions += [self._parts.remove(row) for row in rewrite.files]
            self._try_commit(delta, actions, context, last=True, once=False)
            replaced += len(rewrite.files)
            delta = self.refresh() or delta
        if replaced:
            self._delete_old(delta)
        self._checkpoint(delta)
        return replaced

    def _delete_old(self, delta: DeltaTable) -> None:
        """Delete replaced files that are older than the table's retention."""
        try:
            delta.update_incremental()
            delta.vacuum(dry_run=False)
        except (DeltaError, OSError) as error:
            raise LakeError(f"cannot delete old files of the table {self.url}: {error}") from error

    def _checkpoint(self, delta: DeltaTable) -> None:
        """Write a checkpoint if the log is long since the last one, so that opening the table reads less."""
        try:
            last = int(json.loads(self._location.get(f"{self._path}/_delta_log/_last_checkpoint"))["version"])
        except DamagedObject:  # no checkpoint yet
            last = 0
        if delta.version() - last < _LOG_ENTRIES:
            return
        try:
            delta.create_checkpoint()
        except (DeltaError, OSError) as error:
            raise LakeError(f"cannot write a checkpoint of the table {self.url}: {error}") from error

    def _create(self) -> DeltaTable:
        options = self._location.delta_options
        try:
            self._delta = DeltaTable.create(
                self.url,
                schema=self.table.empty().to_arrow().schema,
                mode="ignore",
                partition_by=list(self.table.partitions),
                configuration=CONFIGURATION,
                storage_options=options,
            )
            self._opened_with = options
        except (DeltaError, OSError) as error:
            created = self.refresh()  # by another process at the same time
            if created is None:
                raise LakeError(f"cannot create the table {self.url}: {error}") from error
            return created
        return self._delta

    def _missing_columns(self, delta: DeltaTable) -> list[str]:
        """Return the columns that were declared after the table was created."""
        present = {field.name for field in delta.schema().fields}
        return [c for c in self.table.schema if c not in present]

    def _with_all_columns(self, delta: DeltaTable) -> DeltaTable:
        """Add the missing columns to the table; they are null in earlier files."""
        missing = self._missing_columns(delta)
        if missing:
            columns = self.table.empty().select(missing).to_arrow().schema
            try:
                delta.alter.add_columns(list(Schema.from_arrow(columns).fields))
                delta.update_incremental()
            except (DeltaError, OSError) as error:
                raise LakeError(f"cannot add columns to the table {self.url}: {error}") from error
        return delta

    def _try_commit(
        self,
        delta: DeltaTable,
        actions: list[AddAction | RemoveAction],
        context: CommitContext,
        *,
        last: bool,
        once: bool = True,
    ) -> bool:
        properties = CommitProperties(
            custom_metadata={
                "quantx.round": context.round_id,
                "quantx.runs": list(context.run_ids),
                "quantx.raw": list(context.raw_objects),
            },
            app_transactions=[Transaction(APP, context.round_id)] if once else None,
        )
        before, last_round = delta.version(), self._round_of(delta)
        try:
            delta.create_write_transaction(
                actions, "append", delta.schema(), list(self.table.partitions), commit_properties=properties
            )
        except CommitFailedError as error:
            if last:
                raise LakeError(f"another process is changing the table {self.url}: {error}") from error
            return False
        except (DeltaError, OSError) as error:
            raise LakeError(f"cannot commit to the table {self.url}: {error}") from error
        # If the next version is this one, it is this commit; otherwise the log is read again.
        self._round = before + 1, context.round_id if once else last_round
        return True

    def _check_schema(self, frame: pl.DataFrame) -> None:
        if dict(frame.schema) != dict(self.table.schema):  # delta-rs would cast a numeric string silently
            raise LakeError(f"rows for {self.table.name} have the columns {frame.schema}, not {self.table.schema}")

    def _files(self, delta: DeltaTable) -> pl.DataFrame:
        files = pl.DataFrame(delta.get_add_actions(flatten=True))
        return files if files.height else files.with_columns(pl.lit("").alias("path")).clear()

    def _rewrite(
        self, delta: DeltaTable, changed: pl.DataFrame, gone: pl.DataFrame
    ) -> tuple[list[AddAction | RemoveAction], pl.DataFrame]:
        """Rewrite each file with keys of `changed` or `gone`, with the rows of `changed` and without those of `gone`.

        Return the actions, and the rows of `changed` that are in no file. One file becomes one file: small files stay
        small, so that the next correction rewrites as little.
        """
        actions: list[AddAction | RemoveAction] = []
        key = list(self.table.key)
        touched = pl.concat([changed, gone])
        bounded = [c for c in ("symbol", "date", "time", "ex_date") if c in key]
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


def table_path(name: str) -> str:
    """Return the path of a table in the lake."""
    return name if name == "quarantine" else f"curated/{name}"


def open_tables(location: LakeLocation, tables: Mapping[str, Table]) -> dict[str, LakeTable]:
    """Return a handle per table, without reading anything."""
    return {name: LakeTable(location, table) for name, table in tables.items()}


def _split_tail(rows: pl.DataFrame, tail: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    if tail == 0:
        return rows, rows.clear()
    newest = rows["date"].unique().sort(descending=True).head(tail).min()
    return rows.filter(pl.col("date") < newest), rows.filter(pl.col("date") >= newest)
