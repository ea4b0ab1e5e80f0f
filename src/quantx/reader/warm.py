"""Decoded copies of a lake's files on this machine: write those that queries of a selection need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quantx.core.table import Table
from quantx.core.tables import QUARANTINE, TABLES
from quantx.errors import ConfigError
from quantx.lake.table_version import LiveFile
from quantx.reader.arguments import Day, Symbols, to_date, to_names, to_vendor
from quantx.reader.filers import FilerQueries
from quantx.reader.selection import Selection
from quantx.reader.universes import UniverseQueries

OnCopy = Callable[[int, int, str], None]  # files done, all files, the last one's table
_WARMED = [table for table in TABLES.values() if table.sort[0] == "symbol" and table is not QUARANTINE]


@dataclass(frozen=True, slots=True)
class WarmResult:
    """The outcome of `warm`."""

    files: int  # that the selection needs and that are worth a copy
    written: int
    megabytes: float  # of the written copies
    without_room: int


class CacheQueries(FilerQueries, UniverseQueries):
    """The cache of decoded copies."""

    def warm(
        self,
        symbols: Symbols | None = None,
        *,
        universe: str | None = None,
        source: str | None = None,
        start: Day | None = None,
        end: Day | None = None,
        on_copy: OnCopy | None = None,
    ) -> WarmResult:
        """Write the copies of all large files with rows of a selection: bars, actions, facts, revisions.

        Without arguments it is the whole lake. Raises ConfigError if the cache is off, NotInLake for an unknown
        symbol, and LakeError if a file is missing or damaged.
        """
        if self._stored.decoded.folder is None:
            raise ConfigError("the cache is off; set QUANTX_CACHE_SIZE, as in 5GB")
        first, last = to_date(start), to_date(end)
        names = None if symbols is None else to_names(symbols)
        self._check_carried(names or (), ())
        if universe is not None:
            names = [*(names or []), *self._members_between(universe, first, last).on]
        if names is not None:
            securities = self._securities()
            requests = securities.requests(names, first, last, dict.fromkeys(names, last))
            filers = [filer for each in self._filer_requests(names, last) for filer in each.filers] if names else []
            names = [*securities.stored_symbols(requests), *filers]
        return self._write_copies(Selection.of(names, to_vendor(source)).between(first, last), on_copy)

    def _write_copies(self, selection: Selection, on_copy: OnCopy | None) -> WarmResult:
        decoded = self._stored.decoded
        wanted: list[tuple[Table, LiveFile]] = []
        for table in _WARMED:
            version = self._stored.version(table)
            wanted += [(table, f) for f in selection.files(version.files if version else ()) if not decoded.is_small(f)]
        written = size = refused = 0
        for number, (table, live) in enumerate(wanted, 1):
            if not decoded.has_copy(table, live):
                length = decoded.build(table, live)
                written, size, refused = (
                    written + (length is not None),
                    size + (length or 0),
                    refused + (length is None),
                )
            if on_copy is not None:
                on_copy(number, len(wanted), table.name)
        return WarmResult(len(wanted), written, round(size / 1e6, 1), refused)
