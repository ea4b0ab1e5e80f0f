"""From a page of Alpaca's to frames: bars by column, splits and cash dividends by row. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

import polars as pl

from quantx.core.model import Payload
from quantx.core.symbols import US
from quantx.errors import MalformedPayload
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, VendorFrames

_FIELDS = itemgetter("t", "o", "h", "l", "c", "v")
_NAMES = ("open", "high", "low", "close", "volume")
_NUMBERS = frozenset((int, float, type(None)))
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_CURRENCIES = ("USD",)  # nobody asks for another one
_SPLITS = ("forward_splits", "reverse_splits")
_DIVIDENDS = "cash_dividends"
_SYMBOLS = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol", "new_symbol", "acquirer_symbol")
_DATES = ("ex_date", "effective_date", "process_date")
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, pl.exceptions.PolarsError)


@dataclass(frozen=True)
class LeftOut:
    """An action that happened and is in no frame."""

    symbol: str  # as Alpaca writes it
    kind: str  # Alpaca's name: stock_dividends, spin_offs, …
    day: date  # ex-date, else the day it took effect or was processed


def read_bars(payload: Payload, document: Mapping[str, Any]) -> VendorFrames:
    """Return the bars of a page in its order; MalformedPayload where something in it is no bar of what was asked for.

    Alpaca stamps a daily bar with the midnight of New York before it, a minute with its start.
    """
    try:
        by_symbol = document["bars"] or {}
        _asked_for(payload, by_symbol)
        if document.get("currency", "USD") not in _CURRENCIES:
            raise ValueError(f"prices in {str(document['currency'])[:10]}")
        counts = {symbol: len(rows) for symbol, rows in by_symbol.items()}
        if not sum(counts.values()):
            return VendorFrames(_nothing(VENDOR_BARS), _nothing(VENDOR_ACTIONS), US.currency)
        stamps, *columns = zip(*map(_FIELDS, chain.from_iterable(by_symbol.values())), strict=True)
        frame = pl.DataFrame(
            [_symbols(counts), _stamps(stamps), *map(_numbers, _NAMES, columns)],
        ).with_columns(
            pl.col("time").dt.convert_time_zone(US.timezone).dt.date().alias("date"),
            pl.lit(None, pl.Float64).alias("vendor_adj_close"),
        )
        return VendorFrames(frame.select(*VENDOR_BARS), _nothing(VENDOR_ACTIONS), US.currency)
    except _UNREADABLE as error:
        raise _unreadable(payload, "bars", error) from error


def read_actions(payload: Payload, document: Mapping[str, Any]) -> VendorFrames:
    """Return the splits and cash dividends of a page; MalformedPayload where one of them has no sense.

    Several dividends of one day are one: what a holder gets for the ex-date.
    """
    try:
        found = document["corporate_actions"]
        rows = [_split(row) for kind in _SPLITS for row in found.get(kind) or ()]
        rows += [_dividend(row) for row in found.get(_DIVIDENDS) or ()]
        _asked_for(payload, {symbol for symbol, *_ in rows})
        kinds = {name: VENDOR_ACTIONS[name] for name in ("symbol", "ex_date", "kind", "value")}
        frame = pl.DataFrame(rows, schema={**kinds, "id": pl.String}, orient="row")
        identified = frame.filter(pl.col("id").is_not_null()).unique("id", maintain_order=True)
        frame = pl.concat([identified, frame.filter(pl.col("id").is_null())])
        splits, cash = (frame.filter(pl.col("kind") == kind) for kind in ("split", "dividend"))
        splits = splits.drop("id").unique().filter(pl.col("value") != 1)
        cash = cash.group_by("symbol", "ex_date", "kind").agg(pl.col("value").sum()).filter(pl.col("value") > 0)
        actions = pl.concat([splits, cash]).with_columns(pl.lit(None, pl.String).alias("paid_in"))
        actions = actions.select(*VENDOR_ACTIONS).sort("symbol", "ex_date", "kind", "value")
        return VendorFrames(_nothing(VENDOR_BARS), actions, US.currency)
    except _UNREADABLE as error:
        raise _unreadable(payload, "corporate actions", error) from error


def what_is_left_out(payload: Payload, document: Mapping[str, Any]) -> tuple[LeftOut, ...]:
    """Return the actions of a page that `read_actions` does not read."""
    try:
        return tuple(_left_out(document["corporate_actions"]))
    except _UNREADABLE as error:
        raise _unreadable(payload, "corporate actions", error) from error


def shown_symbols(document: Mapping[str, Any]) -> list[str]:
    """Return the symbols of a page in its order; of actions those that splits and cash dividends are about."""
    if "bars" in document:
        return list(document["bars"] or ())
    lists = [document["corporate_actions"].get(kind) for kind in (*_SPLITS, _DIVIDENDS)]
    rows = chain.from_iterable(rows for rows in lists if isinstance(rows, list))
    return sorted({row["symbol"] for row in rows if isinstance(row, dict) and isinstance(row.get("symbol"), str)})


def _left_out(found: Mapping[str, Any]) -> Iterator[LeftOut]:
    for kind, rows in found.items():
        if kind not in (*_SPLITS, _DIVIDENDS):
            for row in rows:
                symbol = next(row[name] for name in _SYMBOLS if row.get(name))
                day = next(date.fromisoformat(row[name]) for name in _DATES if row.get(name))
                yield LeftOut(symbol, kind, day)


def _split(row: Mapping[str, Any]) -> tuple[Any, ...]:
    ratio = _positive(row["new_rate"]) / _positive(row["old_rate"])
    return row["symbol"], date.fromisoformat(row["ex_date"]), "split", _positive(ratio), row.get("id")


def _dividend(row: Mapping[str, Any]) -> tuple[Any, ...]:
    amount = 0.0 if row["rate"] == 0 and row["rate"] is not False else _positive(row["rate"])
    return row["symbol"], date.fromisoformat(row["ex_date"]), "dividend", amount, row.get("id")


def _positive(number: object) -> float:
    if type(number) not in (int, float) or not 0 < number < math.inf:  # type: ignore[operator]
        raise ValueError(f"{str(number)[:20]!a} is not a positive number")
    return float(number)  # type: ignore[arg-type]


def _asked_for(payload: Payload, symbols: Any) -> None:
    strange = set(symbols) - set(payload.symbol.split(","))
    if strange:
        raise MalformedPayload(
            f"asked for {payload.symbol[:60]}, Alpaca answers about {min(map(str, strange))[:20]!a}", payload
        )


def _symbols(counts: Mapping[str, int]) -> pl.Series:
    return pl.Series("symbol", list(chain.from_iterable(repeat(symbol, n) for symbol, n in counts.items())))


def _stamps(stamps: tuple[Any, ...]) -> pl.Series:
    if None in stamps:
        raise ValueError("a bar has no time")
    return pl.Series("time", stamps, dtype=pl.String).str.to_datetime(_STAMP, time_unit="us", time_zone="UTC")


def _numbers(name: str, values: tuple[Any, ...]) -> pl.Series:
    if not _NUMBERS.issuperset(map(type, values)):
        raise TypeError(f"{name} is not a number everywhere")
    return pl.Series(name, values, dtype=pl.Float64)


def _nothing(schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict(schema))


def _unreadable(payload: Payload, what: str, error: Exception) -> MalformedPayload:
    if isinstance(error, MalformedPayload):
        return error
    return MalformedPayload(f"Alpaca's {what} of {payload.symbol[:60]} can't be read: {repr(error)[:200]}", payload)
