"""Erase rows of a Delta table for good: no byte of them stays in data files, the log, checkpoints or snapshots.

The caller holds the role of the table. First a commit without the rows. Then what earlier versions left behind: files
that snapshots pin are written again without the rows, a checkpoint of the newest version replaces earlier ones, the
statistics of replaced files are taken out of the log's entries, and the replaced files are deleted at once. Entries
keep their names: a version that was given out is never given out again. Readers of an older version get an error.

Each step repeats without harm, and finds by listing what is left of an interrupted one.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from quantx.core.table import Table
from quantx.errors import LakeError
from quantx.lake.file_changes import AddedFile
from quantx.lake.files import TableFiles
from quantx.lake.log import without_statistics
from quantx.lake.protocol import Erased
from quantx.lake.replay import ASIDE, RECORDS, TableLog, checkpoint_path, read_log, record_checkpoint
from quantx.lake.snapshots import kept_files, snapshot_names, snapshot_path
from quantx.lake.store import LakeLocation
from quantx.lake.table_version import day_of

_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")
_BATCH = 500  # files
_GONE = b"deleted for good"  # in place of a damaged object that was put aside


class Remains:
    """What earlier versions of a table have left behind; `where` are the erased rows, `source` their vendor.

    None: rows of several vendors.
    """

    def __init__(self, location: LakeLocation, table: Table, where: pl.Expr, source: str | None) -> None:
        self._location = location
        self._table = table
        self._path = table.path
        self._where = where
        self._source = source
        self._files = TableFiles(location, table.path, table)

    def erase(self, rows: int) -> Erased:
        """Erase all that is left behind; `rows` is the number of rows that the newest version has lost."""
        log = read_log(self._location, self._path)
        if log is None:
            return Erased()
        if not log.whole or any(damage.needed for damage in log.damages):
            raise LakeError(
                f"the log of the table {self._table.name} is damaged; run `quantx verify --repair`, then delete again"
            )
        snapshots = self._rewrite_snapshots()
        entries = self._forget_statistics(log)
        files = self._delete_replaced(log)
        self._empty_put_aside()
        return Erased(rows, files, entries, snapshots)

    def may_have(self, path: str) -> bool:
        """Return whether a file of the table may have erased rows, by the folder of its partition."""
        if self._source is None or "source" not in self._table.partitions:
            return True
        return f"source={quote(self._source, safe='')}/" in f"{path}/"

    def _rewrite_snapshots(self) -> tuple[str, ...]:
        """Replace the files of snapshots that have erased rows; return the names of these snapshots."""
        changed = []
        for name in snapshot_names(self._location):
            facts = json.loads(self._location.get(snapshot_path(name)))
            version = facts["tables"].get(self._table.name)
            if version is None:
                continue
            files = [part for file in version["files"] for part in self._without_rows(file)]
            if files != version["files"]:
                version["files"] = files
                self._location.put(snapshot_path(name), json.dumps(facts).encode())
                changed.append(name)
        return tuple(changed)

    def _without_rows(self, file: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a snapshot's file, or the files that replace it where it has erased rows."""
        if not self.may_have(file["path"]) or not self._location.has(f"{self._path}/{file['path']}"):
            return [file]  # a restored lake has no files that only snapshots had
        stored = self._files.read({"path": file["path"], **{f"partition.{c}": v for c, v in file["partition"].items()}})
        rest = stored.filter(~self._where)
        if rest.height == stored.height:
            return [file]
        added = self._files.write(rest) if rest.height else []
        return [{**file, "path": each.path, "size": each.size, **_bounds(each, self._table)} for each in added]

    def _forget_statistics(self, log: TableLog) -> int:
        """Take the statistics of replaced files out of the log: a new checkpoint, then the entries; return how many."""
        found = {path.rpartition("/")[2]: path for path in self._location.paths(f"{self._path}/_delta_log")}
        if any(_CHECKPOINT.fullmatch(name) for name in found):
            self._write_checkpoint(log.version)
            newest = checkpoint_path(self._path, log.version)
            old = [path for name, path in found.items() if _CHECKPOINT.fullmatch(name) and path != newest]
            records = self._location.paths(f"{RECORDS}/{self._path}")
            self._location.delete([*old, *(path for path in records if f"{log.version:020}" not in path)])
        live, changed = set(log.state.files), 0
        for path in sorted(path for name, path in found.items() if name.endswith(".json") and name[:20].isdigit()):
            body = self._location.get(path)
            if (clean := without_statistics(body, live)) is not None:
                self._location.put(path, clean)
                changed += 1
        return changed

    def _write_checkpoint(self, version: int) -> None:
        try:
            delta = DeltaTable(
                self._location.table_url(self._path), storage_options=self._location.delta_options, version=version
            )
            delta.create_checkpoint()
        except (DeltaError, OSError):
            raise LakeError(f"cannot write a checkpoint of {self._path}; delete again") from None
        record_checkpoint(self._location, self._path, version)

    def _delete_replaced(self, log: TableLog) -> int:
        """Delete the files that neither the newest version nor a snapshot has; return their number."""
        kept = set(log.state.files) | kept_files(self._location, self._table.name)
        names = (path.removeprefix(f"{self._path}/") for path in self._location.paths(self._path))
        gone = [n for n in names if n not in kept and not n.startswith("_delta_log/") and self.may_have(n)]
        for start in range(0, len(gone), _BATCH):
            self._location.delete([f"{self._path}/{name}" for name in gone[start : start + _BATCH]])
        return len(gone)

    def _empty_put_aside(self) -> None:
        """Empty the damaged objects of the table that a repair has put aside; their names stay."""
        for path, size in self._location.sizes(f"{ASIDE}/{self._path}").items():
            if size > len(_GONE):
                self._location.put(path, _GONE)


def _bounds(added: AddedFile, table: Table) -> dict[str, Any]:
    """Return what a snapshot has of a file: its rows, and the bounds of symbol and day."""
    facts = json.loads(added.statistics)
    low, high = facts["minValues"], facts["maxValues"]
    day = day_of(table)
    return {
        "rows": facts["numRecords"],
        "first_symbol": low.get("symbol"),
        "last_symbol": high.get("symbol"),
        "first_day": low.get(day),
        "last_day": high.get(day),
    }
