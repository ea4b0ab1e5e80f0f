"""The frames of Alpaca's pages: bars by column, splits and cash dividends by row. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from quantx.core.model import Payload
from quantx.core.symbols import US
from quantx.errors import MalformedPayload
from quantx.providers.alpaca_pages import ROW_SCHEMA, ActionsPage, BarsPage
from quantx.providers.alpaca_shapes import shape_of
from quantx.providers.drift import FieldChange
from quantx.providers.events import SentEvent, day_of, number_of, part, ratio_of, read_events
from quantx.providers.page_frames import PageFacts, PageFrames, Stack
from quantx.providers.protocol import REJECTED_EVENTS, VENDOR_ACTIONS, VENDOR_BARS, Note, VendorFrames
from quantx.providers.reply_values import FORM_ERRORS, WrongForm, form_problem, nothing

_NAMES = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_SPLITS = ("forward_splits", "reverse_splits")
_DIVIDENDS = "cash_dividends"
_SYMBOLS = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol", "new_symbol", "acquirer_symbol")
_DATES = ("ex_date", "effective_date", "process_date")


@dataclass(frozen=True)
class UnreadAction:
    """A corporate action that no frame contains."""

    symbol: str  # as Alpaca writes it; empty where it names none
    kind: str  # Alpaca's name: stock_dividends, spin_offs, …
    day: date | None  # ex-date, else the day it took effect or was processed


def read_bars(payloads: Sequence[Payload], read: Sequence[BarsPage | MalformedPayload]) -> PageFrames:
    """Return the bars of pages in their order; a page with a row that is no bar of a requested symbol has none.

    Alpaca stamps a daily bar with the midnight of New York before it, a minute with its start. A part is what a page
    has of a symbol.
    """
    pages = [_checked(payload, page) for payload, page in zip(payloads, read, strict=True)]
    times = _times(pages)
    if times.null_count():
        wrong = _pages_of(times.is_null(), pages)
        return read_bars(payloads, [_no_times(payloads[n]) if n in wrong else page for n, page in enumerate(pages)])
    good = [(n, page) for n, page in enumerate(pages) if isinstance(page, BarsPage)]
    parts = [(n, symbol) for n, page in good for symbol in page.symbols]
    counts = np.fromiter((count for _, page in good for count in page.counts.values()), np.int64, len(parts))
    rows = pl.concat([pl.DataFrame(schema=ROW_SCHEMA), *(page.rows for _, page in good)])
    bars = rows.select(
        times,
        _dates(times),
        *(pl.col(short).alias(name) for short, name in _NAMES.items()),
        pl.lit(None, pl.Float64).alias("vendor_adj_close"),
        pl.Series("part", np.repeat(np.arange(len(parts)), counts)),
    )
    return PageFrames(
        pages=[
            PageFacts(currency=US.currency, drift=changes_of(page), has_rows=page.rows.height > 0)
            if isinstance(page, BarsPage)
            else page
            for page in pages
        ],
        parts=parts,
        bars=bars,
        actions=Stack(VENDOR_ACTIONS).rows(),
        rejected=Stack(REJECTED_EVENTS).rows(),
    )


def changes_of(page: BarsPage | ActionsPage) -> tuple[FieldChange, ...]:
    """Return the fields of a page that differ from its declared shape."""
    return shape_of(page.document).changes(page.document)


def _checked(payload: Payload, page: BarsPage | MalformedPayload) -> BarsPage | MalformedPayload:
    """Return a page of bars of requested symbols in dollars; or why it is none."""
    if isinstance(page, MalformedPayload):
        return page
    try:
        _check_symbols(payload, page.symbols)
        if page.currency != US.currency:
            raise WrongForm(f"prices in {page.currency[:10]}")
        if page.rows["t"].null_count():
            raise WrongForm("a bar has no time")
    except MalformedPayload as error:
        return error
    except FORM_ERRORS as error:
        return _unreadable(payload, "bars", error)
    return page


def _times(pages: Sequence[BarsPage | MalformedPayload]) -> pl.Series:
    """Return the stamps of all rows; null where a text is none."""
    texts = [page.rows["t"] for page in pages if isinstance(page, BarsPage)]
    stamps = pl.concat([pl.Series(dtype=pl.String), *texts])
    return stamps.str.to_datetime(_STAMP, time_unit="us", time_zone="UTC", strict=False).alias("time")


def _pages_of(rows: pl.Series, pages: Sequence[BarsPage | MalformedPayload]) -> set[int]:
    """Return the numbers of the pages with one of the marked rows."""
    heights = [page.rows.height if isinstance(page, BarsPage) else 0 for page in pages]
    return set(np.repeat(np.arange(len(pages)), heights)[rows.to_numpy()].tolist())


def _no_times(payload: Payload) -> MalformedPayload:
    return _unreadable(payload, "bars", WrongForm("a number or a date has another form"))


def _dates(times: pl.Series) -> pl.Series:
    """Return the days in New York. Symbols share most stamps: each different one is converted once."""
    stamps = times.to_frame()
    days = stamps.unique().with_columns(pl.col("time").dt.convert_time_zone(US.timezone).dt.date().alias("date"))
    return stamps.join(days, on="time", how="left", maintain_order="left")["date"]


def read_actions(payload: Payload, page: ActionsPage) -> VendorFrames:
    """Return the splits and cash dividends of a page; MalformedPayload where it has another form."""
    try:
        sent = list(_sent_events(payload, page))
    except FORM_ERRORS as error:
        raise _unreadable(payload, "corporate actions", error) from error
    _check_symbols(payload, {event.symbol for event in sent if event.symbol})
    read = read_events(event for event in sent if event.symbol)
    actions = read.actions.sort("symbol", "ex_date", "kind", "value")
    notes = [_note(each) for each in unread_actions(payload, page)]
    notes += [_note_of_no_symbol(event) for event in sent if not event.symbol]
    return VendorFrames(nothing(VENDOR_BARS), actions, US.currency, tuple(notes), read.rejected)


def unread_actions(payload: Payload, page: ActionsPage) -> tuple[UnreadAction, ...]:
    """Return the actions of a page that `read_actions` does not read."""
    try:
        return tuple(_unread(page.lists))
    except FORM_ERRORS as error:
        raise _unreadable(payload, "corporate actions", error) from error


def _note(action: UnreadAction) -> Note:
    kind = action.kind.replace("_", " ").removesuffix("s")
    return Note(
        rule="action_not_applied",
        severity="warn",
        subject=action.symbol or "alpaca",
        message=f"Alpaca sends a {kind} of {action.symbol or 'no symbol'} on {action.day or 'no day'}, which is neither"
        " a split nor a cash dividend: adjusted prices do not contain it; compare them with another vendor's around"
        " that day",
        day=action.day,
    )


def symbols_of(page: ActionsPage) -> list[str]:
    """Return the symbols of a page's splits and cash dividends."""
    lists = [page.lists.get(kind) for kind in (*_SPLITS, _DIVIDENDS)]
    rows = chain.from_iterable(rows for rows in lists if isinstance(rows, list))
    return sorted({row["symbol"] for row in rows if isinstance(row, dict) and isinstance(row.get("symbol"), str)})


