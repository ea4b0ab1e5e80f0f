"""The protocol of a vendor's adapter: declared capabilities, `fetch` (I/O) and `normalize` (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Protocol, Self, runtime_checkable

import polars as pl

from quantx.core.model import Clock, Payload, Severity, Window
from quantx.core.table import INSTANT
from quantx.providers.drift import FieldChange
from quantx.vendor_settings import VendorSettings

Dataset = str  # bars, actions, or one of quantx.core.fact_datasets
PriceBasis = Literal["as_traded", "split_adjusted", "fully_adjusted"]

# Bars as the vendor sends them, in its order. `symbol` is canonical, `time` the vendor's stamp (of a minute: its
# start), `date` the session in the exchange's zone; prices and volume are on the provider's price basis; nulls stay
# nulls.
VENDOR_BARS: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "time": INSTANT,
    "date": pl.Date,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "vendor_adj_close": pl.Float64,
}
# Splits (value: new shares per old one) and dividends (value: cash per share, on the provider's price basis).
# `paid_in` is the dividend's currency where it is another than that of the prices, else null.
VENDOR_ACTIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "ex_date": pl.Date,
    "kind": pl.String,
    "value": pl.Float64,
    "paid_in": pl.String,
}

# Events of a reply with the place in it and the event as JSON; `rules`: those that an event breaks which can't be
# applied (see core/quality/event_rules.py).
VENDOR_EVENTS: dict[str, pl.DataType | type[pl.DataType]] = {**VENDOR_ACTIONS, "place": pl.String, "sent": pl.String}
REJECTED_EVENTS: dict[str, pl.DataType | type[pl.DataType]] = {**VENDOR_EVENTS, "rules": pl.String}

# Facts, filings and filers as the vendor sends them; the columns are those of the tables in quantx.core.fact_tables.
# `accepted` is the vendor's time of acceptance read as UTC, which it may not be.
VENDOR_FACTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "cik": pl.Int64,
    "taxonomy": pl.String,
    "tag": pl.String,
    "unit": pl.String,
    "start": pl.Date,
    "end": pl.Date,
    "value": pl.Float64,
    "form": pl.String,
    "accession": pl.String,
    "fy": pl.Int32,
    "fp": pl.String,
    "filed": pl.Date,
}
VENDOR_FILINGS: dict[str, pl.DataType | type[pl.DataType]] = {
    "cik": pl.Int64,
    "accession": pl.String,
    "form": pl.String,
    "items": pl.String,
    "report_end": pl.Date,
    "filed": pl.Date,
    "accepted": INSTANT,
    "description": pl.String,
    "url": pl.String,
}
VENDOR_FILERS: dict[str, pl.DataType | type[pl.DataType]] = {
    "cik": pl.Int64,
    "name": pl.String,
    "kind": pl.String,
    "sic": pl.String,
    "industry": pl.String,
    "fiscal_year_end": pl.String,
    "tickers": pl.String,
}


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """A provider's abilities and limits, declared once."""

    source: str  # the name in tables, tasks and settings
    timeframes: tuple[str, ...]  # of the dataset `bars`
    markets: tuple[str, ...]
    symbols_per_request: int
    price_basis: PriceBasis
    needs_key: bool
    quota: str  # the vendor's limit, as in 2/s, 200/min, 25/day; a setting can replace it
    datasets: tuple[Dataset, ...] = ("bars",)  # `actions`: they are not in the replies of bars and are fetched apart
    lists_all_events: bool = False  # whatever the window: an event that a reply does not list is withdrawn
    minute_symbols_per_request: int | None = None  # fewer symbols where a request is for minute bars

    def symbols_at_once(self, timeframe: str) -> int:
        """Return the number of symbols per request."""
        fewer = self.minute_symbols_per_request if timeframe == "1m" else None
        return fewer or self.symbols_per_request


@dataclass(frozen=True)
class Request:
    """A request to a provider: one dataset of some symbols over one window."""

    dataset: Dataset
    timeframe: str
    symbols: tuple[str, ...]  # canonical; at most `symbols_per_request`
    window: Window


