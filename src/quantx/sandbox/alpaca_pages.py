"""Alpaca's pages: rows of the book as bars and corporate actions, in the form of the vendor's recordings."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from pydantic_core import to_json

from quantx.core.symbols import US
from quantx.sandbox.book import Book
from quantx.sandbox.columns import FIELDS, Floats, Ints
from quantx.sandbox.hours import day_number, hours_of
from quantx.sandbox.market import Dividend, Split
from quantx.sandbox.messages import WireReply
from quantx.sandbox.view import View, with_running

DAY, MINUTE = "D", "M"  # as in the vendor's tokens
_JSON = "application/json; charset=utf-8"
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_PAID_AFTER = timedelta(days=15)  # a dividend is filed under the day of its payment
_IDS = uuid.UUID("6f5d2c1e-3f5b-4b7e-9d52-0c8a3f6b1e11")


@dataclass(frozen=True, eq=False)
class BarRows:
    """Bars of one symbol in order of time; a daily bar is marked by its day, a minute by its second."""

    symbol: str
    marks: Ints
    columns: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.marks)

    def first(self, count: int) -> BarRows:
        """Return the first `count` rows."""
        return BarRows(self.symbol, self.marks[:count], {name: column[:count] for name, column in self.columns.items()})


@dataclass(frozen=True)
class CorporateAction:
    """One corporate action in Alpaca's form."""

    kind: str  # the list it is in
    processed: date
    fields: Mapping[str, Any]

    @property
    def place(self) -> tuple[str, str]:
        """The sort key of the pages."""
        return self.processed.isoformat(), self.fields["id"]


