"""The mapping of the vendor's instrument ids to contracts, by UTC day: an id lives one day and is used again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

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


class Interval(NamedTuple):
    """The days on which an instrument id had a symbol."""

    symbol: str
    instrument: int
    start: date
    end: date  # exclusive


class InstrumentMap:
    """The contracts of a member, and which of them an instrument id is on a day."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        table = pl.DataFrame(
            list(intervals),
            schema={"symbol": pl.String, "instrument": pl.UInt32, "start": pl.Date, "end": pl.Date},
            orient="row",
            strict=False,
        )
        symbols = table.select(pl.col("symbol").unique(maintain_order=True))
        read = pl.concat([symbols, parse_contracts(symbols["symbol"])], how="horizontal")
        contracts = read.filter(pl.col("contract").is_not_null()).select("underlying", *CONTRACT_COLUMNS)
        self.contracts = with_terms(contracts.unique("contract").sort(CONTRACT_ORDER))
        places = self.contracts.select("contract").with_row_index("index")
        index = read.select("symbol", "contract").join(places, on="contract", how="left", maintain_order="left")
        found = table.join(index.select("symbol", "index"), on="symbol", how="left", maintain_order="left")
        self._instruments = found["instrument"].to_numpy()
        self._starts = found["start"].cast(pl.Int32).to_numpy()
        self._ends = found["end"].cast(pl.Int32).to_numpy()
        self._indices = found["index"].cast(pl.Int64).fill_null(NO_OPTION).to_numpy()
        self._day: int | None = None
        self._ids: npt.NDArray[np.uint32] = np.empty(0, np.uint32)
        self._of_ids: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._instruments)

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
        valid = (self._starts <= day) & (day < self._ends)
        pairs = np.unique(np.stack([self._instruments[valid].astype(np.int64), self._indices[valid]]), axis=1)
        self._ids, first, times = np.unique(pairs[0].astype(np.uint32), return_index=True, return_counts=True)
        self._of_ids = np.where(times == 1, pairs[1][first], AMBIGUOUS)
        self._day = day


def read_symbology(content: bytes, name: str) -> list[Interval]:
    """Return the intervals of symbology.json; MalformedPayload where it is damaged."""
    try:
        document = json.loads(content)
        by_symbol = document.get("stype_out", "instrument_id") == "instrument_id"
        return [
            Interval(
                str(key if by_symbol else each["s"]),
                int(each["s"] if by_symbol else key),
                date.fromisoformat(each["d0"]),
                date.fromisoformat(each["d1"]),
            )
            for key, intervals in document["result"].items()
            for each in intervals
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise MalformedPayload(f"{name} is damaged: it has no mapping of symbols; download the archive again") from None
