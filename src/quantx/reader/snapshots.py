"""Named snapshots of a lake: pin the versions of all tables under a name, read them, list and drop them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

import polars as pl

from quantx.core.table import INSTANT
from quantx.core.tables import TABLES
from quantx.errors import ConfigError, DamagedObject, LakeError, NotInLake
from quantx.lake.snapshots import FOLDER, LakeSnapshot, snapshot_names, snapshot_path
from quantx.reader.arguments import did_you_mean
from quantx.reader.handle import LakeHandle
from quantx.reader.provenance import program_version

_COLUMNS: dict[str, Any] = {
    "name": pl.String,
    "created_at": INSTANT,
    "program": pl.String,
    "tables": pl.Int64,
    "rows": pl.Int64,
    "files": pl.Int64,
    "megabytes": pl.Float64,
}


class SnapshotQueries(LakeHandle):
    """Snapshots of all tables."""

    def snapshot(self, name: str, *, create: bool = True) -> Self:
        """Return the lake as a snapshot has it; the first call with a name pins the present versions of all tables.

        All queries of the returned lake read these versions, in any process and at any time: their files are kept until
        the snapshot is dropped. `create=False` raises NotInLake for an unknown name instead.

        Raises LakeError without a right to write to the lake, if there is no such snapshot yet.
        """
        path = snapshot_path(name)
        if not self._location.has(path):
            if not create:
                names = snapshot_names(self._location)
                raise NotInLake(f"there is no snapshot {name!r}{did_you_mean(name, names)}; {_listed(names)}", [name])
            self._pin_as(name)
        stored = LakeSnapshot.read(self._location, name)
        return type(self)(self._location, self._sources_of, self._stored.decoded.folder, stored)

    def snapshots(self) -> pl.DataFrame:
        """Return the snapshots: name, created_at (UTC), program (its version), tables, rows, files, megabytes."""
        rows = []
        for name in snapshot_names(self._location):
            stored = LakeSnapshot.read(self._location, name)
            files = [file for version in stored.tables.values() for file in version.files]
            size = round(sum(file.size for file in files) / 1e6, 3)
            counts = (len(stored.tables), sum(file.rows for file in files), len(files), size)
            rows.append((name, stored.created_at, stored.program, *counts))
        return pl.DataFrame(rows, schema=_COLUMNS, orient="row")

    def drop_snapshot(self, name: str) -> int:
        """Drop a snapshot, and delete the files that only it kept; return their number.

        Raises NotInLake for an unknown name, and LakeError without the right to delete.
        """
        from quantx.lake.table import LakeTable  # writes

        path, names = snapshot_path(name), snapshot_names(self._location)
        if name not in names:
            raise NotInLake(f"there is no snapshot {name!r}{did_you_mean(name, names)}; {_listed(names)}", [name])
        deleted = 0
        try:
            present = LakeSnapshot.read(self._location, name).tables
            deleted = sum(LakeTable(self._location, TABLES[table]).delete_dropped(name) for table in _known(present))
        except DamagedObject:
            pass  # its files are not known; those that are still in the log are deleted by the next compaction
        self._location.delete([path])
        return deleted

    def _pin_as(self, name: str) -> None:
        if self._stored.snapshot is not None:
            raise ConfigError(f"this lake is the snapshot {self._stored.snapshot.name!r}; open the lake to pin another")
        with self.pin():
            versions = {table: self._stored.version(declared) for table, declared in TABLES.items()}
        stored = LakeSnapshot(
            name=name,
            created_at=datetime.now(UTC),
            program=program_version(),
            tables={table: version for table, version in versions.items() if version is not None},
        )
        try:
            stored.write(self._location)
        except LakeError as error:
            where = self._location.address(FOLDER)
            raise LakeError(
                f"the snapshot {name!r} was not created: {error}; it needs the right to write to {where}"
            ) from error


def _known(tables: Mapping[str, object]) -> list[str]:
    return [name for name in tables if name in TABLES]


def _listed(names: list[str]) -> str:
    return f"there are {', '.join(names)}" if names else "there is none yet"
