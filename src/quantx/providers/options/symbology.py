"""The mapping of the vendor's instrument ids to contracts, by UTC day: an id lives one day and is used again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quantx.core.option_tables import CONTRACT_COLUMNS, CONTRACT_ORDER
from quantx.core.options.symbols import parse_contracts, with_terms
from quantx.errors import MalformedPayload

UNMAPPED, NO_OPTION, AMBIGUOUS = -1, -2, -3
REASONS = {
    UNMAPPED: "the file maps no symbol to this instrument on this day",
    NO_OPTION: "the instrument's symbol is no OSI symbol",
    AMBIGUOUS: "the file maps several symbols to this instrument on this day",
}
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The days on which instrument ids had symbols, as columns: the symbol of row i is `symbols[symbol[i]]`."""

    symbols: Sequence[str]
    symbol: npt.NDArray[np.uint32]
    instrument: npt.NDArray[np.int64]  # negative: no id
    start: npt.NDArray[np.int64]  # days since 1970
    end: npt.NDArray[np.int64]  # exclusive

    def __len__(self) -> int:
        return len(self.instrument)


NO_INTERVALS = Intervals(
    symbols=(),
    symbol=np.empty(0, np.uint32),
    instrument=np.empty(0, np.int64),
    start=np.empty(0, np.int64),
    end=np.empty(0, np.int64),
)


class InstrumentMap:
    """The contracts of a member, and which of them an instrument id is on a day."""

    def __init__(self, intervals: Intervals) -> None:
        read = parse_contracts(pl.Series(list(intervals.symbols), dtype=pl.String))
        contracts = read.drop_nulls("contract").select("underlying", *CONTRACT_COLUMNS)
        self.contracts = with_terms(contracts.unique("contract").sort(CONTRACT_ORDER))
        places = self.contracts.select("contract").with_row_index("index")
        index = read.select("contract").join(places, on="contract", how="left", maintain_order="left")["index"]
        self._indices = index.cast(pl.Int64).fill_null(NO_OPTION).to_numpy()[intervals.symbol]
        self._intervals = intervals
        self._day: int | None = None
        self._ids: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._of_ids: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._intervals)

    def indices(self, instruments: npt.NDArray[np.uint32], day: int) -> npt.NDArray[np.int64]:
        """Return the row of `contracts` for each instrument on a day since 1970; negative: a key of REASONS."""
        self._use(day)
        if not len(self._ids):
            return np.full(len(instruments), UNMAPPED, np.int64)
        places = np.searchsorted(self._ids, instruments)
        places[places == len(self._ids)] = 0
        return np.where(self._ids[places] == instruments, self._of_ids[places], UNMAPPED)

    def _use(self, day: int) -> None:
        if day == self._day:
            return
        known = self._intervals
        valid = (known.start <= day) & (day < known.end) & (known.instrument >= 0)
        pairs = np.unique(np.stack([known.instrument[valid], self._indices[valid]]), axis=1)
        self._ids, first, times = np.unique(pairs[0].astype(np.uint32), return_index=True, return_counts=True)
        self._of_ids = np.where(times == 1, pairs[1][first], AMBIGUOUS)
        self._day = day


def read_symbology(content: bytes, name: str) -> Intervals:
    """Return the intervals of symbology.json; MalformedPayload where it is damaged."""
    try:
        document = json.loads(content)
        by_symbol = document.get("stype_out", "instrument_id") == "instrument_id"
        rows = [
            (
                str(key if by_symbol else each["s"]),
                int(each["s"] if by_symbol else key),
                _day(each["d0"]),
                _day(each["d1"]),
            )
            for key, intervals in document["result"].items()
            for each in intervals
        ]
        symbols = list(dict.fromkeys(row[0] for row in rows))
        place = {symbol: number for number, symbol in enumerate(symbols)}
        return Intervals(
            symbols=symbols,
            symbol=np.array([place[row[0]] for row in rows], np.uint32),
            instrument=np.array([row[1] for row in rows], np.int64),
            start=np.array([row[2] for row in rows], np.int64),
            end=np.array([row[3] for row in rows], np.int64),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise MalformedPayload(f"{name} is damaged: it has no mapping of symbols; download the archive again") from None


def _day(text: str) -> int:
    return (date.fromisoformat(text) - _EPOCH).days
