"""What a vendor of daily bars shows of a history at the time of the clock, on one of the three bases of prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from quantx.errors import UnknownSymbol
from quantx.providers.protocol import PriceBasis
from quantx.sandbox.asof import View, with_running
from quantx.sandbox.book import Book
from quantx.sandbox.hours import Floats, day_number, day_of
from quantx.sandbox.market import FIELDS


@dataclass(frozen=True)
class ShownDay:
    """One row; NaN where the source has nothing."""

    date: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    running: bool  # the session has not closed: the bar is in part


def shown_days(book: Book, view: View, basis: PriceBasis, since: date | None, until: date | None) -> list[ShownDay]:
    """Return the rows of the days between two, both inclusive, that have opened by now, oldest first."""
    known, clock = view.history, book.clock.now().timestamp()
    seen = int(np.searchsorted(known.opens, clock, side="right"))
    first = int(np.searchsorted(known.days[:seen], day_number(since), side="left")) if since else 0
    last = int(np.searchsorted(known.days[:seen], day_number(until), side="right")) if until else seen
    columns = with_running(known, _on_basis(view, basis), seen, clock)
    rows = slice(first, last)
    prices = (columns[name][rows].tolist() for name in FIELDS)
    marks = known.days[rows].tolist(), (known.closes[rows] > clock).tolist()
    return [
        ShownDay(day_of(day), opened, high, low, close, volume, running)
        for day, running, opened, high, low, close, volume in zip(*marks, *prices, strict=True)
    ]


def by_wire_form(symbols: Iterable[str], form: Callable[[str], str]) -> dict[str, str]:
    """Return the canonical symbols by a vendor's form of them; those that it does not have are left out."""
    found = {}
    for symbol in symbols:
        try:
            found[form(symbol)] = symbol
        except UnknownSymbol:
            continue
    return found


def following(wire: str, known: Mapping[str, str]) -> str:
    """Return the vendor's symbol after `wire`, the first after the last, `wire` itself where it is the only one."""
    names = sorted(known)
    return next((name for name in names if name > wire), names[0] if names else wire)


def _on_basis(view: View, basis: PriceBasis) -> dict[str, Floats]:
    if basis == "as_traded":
        return view.traded
    if basis == "split_adjusted":
        return view.columns
    factor = view.adjclose / view.columns["close"]  # NaN where there is no close: no price is known there, either
    adjusted = {name: view.columns[name] * factor for name in FIELDS[:4]}
    return {**adjusted, "volume": view.columns["volume"] / factor}