def _unread(lists: Mapping[str, Any]) -> Iterator[UnreadAction]:
    for kind, rows in lists.items():
        if kind not in (*_SPLITS, _DIVIDENDS):
            for row in rows:
                symbol = next((row[name] for name in _SYMBOLS if row.get(name)), "")
                day = next((date.fromisoformat(row[name]) for name in _DATES if row.get(name)), None)
                yield UnreadAction(symbol, kind, day)


def _sent_events(payload: Payload, page: ActionsPage) -> Iterator[SentEvent]:
    """Yield the splits and cash dividends of a page; the same id again is the same event."""
    ids = set[str]()
    for kind in (*_SPLITS, _DIVIDENDS):
        rows = page.lists.get(kind) or ()
        if not isinstance(rows, list | tuple):
            raise WrongForm(f"{kind} is no list")
        for position, row in enumerate(rows):
            named = part(row, "id")
            if not isinstance(named, str) or named not in ids:
                yield _sent_event(payload, kind, f"corporate_actions.{kind}[{position}]", row)
            ids |= {named} if isinstance(named, str) else set()


def _sent_event(payload: Payload, kind: str, place: str, row: object) -> SentEvent:
    """Return an event; its symbol is empty where the row has none and the reply is about several."""
    is_split, symbol = kind in _SPLITS, part(row, "symbol")
    only = "" if "," in payload.symbol else payload.symbol
    return SentEvent(
        symbol=symbol if isinstance(symbol, str) else only,
        kind="split" if is_split else "dividend",
        place=place,
        sent=row,
        day=day_of(part(row, "ex_date")),
        value=ratio_of(number_of(part(row, "new_rate")), number_of(part(row, "old_rate")))
        if is_split
        else number_of(part(row, "rate")),
    )


def _note_of_no_symbol(event: SentEvent) -> Note:
    return Note(
        rule="event_readable",
        severity="error",
        subject="alpaca",
        message=f"Alpaca sends a {event.kind} without a symbol ({event.place}), which is not applied: compare the"
        " events of that reply with another vendor's",
        day=event.day,
    )


def _check_symbols(payload: Payload, symbols: Collection[str]) -> None:
    strange = set(symbols) - set(payload.symbol.split(","))
    if strange:
        raise MalformedPayload(f"asked for {payload.symbol[:60]}, Alpaca answers about {min(strange)[:20]!a}", payload)


def _unreadable(payload: Payload, what: str, error: Exception) -> MalformedPayload:
    return MalformedPayload(f"Alpaca's {what} of {payload.symbol[:60]} can't be read: {form_problem(error)}", payload)
