"""Data files that a commit adds and removes, as actions of a Delta log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DIGEST = "quantx.sha256"  # in the commitInfo of an entry, and in the tags of a data file


@dataclass(frozen=True, kw_only=True)
class AddedFile:
    """A data file that a commit adds."""

    path: str  # below the table
    size: int
    sha256: str
    partition: Mapping[str, str]
    statistics: str  # JSON, in Delta's form

    def action(self, at: int) -> dict[str, Any]:
        """Return the action of a commit at an instant in ms."""
        add = {
            "path": self.path,
            "partitionValues": dict(self.partition),
            "size": self.size,
            "modificationTime": at,
            "dataChange": True,
            "stats": self.statistics,
            "tags": {DIGEST: self.sha256},
        }
        return {"add": add}


@dataclass(frozen=True, kw_only=True)
class RemovedFile:
    """A data file that a commit removes; readers of older versions keep it."""

    path: str
    size: int
    partition: Mapping[str, str]

    def action(self, at: int) -> dict[str, Any]:
        """Return the action of a commit at an instant in ms."""
        # A file that was only folded claims a change of data, too: delta-rs 1.6.6, with which earlier programs commit,
        # lets two commits remove the same files if one of them changes no data.
        remove = {
            "path": self.path,
            "deletionTimestamp": at,
            "dataChange": True,
            "extendedFileMetadata": True,
            "partitionValues": dict(self.partition),
            "size": self.size,
        }
        return {"remove": remove}


FileChange = AddedFile | RemovedFile
