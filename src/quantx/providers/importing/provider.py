"""Files as a provider: `fetch` reads a file, `normalize` reads the stored page by the form in its request."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import MARKETS
from quantx.errors import MalformedPayload, TerminalProviderError, UnknownSymbol
from quantx.providers.drift import FieldChange
from quantx.providers.events import EventKind, SentEvent, read_events
from quantx.providers.importing.form import BASES, SPLITS, FileForm, PageOrigin
from quantx.providers.importing.found import FileReader, FoundFile, digest
from quantx.providers.importing.read import FileRows, read_file
from quantx.providers.importing.values import Undeclared
from quantx.providers.protocol import (
    VENDOR_ACTIONS,
    VENDOR_BARS,
    Capabilities,
    Note,
    Page,
    PriceBasis,
    Request,
    VendorFrames,
)
from quantx.providers.reply_values import FORM_ERRORS, WrongForm, currency_notes, form_problem, nothing, quoted_in

_PRICES = ("open", "high", "low", "close")
STRAY_LINES = "file_lines_left_out"  # declared in core/quality/operational_rules.py


@dataclass(frozen=True, slots=True)
class Spooled:
    """A part of a file with several symbols, in a temporary file."""

    path: Path
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class FilePart:
    """What one file has of one symbol."""

    symbol: str
    form: FileForm
    first: date
    last: date
    rows: int
    address: str  # of the file, and of the member in an archive
    file_sha256: str
    place: FoundFile | Spooled
    given: str = ""  # digest of the declaration
    parts: int = 1  # symbols of the file

    @property
    def origin(self) -> PageOrigin:
        """Return the request of the part's page."""
        return PageOrigin(self.address, self.file_sha256, self.form, given=self.given, parts=self.parts)

    @property
    def key(self) -> str:
        """Return what a page with the same rows has in common."""
        return f"{self.symbol} {self.origin.key}"


@dataclass(frozen=True, slots=True)
class SharedSplits:
    """The splits by which the prices of a symbol's files are divided, and where they are from."""

    source: str
    splits: tuple[tuple[date, float], ...]

    def page_body(self) -> bytes:
        """Return the page that is stored beside the files."""
        return json.dumps({"splits": [[str(day), ratio] for day, ratio in self.splits]}).encode()


@dataclass(frozen=True, slots=True)
class Batch:
    """The parts that one task imports: those of a symbol and a timeframe, and the splits of its prices."""

    parts: tuple[FilePart, ...]
    splits: SharedSplits | None = None

    @property
    def window(self) -> Window:
        """Return the days from the first to the last row."""
        return Window(min(part.first for part in self.parts), max(part.last for part in self.parts))


def capabilities_of_imports(source: str, basis: PriceBasis) -> Capabilities:
    """Return the capabilities of a source of files: its bars are read, and never fetched again."""
    return Capabilities(
        source=source,
        timeframes=("1d", "1m"),
        markets=MARKETS,
        symbols_per_request=1,
        price_basis=basis,
        needs_key=False,
        quota="unlimited",
    )


class FileImports:
    """The provider of a source whose replies are files; `batches` are those that can be fetched now."""

    def __init__(
        self,
        source: str,
        basis: PriceBasis,
        clock: Clock,
        batches: Mapping[tuple[str, str, Window], Batch] | None = None,
        reader: FileReader | None = None,
    ) -> None:
        self.capabilities = capabilities_of_imports(source, basis)
        self._clock, self._batches, self._reader = clock, batches or {}, reader or FileReader()

    def prepare(self) -> None:
        """Do nothing: a file needs no connection."""

    def close(self) -> None:
        """Close the archives."""
        self._reader.close()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Read the files of a symbol, one with each `next`; a file that has changed since it was found is refused."""
        (symbol,) = request.symbols
        source = self.capabilities.source
        batch = self._batches.get((request.timeframe, symbol, request.window))
        if batch is None:
            raise TerminalProviderError(
                f"{source} is imported from files: import them again, `quantx import … --source {source}`", [symbol]
            )
        pages: list[FilePart | SharedSplits] = [*batch.parts]
        if batch.splits is not None:
            pages.append(batch.splits)
        symbols = frozenset([symbol])
        for number, each in enumerate(pages, start=1):
            payload = self._page(each, batch, symbol)
            yield Page(payload, symbols, symbols if number == len(pages) else frozenset())

    def _page(self, each: FilePart | SharedSplits, batch: Batch, symbol: str) -> Payload:
        if isinstance(each, SharedSplits):
            body = each.page_body()
            form = FileForm(basis=batch.parts[0].form.basis)
            url = PageOrigin(each.source, digest(body), form, kind=SPLITS).url
            return self._payload(symbol, url, "application/json", body)
        try:
            body = self.body_of(each)
        except WrongForm as error:
            raise TerminalProviderError(f"{each.address}: {error}", [symbol]) from None
        return self._payload(symbol, each.origin.url, _content_type(each.form), body)

    def _payload(self, symbol: str, url: str, content_type: str, body: bytes) -> Payload:
        return Payload(symbol, url, 200, self._clock.now(), content_type=content_type, body=body)

    def body_of(self, part: FilePart) -> bytes:
        """Return the bytes of a part; WrongForm where they can't be read or are others than those that were found."""
        if isinstance(part.place, Spooled):
            with part.place.path.open("rb") as file:
                file.seek(part.place.offset)
                return file.read(part.place.length)
        body = self._reader.read(part.place)
        if digest(body) != part.file_sha256:
            raise WrongForm("the file has changed while it was imported; import it again")
        return body

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars and events of a page by the form in its request."""
        try:
            origin = PageOrigin.read(payload.request)
            if origin.kind == SPLITS:
                return _read_splits(payload)
            rows = read_file(payload.body, origin.form, payload.symbol)
            return _frames(rows, origin, payload, self.capabilities)
        except (*FORM_ERRORS, Undeclared) as error:
            why = str(error) if isinstance(error, Undeclared) else form_problem(error)
            raise MalformedPayload(f"the file of {payload.symbol} can't be read: {why}", payload) from error
        except UnknownSymbol as error:
            raise MalformedPayload(str(error), payload) from error

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return nothing: a file has the form that is kept with it."""
        return ()


