"""Universes in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from typing_extensions import override

from quantx.core.model import Series
from quantx.state.memory_records import Records
from quantx.state.universes.port import Universes
from quantx.state.values import Row, Universe


class MemoryUniverses(Universes):
    """Named lists of symbols."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def put(self, universe: Universe) -> None:
        with self._records.lock:
            self._records.universes[universe.name] = universe

    @override
    def enable(self, names: Collection[str]) -> None:
        with self._records.lock:
            universes = self._records.universes
            self._records.universes = {n: replace(u, enabled=n in names) for n, u in universes.items()}

    @override
    def symbols(
        self,
        universe: str | None,
        phase: str | None,
        *,
        since: date | None = None,
        among: Collection[str] | None = None,
    ) -> list[str]:
        with self._records.lock:
            selected = [
                u
                for u in self._records.universes.values()
                if (u.enabled if universe is None else u.name == universe)
                and (phase is None or u.phase == phase)
                and (among is None or u.name in among)
            ]
            return sorted({symbol for u in selected for symbol in _members(u, since)})

    @override
    def listed(self) -> list[Row]:
        with self._records.lock:
            return [
                {
                    "name": u.name,
                    "phase": u.phase,
                    "market": u.market,
                    "source_type": u.source_type,
                    "members": len(current_members(u)),
                    "refreshed_at": u.refreshed_at,
                }
                for u in self._in_order()
            ]

    @override
    def freshness(self) -> list[Row]:
        with self._records.lock:
            return [self._freshness(u) for u in self._in_order() if u.enabled and current_members(u)]

    def _freshness(self, universe: Universe) -> Row:
        members, newest = set(current_members(universe)), dict[str, date]()
        for series, record in self._records.series.items():
            if _is_daily(series) and series.symbol in members and record.watermark is not None:
                newest[series.symbol] = max(record.watermark, newest.get(series.symbol, record.watermark))
        marks = newest.values()
        return {
            "name": universe.name,
            "phase": universe.phase,
            "market": universe.market,
            "members": len(members),
            "with_data": len(marks),
            "oldest": min(marks, default=None),
            "newest": max(marks, default=None),
        }

    def _in_order(self) -> list[Universe]:
        return sorted(self._records.universes.values(), key=lambda u: (u.phase, u.name))


def current_members(universe: Universe) -> list[str]:
    """Return the current members of a universe."""
    return _members(universe, None)


def _members(universe: Universe, since: date | None) -> list[str]:
    """Return the current members, and those that left on or after a day."""
    return [s for s, _, _, _, until in universe.members if until is None or (since is not None and until >= since)]


def _is_daily(series: Series) -> bool:
    return (series.dataset, series.timeframe) == ("bars", "1d")
