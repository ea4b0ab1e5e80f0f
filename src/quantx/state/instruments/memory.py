"""Instruments in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from typing_extensions import override

from quantx.state.instruments.port import Instruments
from quantx.state.memory_records import Records
from quantx.state.values import Named


class MemoryInstruments(Instruments):
    """The state's copy of the symbol history."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def put(self, namings: Sequence[Named]) -> None:
        with self._records.lock:
            self._records.namings = list(namings)

    @override
    def namings(self) -> list[Named]:
        with self._records.lock:
            return sorted(self._records.namings, key=lambda n: (n[0], n[2] or date.min))
