"""Sessions that are stored already: merge their files with the staged ones, in parts, into files that replace them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from quantx.lake.file_changes import AddedFile
from quantx.lake.store import LakeLocation
from quantx.lake.table import LakeTable
from quantx.pipeline.options.staged import StagedMember


@dataclass
class Replaced:
    """The files to add and to remove, and how many rows that changes."""

    files: list[AddedFile] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    superseded: list[AddedFile] = field(default_factory=list)  # of the revisions
    unused: list[str] = field(default_factory=list)  # staged files whose rows stand in merged ones
    new: int = 0
    changed: int = 0
    removed: int = 0


def replace_sessions(
    location: LakeLocation,
    table: LakeTable,
    staged: StagedMember,
    folder: Path,
    corrects: Collection[str],
) -> Replaced:
    """Return the changes to the files of a table that bring it up to a staged member."""
    done = Replaced()
    for file in staged.files:
        done.files.append(file.put.added)
        done.new += file.put.rows
    return done