@dataclass(frozen=True)
class Page:
    """One reply to a request, with the symbols that it is about."""

    payload: Payload
    symbols: frozenset[str]  # the reply has rows of these
    complete: frozenset[str]  # no later page has rows of these; the last page completes symbols without rows

    @classmethod
    def whole(cls, payload: Payload, symbols: Collection[str]) -> Self:
        """Return the only page of a complete reply."""
        return cls(payload, frozenset(symbols), frozenset(symbols))


@dataclass(frozen=True, kw_only=True)
class Note:
    """A fact in a reply that has no column; it becomes a finding."""

    rule: str
    severity: Severity
    subject: str  # a symbol, or the vendor
    message: str  # the fact and the next step
    day: date | None = None


@dataclass(frozen=True)
class VendorFrames:
    """The rows of one payload: frames of VENDOR_BARS and VENDOR_ACTIONS, and the unit of all prices.

    `rejected` (REJECTED_EVENTS) are the events that can't be applied. `drift` are the fields of the reply that differ
    from its declared shape; of long lists only a sample is compared. `last_trade` is the vendor's own last trade in a
    reply that was to reach the present, None where it names none.
    """

    bars: pl.DataFrame
    actions: pl.DataFrame
    currency: str | None  # ISO 4217, or GBX, ZAC, ILA for hundredths; None where the reply does not name it
    notes: tuple[Note, ...] = ()
    rejected: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED_EVENTS))
    drift: tuple[FieldChange, ...] = ()
    last_trade: datetime | None = None

    @property
    def has_rows(self) -> bool:
        """Return whether there are bars or actions."""
        return bool(self.bars.height or self.actions.height)


@dataclass(frozen=True, kw_only=True)
class FactFrames:
    """The rows of one payload of a dataset of facts. Each frame may be empty.

    Of `fundamentals`: VENDOR_FACTS, VENDOR_FILINGS and VENDOR_FILERS; facts may have a column `public_at`,
    too, where the vendor sends no filings. Of any
    other dataset: `rows` with `columns` of its declaration in quantx.core.fact_datasets, of which some may be missing.
    """

    facts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VENDOR_FACTS))
    filings: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VENDOR_FILINGS))
    filers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=VENDOR_FILERS))
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)
    notes: tuple[Note, ...] = ()
    drift: tuple[FieldChange, ...] = ()

    @property
    def has_rows(self) -> bool:
        """Return whether there are rows of any kind."""
        return any(frame.height for frame in (self.facts, self.filings, self.filers, self.rows))


class Provider(Protocol):
    """One vendor. Implementations are thread-safe; results depend on no state of theirs."""

    capabilities: Capabilities

    def prepare(self) -> None:
        """Load and connect what the first request needs, outside of its rate-limit slot; never raises."""
        ...

    def fetch(self, request: Request) -> Iterator[Page]:
        """Fetch all of the request, page by page.

        Each `next` sends exactly one request, so that the caller can wait for a rate-limit slot in between. The last
        page completes the last symbol. Where the vendor's prices are adjusted, the pages reach from the window's start
        to now: they must contain every event that the prices are divided by.

        Raises RateLimited, TransientProviderError, UnknownSymbol, NotEntitled, or MalformedPayload (which carries the
        reply as its `payload`). Symbols completed before an error stay complete; an error that names `symbols`
        concerns only those. A reply without rows is a page, not an error.
        """
        ...

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the frames of a payload; a pure function.

        Raises MalformedPayload where it does not have the vendor's form, or has rows of symbols that were not
        requested.
        """
        ...

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return the fields of a reply that differ from the declared shape; a pure function that never raises.

        Every value is compared. A reply without data (a refusal, a page) has no changes.
        """
        ...


@runtime_checkable
class FactProvider(Provider, Protocol):
    """A vendor of a dataset of facts."""

    def normalize_facts(self, payload: Payload) -> FactFrames:
        """Return the rows of a payload of a dataset of facts; a pure function.

        Raises MalformedPayload where it does not have the vendor's form, or is about another filer.
        """
        ...


class Adapter(Protocol):
    """The class of a provider, as the registry opens it."""

    capabilities: Capabilities

    def open(self, settings: VendorSettings, clock: Clock) -> Provider:
        """Return the provider; imports no vendor's package and connects nothing."""
        ...
