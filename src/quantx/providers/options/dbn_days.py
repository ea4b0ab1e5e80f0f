"""Rows that are made of all records of a day: daily bars over the exchanges, and open interest once per contract.

The vendor sends a bar per exchange, and the same open interest for each exchange. A day's records are reduced as they
come, so that a month needs no more memory than its contracts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from quantx.providers.options.dbn_rows import Block, Index, instants, prices, rejected
from quantx.providers.options.kinds import empty_rows
from quantx.providers.options.protocol import OptionBatch
from quantx.providers.options.sessions import session_before

_OPEN_INTEREST = 9  # StatType.OPEN_INTEREST
_DELETED = 2  # StatUpdateAction.DELETE
PARTIAL = "the file has only a part of the day, which makes no daily bar; import ohlcv-1d"
CONFLICT = "the exchanges report different open interest"
DELETED = "the vendor deleted this statistic"
UNSTATED = "the record states no open interest"


class DailyBars:
    """Bars of a day and a contract, over the exchanges and over shorter bars.

    High and low are the extremes, the volume is the sum. The open is that of the earliest bar, the close that of the
    latest one; of exchanges with bars of one time, the one with the largest volume counts.
    """

    def __init__(self, contracts: pl.DataFrame, is_whole: Callable[[date], bool]) -> None:
        self._contracts, self._is_whole = contracts["contract"], is_whole
        self._days: dict[date, pl.DataFrame] = {}

    def take(self, day: date, block: Block, index: Index) -> Iterator[OptionBatch]:
        """Take records, and yield the bars of days before them."""
        yield from self._finish(before=day)
        bars = pl.DataFrame(
            {
                "contract_index": index.astype(np.uint32),
                "first": instants(block["ts_event"]),
                "weight": block["volume"].astype(np.int64),
                "publisher": np.ascontiguousarray(block["publisher_id"]),
                **{name: prices(block[name]) for name in ("open", "high", "low", "close")},
                "volume": _volumes(block["volume"]),
            }
        ).with_columns(last="first", last_weight="weight", last_publisher="publisher")
        self._days[day] = _bar_each(pl.concat([self._days[day], bars]) if day in self._days else bars)

    def rest(self) -> Iterator[OptionBatch]:
        """Yield the bars of the remaining days."""
        yield from self._finish(before=date.max)

    def _finish(self, before: date) -> Iterator[OptionBatch]:
        for day in sorted(each for each in self._days if each < before):
            rows = self._days.pop(day).select(empty_rows("ohlcv_1d").columns).sort("contract_index")
            if self._is_whole(day):
                yield OptionBatch(date=day, rows=rows)
            else:
                yield OptionBatch(date=day, rows=rows.clear(), rejected=_refused(rows, PARTIAL, self._contracts))


class OpenInterest:
    """Open interest of the session before its message, once per contract; a later message corrects the one before."""

    def __init__(self, contracts: pl.DataFrame) -> None:
        self._contracts = contracts["contract"]
        self._sessions: dict[date, pl.DataFrame] = {}

    def take(self, day: date, block: Block, index: Index) -> Iterator[OptionBatch]:
        """Take records, and yield the interest of sessions before them; other statistics have no table."""
        session = session_before(day)
        yield from self._finish(before=session)
        wanted = block["stat_type"] == _OPEN_INTEREST
        block, index = block[wanted], index[wanted]
        undefined = block["quantity"] == np.iinfo(block["quantity"].dtype).max
        refused = undefined | (block["update_action"] == _DELETED)
        if refused.any():
            reasons = pl.Series(np.where(undefined[refused], UNSTATED, DELETED).tolist())
            rows = empty_rows("open_interest")
            yield OptionBatch(date=session, rows=rows, rejected=rejected(block[refused], reasons))
        block, index = block[~refused], index[~refused]
        messages = pl.DataFrame(
            {
                "contract_index": index.astype(np.uint32),
                "open_interest": block["quantity"].astype(np.int64),
                "public_at": instants(block["ts_recv"]),
            }
        ).with_columns(last="public_at")
        known = self._sessions.get(session)
        self._sessions[session] = _value_each(messages if known is None else pl.concat([known, messages]))

    def rest(self) -> Iterator[OptionBatch]:
        """Yield the interest of the remaining sessions."""
        yield from self._finish(before=date.max)

    def _finish(self, before: date) -> Iterator[OptionBatch]:
        for session in sorted(each for each in self._sessions if each < before):
            values = self._sessions.pop(session)
            latest = (
                values.sort("public_at", descending=True)
                .group_by("contract_index", maintain_order=True)
                .agg(pl.col("open_interest", "public_at").first(), earlier=pl.col("last").slice(1).max())
            )
            # A correction comes after every message with another value.
            clear = pl.col("earlier").is_null() | (pl.col("public_at") > pl.col("earlier"))
            rows = latest.filter(clear).select(empty_rows("open_interest").columns).sort("contract_index")
            unclear = values.join(rows, on="contract_index", how="anti").sort("contract_index", "open_interest")
            yield OptionBatch(date=session, rows=rows, rejected=_refused(unclear, CONFLICT, self._contracts))


def _volumes(values: npt.NDArray[np.uint64]) -> pl.Series:
    """Return volumes; one that no count can have is null, and so is the sum over the exchanges then."""
    whole = pl.Series(values.astype(np.int64))
    return whole.set(whole < 0, None)


def _bar_each(bars: pl.DataFrame) -> pl.DataFrame:
    """Return one bar per contract, of bars that cover its parts."""
    earliest = ["first", "weight", "publisher"]
    latest = ["last", "last_weight", "last_publisher"]
    return (
        bars.group_by("contract_index")
        .agg(
            pl.col("open", *earliest).sort_by(earliest, descending=[False, True, False]).first(),
            pl.col("close", *latest).sort_by(latest, descending=[True, True, False]).first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.when(pl.col("volume").is_not_null().all()).then(pl.col("volume").sum()).alias("volume"),
        )
        .select(bars.columns)
    )


def _value_each(messages: pl.DataFrame) -> pl.DataFrame:
    """Return the first and the last message of each value of a contract."""
    return (
        messages.group_by("contract_index", "open_interest")
        .agg(pl.col("public_at").min(), pl.col("last").max())
        .select(messages.columns)
    )


def _refused(rows: pl.DataFrame, reason: str, contracts: pl.Series) -> pl.DataFrame | None:
    if rows.is_empty():
        return None
    named = rows.with_columns(contract=contracts.gather(rows["contract_index"])).drop("contract_index")
    return named.select(reason=pl.lit(reason), row=pl.struct(pl.all()).struct.json_encode())
