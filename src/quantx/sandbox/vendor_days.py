"""The daily rows that a vendor serves of a history at the clock's time, on one of the three price bases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from quantx.errors import UnknownSymbol
from quantx.providers.protocol import PriceBasis
from quantx.sandbox.book import Book
from quantx.sandbox.columns import FIELDS, Floats
from quantx.sandbox.hours import day_number, day_of
from quantx.sandbox.view import View, with_running


@dataclass(frozen=True, kw_only=True)
class VendorDay:
    """One row; NaN where the source has nothing."""

    date: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    running: bool  # the session has not closed: the bar is partial


def vendor_days(book: Book, view: View, basis: PriceBasis, since: date | None, until: date | None) -> list[VendorDay]:
    """Return the rows of the days from `since` to `until`, both inclusive, that have opened, oldest first."""
    past, clock = view.history, book.clock.now().timestamp()
    seen = int(np.searchsorted(past.opens, clock, side="right"))
    first = int(np.searchsorted(past.days[:seen], day_number(since), side="left")) if since else 0
    last = int(np.searchsorted(past.days[:seen], day_number(until), side="right")) if until else seen
    columns = with_running(past, _on_basis(view, basis), seen, clock)
    rows = slice(first, last)
    prices = (columns[name][rows].tolist() for name in FIELDS)
    marks = past.days[rows].tolist(), (past.closes[rows] > clock).tolist()
    return [
        VendorDay(date=day_of(day), open=opened, high=high, low=low, close=close, volume=volume, running=running)
        for day, running, opened, high, low, close, volume in zip(*marks, *prices, strict=True)
    ]


def by_wire_form(symbols: Iterable[str], form: Callable[[str], str]) -> dict[str, str]:
    """Return the canonical symbols by their form at a vendor; those that the vendor does not have are left out."""
    canonical = {}
    for symbol in symbols:
        try:
            canonical[form(symbol)] = symbol
        except UnknownSymbol:
            continue
    return canonical


def following(wire: str, symbols: Mapping[str, str]) -> str:
    """Return the vendor's symbol after `wire`, the first one after the last, `wire` itself where there is no other."""
    names = sorted(symbols)
    return next((name for name in names if name > wire), names[0] if names else wire)


def _on_basis(view: View, basis: PriceBasis) -> dict[str, Floats]:
    if basis == "as_traded":
        return view.traded
    if basis == "split_adjusted":
        return view.columns
    factor = view.adjclose / view.columns["close"]  # NaN where there is no close, as no price is there either
    adjusted = {name: view.columns[name] * factor for name in FIELDS[:4]}
    return {**adjusted, "volume": view.columns["volume"] / factor}
