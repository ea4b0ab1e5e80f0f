"""Strict reading of values in replies: what is no number or no date is an error, never a guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from pydantic_core import from_json

from quantx.core.model import Payload
from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.errors import MalformedPayload
from quantx.providers.events import SentEvent, read_events
from quantx.providers.protocol import VENDOR_BARS, Note, VendorFrames

# The errors that reading a reply of an unexpected form can raise.
FORM_ERRORS = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, pl.exceptions.PolarsError)

_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(2100, 1, 1)
# Listings of these markets are always quoted in one currency; elsewhere only the reply can name it.
_CURRENCIES = {"us": "USD", "jp": "JPY"}


class WrongForm(ValueError):
    """A value of a reply has another form than the vendor's; the message is the plain fact."""


def form_problem(error: Exception) -> str:
    """Return the plain fact behind one of FORM_ERRORS, without the words of Python or Polars."""
    if isinstance(error, WrongForm):
        return str(error)[:200]
    if isinstance(error, KeyError) and error.args:
        return f"it has no field {str(error.args[0])[:100]!a}"
    if isinstance(error, LookupError):
        return "a field or an entry is missing"
    if isinstance(error, pl.exceptions.PolarsError):
        return "a number or a date has another form"
    return "a value has another form than the vendor's"


def read_json(payload: Payload, vendor: str) -> Any:
    """Return the document of a reply, or raise MalformedPayload."""
    try:
        return from_json(payload.body)
    except ValueError:
        raise MalformedPayload(
            f"{vendor}'s reply for {payload.symbol} (HTTP {payload.status}, {len(payload.body)} bytes) is no JSON",
            payload,
        ) from None


def parsed_json(payload: Payload) -> Any:
    """Return the document of a reply, None where it is no JSON."""
    try:
        return from_json(payload.body)
    except ValueError:
        return None


def nothing(schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return a frame without rows."""
    return pl.DataFrame(schema=dict(schema))


def numbers(name: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of numbers in which None stays null; TypeError where anything else is in it."""
    if not set(map(type, values)) <= {int, float, type(None)}:
        raise WrongForm(f"{name} is no list of numbers")
    return pl.Series(name, values, dtype=pl.Float64).fill_nan(None)


def texts(name: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of texts; TypeError where anything else is in it."""
    if not set(map(type, values)) <= {str}:
        raise WrongForm(f"{name} is no list of texts")
    return pl.Series(name, values, dtype=pl.String)


def spelt_numbers(spelt: pl.Series) -> pl.Series:
    """Return the numbers that texts spell, null for null; polars' error where a text is no number."""
    return spelt.cast(pl.Float64).fill_nan(None)


def days(spelt: pl.Series) -> pl.Series:
    """Return the dates of texts as in 2024-02-29; ValueError or polars' error where one is none."""
    dates = spelt.str.to_date("%Y-%m-%d")
    if not (spelt.str.len_bytes() == len("2024-02-29")).all():  # 2024-2-29 may be a damaged 2024-2-2
        raise WrongForm(f"{spelt.name} has a day in another form")
    if dates.null_count() or not dates.is_between(_FIRST_DAY, _LAST_DAY).all():
        raise WrongForm(f"{spelt.name} is no day of a market")
    return dates


def daily_bars(symbol: str, columns: Sequence[pl.Series]) -> pl.DataFrame:
    """Return VENDOR_BARS of a symbol's sessions: `columns` has `date` and the vendor's other columns.

    `time` is midnight at the exchange, as the vendor names a session by its date.
    """
    midnight = pl.col("date").cast(pl.Datetime("us")).dt.replace_time_zone(venue_of(symbol).timezone)
    frame = pl.DataFrame(columns).with_columns(pl.lit(symbol).alias("symbol"), midnight.cast(INSTANT).alias("time"))
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in VENDOR_BARS.items() if name not in frame.columns]
    return frame.with_columns(missing).select(list(VENDOR_BARS))


def listed_events(payload: Payload, events: Iterable[SentEvent]) -> VendorFrames:
    """Return the frames of a reply about one symbol's events.

    Events with a later ex-date are left out: the prices do not contain them yet, and they may still change.
    """
    today = today_of(payload)
    read = read_events(event for event in events if event.day is None or event.day <= today)
    return VendorFrames(nothing(VENDOR_BARS), read.actions, quoted_in(payload.symbol), rejected=read.rejected)


def today_of(payload: Payload) -> date:
    """Return the date at the exchange at the time of the reply."""
    moment: datetime = payload.as_of
    return moment.astimezone(ZoneInfo(venue_of(payload.symbol).timezone)).date()


def quoted_in(symbol: str) -> str | None:
    """Return the currency of a listing where its market has a single one, else None."""
    return _CURRENCIES.get(venue_of(symbol).market)


def currency_notes(vendor: str, symbol: str, bars: pl.DataFrame) -> tuple[Note, ...]:
    """Return a note about an exchange with several currencies, whose bars a vendor sends without one; else nothing.

    The points of an index have no currency. The exchange's usual currency is not assumed: Hong Kong also trades in CNY
    and USD, and London in pence, pounds, USD and EUR.
    """
    if bars.is_empty() or symbol.startswith("^") or quoted_in(symbol) is not None:
        return ()
    venue = venue_of(symbol)
    return (
        Note(
            rule="currency_not_named",
            severity="warn",
            subject=venue.calendar,
            message=f"{vendor} names no currency for its prices on {venue.calendar}: the bars are stored without one."
            f" The usual currency there is {venue.currency}; compare them with a vendor that names it (`quantx"
            " crossvalidate compare --symbols SYMBOL`), and acknowledge this finding",
        ),
    )
