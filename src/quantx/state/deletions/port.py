"""The port of deletions: what the state has of the data that a tombstone deletes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quantx.core.tombstones import Tombstone


@dataclass(frozen=True)
class Stopped:
    """Tasks that were stopped."""

    tasks: int
    held_until: datetime | None = None  # the end of the last lease: until then a worker may still store a reply


class Deletions(Protocol):
    """Removes a vendor's data from the state. The caller holds the roles that commit."""

    def count(self, stone: Tombstone) -> Mapping[str, int]:
        """Return the number of rows that `erase` deletes, by table."""
        ...

    def stop_tasks(self, stone: Tombstone) -> Stopped:
        """Fail the unfinished tasks about the deleted data for good, and drop the vendor as a fallback of others.

        A worker that holds one can't land it any more.
        """
        ...

    def erase(self, stone: Tombstone) -> Mapping[str, int]:
        """Delete hot bars, coverage, gaps and findings, and the texts of failures; return the rows by table."""
        ...

    def replace_object(self, path: str, stand_in: str | None, size: int, kept: Collection[int]) -> None:
        """Record that a raw object is now another one, which has the replies of the tasks `kept` in the same rows.

        None: no object stands for it, and all of its replies are deleted.
        """
        ...
