"""A lake in a folder that counts how its tables' versions are looked up."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from deltalake import DeltaTable

from quantx.core.tables import TABLES
from quantx.lake.store import LakeLocation
from quantx.lake.table import LakeTable


class CountedLocation(LakeLocation):
    """Counts the listings of folders, and the questions whether an object exists, by the object's folder."""

    @property
    def counts(self) -> Counter[str]:
        counted: Counter[str] = self.__dict__.setdefault("counted", Counter())
        return counted

    def has(self, path: str) -> bool:
        self.counts[path.rpartition("/_delta_log/")[0] or path] += 1
        return super().has(path)

    def folders(self, within: str = "") -> list[str]:
        self.counts["listings"] += 1
        return super().folders(within)


class CountedTable(LakeTable):
    """Counts the reads of its log, by its path."""

    def refresh(self) -> DeltaTable | None:
        assert isinstance(self._location, CountedLocation)
        self._location.counts[self._path] += 1
        return super().refresh()


def counted_tables(location: LakeLocation) -> tuple[CountedLocation, dict[str, CountedTable]]:
    """Return a location that counts, and handles on its tables."""
    counted = CountedLocation(**{part.name: getattr(location, part.name) for part in fields(location)})
    return counted, {name: CountedTable(counted, table) for name, table in TABLES.items()}
