"""Rows of the tables from blocks of DBN records, one function per kind that needs no other records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from quantx.core.table import INSTANT
from quantx.providers.options.dbn_layouts import PRICE_SCALE, UNDEFINED_PRICE, UNDEFINED_SIZE, UNDEFINED_TIME
from quantx.providers.options.protocol import OptionBatch

Block = npt.NDArray[np.void]
Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
# Records whose contracts are known → their rows.
RowsOf = Callable[[Block, Index], pl.DataFrame]

_EPOCH = date(1970, 1, 1)
_TRADE = b"T"
NO_TRADE = "the record is no trade: its action is another one"


class Streamed:
    """Rows of records that need no other records."""

    def __init__(
        self, rows_of: RowsOf, reason: str | None = None, wrong: Callable[[Block], Mask] | None = None
    ) -> None:
        self._rows_of, self._reason, self._wrong = rows_of, reason, wrong

    def take(self, day: date, block: Block, index: Index) -> Iterator[OptionBatch]:
        """Yield the rows of a block; the records that are `wrong` are rejected for the reason."""
        refused = None
        if self._wrong is not None and (wrong := self._wrong(block)).any():
            refused = rejected(block[wrong], pl.repeat(self._reason, int(wrong.sum()), eager=True))
            block, index = block[~wrong], index[~wrong]
        yield OptionBatch(date=day, rows=self._rows_of(block, index), rejected=refused)

    def rest(self) -> Iterator[OptionBatch]:
        """Yield nothing: each block is complete when it is taken."""
        yield from ()


def no_trades(block: Block) -> Mask:
    """Return which records are no trades."""
    return np.asarray(block["action"] != _TRADE)


def quotes(block: Block, index: Index) -> pl.DataFrame:
    """Return quotes at the ends of minutes: `ts_recv` is the end, `ts_event` the time of the last trade."""
    traded = block["price"] != UNDEFINED_PRICE
    return pl.DataFrame(
        {
            "contract_index": index.astype(np.uint32),
            "time": instants(block["ts_recv"]),
            "bid": prices(block["bid_px_00"]),
            "ask": prices(block["ask_px_00"]),
            "bid_size": sizes(block["bid_sz_00"]),
            "ask_size": sizes(block["ask_sz_00"]),
            "last": prices(block["price"]),
            "last_size": _where(traded, sizes(block["size"])),
            "last_time": _where(traded, instants(block["ts_event"])),
        }
    )


def trades(block: Block, index: Index) -> pl.DataFrame:
    """Return trades at the times of their exchanges, or of their receipt where an exchange states none."""
    stated = block["ts_event"] != UNDEFINED_TIME
    return pl.DataFrame(
        {
            "contract_index": index.astype(np.uint32),
            "time": instants(np.where(stated, block["ts_event"], block["ts_recv"])),
            "sequence": block["sequence"].astype(np.int64),
            "publisher": block["publisher_id"].astype(np.int32),
            "price": prices(block["price"]),
            "size": sizes(block["size"]),
        }
    )


def prices(values: npt.NDArray[np.int64]) -> pl.Series:
    """Return prices of 1e-9 fixed point, the nearest float of each; undefined ones are null."""
    return _series(values / PRICE_SCALE, values != UNDEFINED_PRICE)


def sizes(values: npt.NDArray[np.uint32]) -> pl.Series:
    """Return numbers of contracts; undefined ones are null."""
    return _series(values.astype(np.int64), values != UNDEFINED_SIZE)


def instants(nanoseconds: npt.NDArray[np.uint64]) -> pl.Series:
    """Return instants in microseconds; undefined ones are null."""
    whole = (nanoseconds // 1000).astype(np.int64)
    return _series(whole, nanoseconds != UNDEFINED_TIME).cast(INSTANT)


def day_of(ordinal: int) -> date:
    """Return the date of a number of days since 1970."""
    return _EPOCH + timedelta(days=ordinal)


def rejected(block: Block, reasons: pl.Series) -> pl.DataFrame:
    """Return records that have no row: the reason, and the record as JSON."""
    fields: dict[str, Any] = {
        name: texts(block[name]) if block[name].dtype.kind == "S" else np.ascontiguousarray(block[name])
        for name in block.dtype.names or ()
        if not name.startswith("_")
    }
    return pl.DataFrame(fields).select(reasons.alias("reason"), pl.struct(pl.all()).struct.json_encode().alias("row"))


def texts(values: npt.NDArray[np.bytes_]) -> list[str]:
    """Return texts of a fixed width."""
    return [each.decode("utf-8", "replace") for each in values.tolist()]


def _series(values: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> pl.Series:
    series = pl.Series(values)
    return series if known.all() else _where(known, series)


def _where(known: npt.NDArray[np.bool_], series: pl.Series) -> pl.Series:
    return pl.select(pl.when(pl.Series(known)).then(series)).to_series()
