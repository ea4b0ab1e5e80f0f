"""The data of the sandbox's vendors: for each symbol its bars as traded, its splits and its dividends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from quantx.core.symbols import Venue, parse_symbol, venue_of
from quantx.errors import ConfigError
from quantx.providers.yahoo import wire_symbol
from quantx.sandbox.columns import FIELDS, Floats, Ints
from quantx.sandbox.filers import Filers
from quantx.sandbox.hours import day_number, day_of, hours_of
from quantx.sandbox.minutes import Minutes
from quantx.sandbox.recordings import Recordings

Day = date  # a field named `date` hides the type inside its class


@dataclass(frozen=True)
class Split:
    """`numerator` new shares for `denominator` old ones, effective when the session of `date` opens."""

    date: date
    numerator: float
    denominator: float

    @property
    def ratio(self) -> float:
        """New shares per old share."""
        return self.numerator / self.denominator


@dataclass(frozen=True)
class Dividend:
    """An amount per share as paid, with the ex-date `date`."""

    date: date
    amount: float


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A vendor's mistake: replies have `wrong` in place of `right` until the session of `visible_on` opens."""

    symbol: str
    date: Day
    field: str
    wrong: float
    right: float
    visible_on: Day


@dataclass(frozen=True, eq=False, kw_only=True)
class PriceHistory:
    """Bars of one symbol as traded, oldest first; build it with `history`, which sorts and adds the hours."""

    symbol: str
    name: str
    days: Ints  # days since 1970-01-01; a day may occur twice, as in real files
    opens: Ints  # Unix seconds
    closes: Ints
    columns: Mapping[str, Floats]  # one per name in FIELDS; NaN is the wire's null
    splits: tuple[Split, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    corrections: tuple[Correction, ...] = ()
    adjclose: Floats | None = None  # the file's, where no dividends reproduce it
    since: date | None = None  # the first session of the symbol (the new name after a rename)
    until: date | None = None  # the first session without the symbol (the old name)
    synthetic: bool = False

    @cached_property
    def venue(self) -> Venue:
        """The exchange of the symbol."""
        return venue_of(self.symbol)

    @cached_property
    def split_times(self) -> list[int]:
        """The Unix second at which each split takes effect."""
        return self.opening_of([split.date for split in self.splits])

    @cached_property
    def dividend_times(self) -> list[int]:
        """The Unix second at which each ex-date opens."""
        return self.opening_of([dividend.date for dividend in self.dividends])

    @cached_property
    def correction_times(self) -> list[int]:
        """The Unix second at which each correction becomes visible."""
        return self.opening_of([correction.visible_on for correction in self.corrections])

    @cached_property
    def listed_between(self) -> tuple[float, float]:
        """The instants between which the vendors have the symbol."""
        first = self.opening_of([self.since])[0] if self.since else float(self.opens[0])
        return first, self.opening_of([self.until])[0] if self.until else float("inf")

    def opening_of(self, days: list[date]) -> list[int]:
        """Return the Unix seconds at which the sessions of `days` open."""
        opens, _ = hours_of(self.venue).of(np.array([day_number(day) for day in days], dtype=np.int64))
        return [int(t) for t in opens]


def history(symbol: str, days: Ints, columns: Mapping[str, Floats], **facts: Any) -> PriceHistory:
    """Return a history with its rows in order of time (stable for equal days) and its events in order of date."""
    symbol = parse_symbol(symbol)
    order = np.argsort(days, kind="stable")
    days = days[order]
    opens, closes = hours_of(venue_of(symbol)).of(days)
    if facts.get("adjclose") is not None:
        facts["adjclose"] = facts["adjclose"][order]
    for kind in ("splits", "dividends"):
        facts[kind] = tuple(sorted(facts.get(kind, ()), key=lambda event: event.date))
    facts.setdefault("name", symbol)
    ordered = {name: np.ascontiguousarray(columns[name][order], dtype=np.float64) for name in FIELDS}
    return PriceHistory(symbol=symbol, days=days, opens=opens, closes=closes, columns=ordered, **facts)


def with_revision(past: PriceHistory, day: date, name: str, value: float) -> PriceHistory:
    """Return the history with one as-traded value replaced; ConfigError where there is no such row or field."""
    rows = np.flatnonzero(past.days == day_number(day))
    if name not in FIELDS:
        raise ConfigError(f"{name[:20]!a} cannot be revised; name one of {', '.join(FIELDS)}")
    if not rows.size:
        raise ConfigError(f"{past.symbol} has no row on {day}; name a day that the sandbox serves")
    column = past.columns[name].copy()
    column[rows] = value
    kept = tuple(c for c in past.corrections if (c.date, c.field) != (day, name))
    return replace(past, columns={**past.columns, name: column}, corrections=kept)


def split_of(day: date, ratio: str) -> Split | None:
    """Return the split that a file writes as a decimal, None where the text means no split.

    The ratio is a small fraction where its decimal has the printed digits, else the decimal itself.

    >>> split_of(date(2000, 8, 28), "1.3333")
    Split(date=datetime.date(2000, 8, 28), numerator=4, denominator=3)
    """
    try:
        exact = Fraction(ratio)
    except (ValueError, ZeroDivisionError):
        return None
    if exact <= 0 or exact == 1:
        return None
    small = exact.limit_denominator(1000)
    # One unit of the last place, not half of one: 0.16666666666666666 is 1/6 cut, not rounded.
    if small > 0 and abs(small - exact) <= Fraction(1, 10 ** len(ratio.partition(".")[2])):
        return Split(day, small.numerator, small.denominator)
    return Split(day, float(exact), 1)


@dataclass(frozen=True, eq=False)
class Market:
    """All data of the sandbox's vendors; `kind` is "files", "recorded" or "synthetic"."""

    kind: str
    histories: Mapping[str, PriceHistory] = field(default_factory=dict)  # by canonical symbol
    recordings: Recordings | None = None
    minutes: Mapping[tuple[str, int], Minutes] = field(default_factory=dict)  # recorded ones, by symbol and day
    filers: Filers = field(default_factory=Filers)  # of the SEC
    series: Mapping[str, Callable[[], PriceHistory]] = field(default_factory=dict)  # of other classes, made when needed

    @property
    def symbols(self) -> list[str]:
        """The canonical symbols, in order."""
        recorded = self.recordings.symbols if self.recordings else []
        return sorted({*self.histories, *recorded})

    def as_traded(self, symbol: str) -> pl.DataFrame:
        """Return date, open, high, low, close, volume as traded, oldest first, with nulls where the source has none.

        Late corrections are applied. ConfigError for a symbol without bars.
        """
        past = self._history(symbol)
        dates = pl.Series("date", past.days, dtype=pl.Int64).cast(pl.Int32).cast(pl.Date)
        frame = pl.DataFrame([dates, *(pl.Series(name, past.columns[name]) for name in FIELDS)])
        return frame.with_columns(pl.col(FIELDS).fill_nan(None))

    def actions(self, symbol: str) -> pl.DataFrame:
        """Return date, kind (split or dividend), value (ratio, or amount as paid), numerator, denominator."""
        past = self._history(symbol)
        rows: list[tuple[date, str, float, float | None, float | None]] = [
            (s.date, "split", s.ratio, float(s.numerator), float(s.denominator)) for s in past.splits
        ]
        rows += [(d.date, "dividend", d.amount, None, None) for d in past.dividends]
        schema = {"date": pl.Date, "kind": pl.String, "value": pl.Float64, "numerator": pl.Float64}
        return pl.DataFrame(rows, {**schema, "denominator": pl.Float64}, orient="row").sort("date", "kind")

    def splits_between(self, start: date, end: date) -> list[tuple[str, Split]]:
        """Return (symbol, split) for all splits from `start` to `end`, both inclusive, in order of date."""
        pairs = [(s, split) for s, past in self.histories.items() for split in past.splits]
        return sorted(
            ((s, split) for s, split in pairs if start <= split.date <= end), key=lambda pair: (pair[1].date, pair[0])
        )

    @cached_property
    def by_wire_symbol(self) -> dict[str, str]:
        """Canonical symbols by their form at Yahoo."""
        return {wire_symbol(symbol): symbol for symbol in (*self.histories, *self.series)}

    @cached_property
    def last_day(self) -> date | None:
        """The newest day of any symbol, None without bars."""
        return day_of(max(int(past.days[-1]) for past in self.histories.values())) if self.histories else None

    def find(self, symbol: str) -> PriceHistory | None:
        """Return the history of a canonical symbol; None where the market has none."""
        if symbol in self.histories or symbol not in self.series:
            return self.histories.get(symbol)
        made = self._made.get(symbol)
        if made is None:
            made = self._made[symbol] = self.series[symbol]()
        return made

    @cached_property
    def _made(self) -> dict[str, PriceHistory]:
        return {}

    def _history(self, symbol: str) -> PriceHistory:
        past = self.find(parse_symbol(symbol))
        if past is None:
            raise ConfigError(f"the sandbox has no bars of {symbol}; name one of its {len(self.histories)} symbols")
        return past