def _content_type(form: FileForm) -> str:
    types = {"parquet": "application/vnd.apache.parquet", "excel": "application/vnd.ms-excel"}
    return types.get(form.kind, "text/csv")


def _frames(rows: FileRows, origin: PageOrigin, payload: Payload, can: Capabilities) -> VendorFrames:
    form, symbol = origin.form, payload.symbol
    if BASES.get(form.basis or "") != can.price_basis:
        raise WrongForm(f"its prices are {form.basis}, those of {can.source} are {can.price_basis}")
    bars = _bars(rows.rows, form, symbol)
    notes = _stray_notes(rows, origin, symbol)
    currency = form.currency or quoted_in(symbol)
    if currency is None:
        notes += currency_notes(can.source, symbol, bars)
    if can.price_basis == "fully_adjusted":
        return VendorFrames(bars, nothing(VENDOR_ACTIONS), currency, notes)
    events = read_events(_events(rows.rows, symbol))
    return VendorFrames(bars, events.actions, currency, notes, events.rejected)


def _bars(rows: pl.DataFrame, form: FileForm, symbol: str) -> pl.DataFrame:
    """Return VENDOR_BARS. An adjusted close is evidence beside its dividends, and by Yahoo's rule only."""
    has_dividends = rows["dividend"].null_count() < rows.height
    if form.basis == "total_adjusted" and "adj_close" in form.columns:
        factor = pl.col("adj_close") / pl.col("close")
        rows = rows.with_columns((pl.col(price) * factor).alias(price) for price in _PRICES)
    adjusted = pl.col("adj_close") if has_dividends and form.basis == "split_adjusted" else pl.lit(None, pl.Float64)
    return rows.with_columns(symbol=pl.lit(symbol), vendor_adj_close=adjusted).select(list(VENDOR_BARS))


def _events(rows: pl.DataFrame, symbol: str) -> Iterator[SentEvent]:
    """Yield the splits and dividends in the columns of a file; a split of 0 or 1 is none."""
    kinds: tuple[EventKind, ...] = ("split", "dividend")
    for kind in kinds:
        nothing_here = (0.0, 1.0) if kind == "split" else (0.0,)
        some = rows.filter(pl.col(kind).is_not_null() & ~pl.col(kind).is_in(nothing_here))
        for day, value in some.select("date", kind).unique(maintain_order=True).iter_rows():
            sent: dict[str, Any] = {"date": str(day), kind: value}
            yield SentEvent(symbol=symbol, kind=kind, place=f"{kind} {day}", sent=sent, day=day, value=value)


def _stray_notes(rows: FileRows, origin: PageOrigin, symbol: str) -> tuple[Note, ...]:
    if not rows.stray:
        return ()
    name = origin.path.rpartition("/")[2]
    lines = f"{rows.stray} lines" if rows.stray > 1 else "one line"
    message = f"{name} has {lines} without a date, as {rows.first_stray!a}: they are left out; check the file"
    return (Note(rule=STRAY_LINES, severity="warn", subject=symbol, message=message),)


def _read_splits(payload: Payload) -> VendorFrames:
    listed: Sequence[tuple[str, float]] = json.loads(payload.body)["splits"]
    events = [
        SentEvent(
            symbol=payload.symbol,
            kind="split",
            place=f"splits.{number}",
            sent=[day, ratio],
            day=date.fromisoformat(day),
            value=float(ratio) if math.isfinite(ratio) else None,
        )
        for number, (day, ratio) in enumerate(listed)
    ]
    read = read_events(events)
    return VendorFrames(nothing(VENDOR_BARS), read.actions, None, rejected=read.rejected)
