"""What a vendor's adapter is: declared capabilities, `fetch` (I/O) and `normalize` (pure)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import polars as pl

from quantx.core.model import Payload, Window
from quantx.core.tables import INSTANT

Dataset = Literal["bars", "actions"]
PriceBasis = Literal["as_traded", "split_adjusted", "fully_adjusted"]

# Bars as the vendor sends them, in its order. `symbol` is canonical, `time` the vendor's stamp (of a minute: its start),
# `date` the session in the exchange's zone; prices and volume are on the provider's price basis; nulls stay nulls.
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


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do, declared once."""

    source: str  # the name in tables, tasks and settings
    timeframes: tuple[str, ...]  # of the dataset `bars`
    markets: tuple[str, ...]
    symbols_per_request: int
    price_basis: PriceBasis
    needs_key: bool
    quota: str  # what the vendor bears, as in 2/s, 200/min, 25/day; a setting may say otherwise
    datasets: tuple[Dataset, ...] = ("bars",)  # `actions`: they do not come with the bars and are asked for apart
    minute_symbols_per_request: int | None = None  # where fewer are better for minute bars, of which there are so many

    def symbols_at_once(self, timeframe: str) -> int:
        """Return how many symbols to ask for in one request."""
        fewer = self.minute_symbols_per_request if timeframe == "1m" else None
        return fewer or self.symbols_per_request


@dataclass(frozen=True)
class Request:
    """What a vendor is asked for: one dataset of some symbols over one window."""

    dataset: Dataset
    timeframe: str
    symbols: tuple[str, ...]  # canonical; at most `symbols_per_request`
    window: Window


@dataclass(frozen=True)
class Page:
    """One reply to a request, and what it says about whom."""

    payload: Payload
    symbols: frozenset[str]  # it has something about these
    complete: frozenset[str]  # nothing more will come about these; who has nothing is complete on the last page

    @classmethod
    def whole(cls, payload: Payload, symbols: Collection[str]) -> Self:
        """Return the only page of an answer."""
        return cls(payload, frozenset(symbols), frozenset(symbols))


@dataclass(frozen=True)
class VendorFrames:
    """One payload, read: frames of VENDOR_BARS and VENDOR_ACTIONS, and the unit of all prices."""

    bars: pl.DataFrame
    actions: pl.DataFrame
    currency: str | None  # ISO 4217, or GBX, ZAC, ILA for hundredths; None where the vendor did not say


class Provider(Protocol):
    """One vendor. Implementations are thread-safe and keep no state that a result depends on."""

    capabilities: Capabilities

    def prepare(self) -> None:
        """Load and connect what the first request needs, so that it is not late for its turn; never raises."""
        ...

    def fetch(self, request: Request) -> Iterator[Page]:
        """Ask the vendor for all of the request, page by page.

        Each `next` sends one request and no more, so that the caller can wait for its turn in between; the last page
        completes the last symbol. Where the vendor's prices are adjusted, the answer reaches from the window's start to
        now: it must name all that they are divided by.

        Raises RateLimited, TransientProviderError, UnknownSymbol, NotEntitled, or MalformedPayload (which carries the
        reply as its `payload`). What was complete before stays good; an error that names `symbols` concerns only
        those. "The vendor has nothing there" is a reply, not an error.
        """
        ...

    def normalize(self, payload: Payload) -> VendorFrames:
        """Read a payload: a pure function. Raises MalformedPayload where it is not the vendor's form.

        Rows about symbols that were not asked for are malformed, too.
        """
        ...
