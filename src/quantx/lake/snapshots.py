"""Named snapshots: the files of all tables at one moment, listed in an object of their own and kept until dropped.

A snapshot has the list of each table's files, not only its version: it can be read after the log's old entries are
gone, and what deletes replaced files sees by these objects alone which ones to keep.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from quantx.errors import ConfigError, DamagedObject
from quantx.lake.store import LakeLocation
from quantx.lake.table_version import LiveFile, TableVersion

FOLDER = "meta/snapshots-of-tables"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DAYS = ("first_day", "last_day")


@dataclass(frozen=True, kw_only=True)
class LakeSnapshot:
    """The versions of all tables that existed, by name."""

    name: str
    created_at: datetime
    program: str  # the version of this program
    tables: Mapping[str, TableVersion]

    def write(self, location: LakeLocation) -> None:
        """Create the snapshot's object; one of the same name stays as it is."""
        facts = {
            "name": self.name,
            "created_at": self.created_at.isoformat(),
            "program": self.program,
            "tables": {name: _to_json(version) for name, version in self.tables.items()},
        }
        location.create(snapshot_path(self.name), json.dumps(facts, default=str).encode())

    @staticmethod
    def read(location: LakeLocation, name: str) -> LakeSnapshot:
        """Return a snapshot by its name; DamagedObject if it is missing or can't be read."""
        path = snapshot_path(name)
        body = location.get(path)
        try:
            facts = json.loads(body)
            tables = {table: _from_json(version) for table, version in facts["tables"].items()}
            return LakeSnapshot(
                name=facts["name"],
                created_at=datetime.fromisoformat(facts["created_at"]),
                program=facts["program"],
                tables=tables,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DamagedObject(
                f"the snapshot {location.address(path)} can't be read; drop it with `quantx snapshot drop {name}`"
            ) from None


def snapshot_path(name: object) -> str:
    """Return the path of a snapshot's object; ConfigError for a name that is none."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{str(name)[:80]!r} is no name of a snapshot; use up to 64 letters, digits, dots, hyphens and underscores"
        )
    return f"{FOLDER}/{name}.json"


def snapshot_names(location: LakeLocation) -> list[str]:
    """Return the names of all snapshots of a lake, sorted; it is one request."""
    names = (path.removeprefix(f"{FOLDER}/") for path in location.paths(FOLDER))
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def kept_files(location: LakeLocation, table: str, *, without: str | None = None) -> set[str]:
    """Return the paths, below the table, of the files that snapshots have; `without` one of them.

    Raises DamagedObject for a snapshot that can't be read: its files are not known then.
    """
    names = [name for name in snapshot_names(location) if name != without]
    versions = (LakeSnapshot.read(location, name).tables.get(table) for name in names)
    return {file.path for version in versions if version is not None for file in version.files}


def _to_json(version: TableVersion) -> dict[str, Any]:
    files = [asdict(file) for file in version.files]
    return {"version": version.number, "files": files, "properties": dict(version.properties)}


def _from_json(facts: Mapping[str, Any]) -> TableVersion:
    return TableVersion(
        int(facts["version"]), tuple(_file(each) for each in facts["files"]), facts.get("properties", {})
    )


def _file(facts: Mapping[str, Any]) -> LiveFile:
    days = {name: None if facts[name] is None else date.fromisoformat(facts[name]) for name in _DAYS}
    return LiveFile(**{**facts, **days})