def message(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> WireReply:
    """Return a refusal with a text."""
    return WireReply(status, to_json({"message": text}), _JSON, headers=headers)


def daily_rows(book: Book, view: View, since: int, until: int) -> Iterator[BarRows]:
    """Return the bars of the days whose midnight in New York lies between two instants, both inclusive."""
    past, clock, zone = view.history, book.clock.now().timestamp(), hours_of(US).zone
    seen = int(np.searchsorted(past.opens, clock, side="right"))
    start, end = (datetime.fromtimestamp(t, zone) for t in (since, until))
    begun = start.time() > datetime.min.time()
    first = int(np.searchsorted(past.days[:seen], day_number(start.date()) + begun, side="left"))
    last = int(np.searchsorted(past.days[:seen], day_number(end.date()), side="right"))
    if first < last:
        columns = with_running(past, view.traded, seen, clock)
        rows = slice(first, last)
        yield BarRows(past.symbol, past.days[rows], {name: columns[name][rows] for name in FIELDS})


def minute_rows(book: Book, view: View, since: int, until: int) -> Iterator[BarRows]:
    """Return the minutes that begin between two instants, both inclusive, and have ended; a day at a time."""
    past, zone = view.history, hours_of(US).zone
    start, end = (day_number(datetime.fromtimestamp(t, zone).date()) for t in (since, until))
    first, last = int(np.searchsorted(past.days, start)), int(np.searchsorted(past.days, end, side="right"))
    for row in range(first, last):
        minutes = book.minutes(view, row)
        within = slice(*(int(n) for n in np.searchsorted(minutes.starts, (since, until + 1))))
        if within.start < within.stop:
            kept = minutes.rows(within)
            yield BarRows(past.symbol, kept.starts, kept.columns)


def bars_page(parts: Sequence[BarRows], timeframe: str, *, more: bool) -> WireReply:
    """Return a page of bars; it has the token of its last row where more rows follow."""
    lines, stamps = _bar_lines(parts, timeframe)
    by_symbol: dict[str, list[bytes]] = {}
    at = 0
    for part in parts:
        by_symbol.setdefault(part.symbol, []).extend(lines[at : at + len(part)])
        at += len(part)
    listed = b",".join(b'"%s":[%s]' % (symbol.encode(), b",".join(rows)) for symbol, rows in by_symbol.items())
    token = to_json(_sign(parts[-1].symbol, timeframe, f"{stamps[-1][:-1]}.000000000Z") if more else None)
    return WireReply(200, b'{"bars":{%s},"next_page_token":%s}' % (listed, token), _JSON)


def _bar_lines(parts: Sequence[BarRows], timeframe: str) -> tuple[list[bytes], list[str]]:
    if not parts:
        return [], []
    marks = pl.Series("t", np.concatenate([part.marks for part in parts]))
    if timeframe == DAY:
        local = marks.cast(pl.Int32).cast(pl.Date).cast(pl.Datetime("us")).dt.replace_time_zone(US.timezone)
        instants = local.dt.convert_time_zone("UTC")
    else:
        instants = (marks * 1_000_000).cast(pl.Datetime("us"))
    values = {name: np.concatenate([part.columns[name] for part in parts]) for name in FIELDS}
    volume = pl.Series("v", values["volume"])
    shares = volume.fill_nan(None)
    whole = bool((shares.drop_nulls() % 1 == 0).all())
    frame = pl.DataFrame(
        [
            instants.dt.strftime(_STAMP),
            *(pl.Series(name[0], values[name]) for name in FIELDS[:4]),
            shares.cast(pl.Int64) if whole else shares,
        ]
    ).with_columns(
        (pl.col("v") // 100).clip(1).cast(pl.Int64).alias("n"),
        ((pl.col("h") + pl.col("l") + pl.col("c")) / 3).round(6).alias("vw"),
    )
    text: str = frame.with_columns(pl.col(pl.Float64).fill_nan(None)).write_ndjson()
    return text.encode().split(b"\n"), frame["t"].to_list()


def actions_of(view: View) -> Iterator[CorporateAction]:
    """Return the splits and dividends that are in effect."""
    past = view.history
    for split in past.splits[: len(view.splits)]:
        yield _split(past.symbol, split)
    for dividend in past.dividends[: len(view.dividends)]:
        yield _dividend(past.symbol, dividend)


def _split(symbol: str, split: Split) -> CorporateAction:
    new, old = (int(n) if n == int(n) else n for n in (split.numerator, split.denominator))
    kind = "forward_splits" if split.ratio > 1 else "reverse_splits"
    cusip = {"cusip": _cusip(symbol)} if split.ratio > 1 else dict.fromkeys(("old_cusip", "new_cusip"), _cusip(symbol))
    day = split.date.isoformat()
    rates = {"symbol": symbol, "new_rate": new, "old_rate": old, "ex_date": day, "process_date": day}
    return CorporateAction(kind, split.date, {"id": _id(symbol, kind, day), **cusip, **rates})


def _dividend(symbol: str, dividend: Dividend) -> CorporateAction:
    day, paid = dividend.date.isoformat(), dividend.date + _PAID_AFTER
    fields = {
        "id": _id(symbol, "cash_dividends", day),
        "cusip": _cusip(symbol),
        "symbol": symbol,
        "rate": dividend.amount,
        "special": False,
        "foreign": False,
        "ex_date": day,
        "record_date": day,
        "payable_date": paid.isoformat(),
        "process_date": paid.isoformat(),
    }
    return CorporateAction("cash_dividends", paid, fields)


def actions_page(rows: Sequence[CorporateAction], *, more: bool) -> WireReply:
    """Return a page of actions by kind; it has the token of its last one where more follow."""
    by_kind: dict[str, list[Any]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row.fields)
    token = _sign(_cusip(rows[-1].fields["symbol"]), *rows[-1].place) if more else None
    return WireReply(200, to_json({"corporate_actions": by_kind, "next_page_token": token}), _JSON)


def read_token(text: str) -> tuple[str, str, str] | None:
    """Return the three parts of a token, None where it is none."""
    try:
        first, second, third = base64.b64decode(text, validate=True).decode().split("|")
    except (binascii.Error, ValueError):
        return None
    return first, second, third


def _sign(*parts: str) -> str:
    return base64.b64encode("|".join(parts).encode()).decode()


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_IDS, "|".join(parts)))


def _cusip(symbol: str) -> str:
    """Nine letters that no real security has."""
    return f"QX{uuid.uuid5(_IDS, symbol).hex[:7].upper()}"
