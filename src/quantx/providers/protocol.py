"""What a vendor's adapter is: declared capabilities, `fetch` (I/O) and `normalize` (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import polars as pl

from quantx.core.model import Payload, Window
from quantx.core.tables import INSTANT

PriceBasis = Literal["as_traded", "split_adjusted", "fully_adjusted"]

# Bars as the vendor sends them, in its order. `time` is the vendor's stamp, `date` the session in the exchange's zone;
# prices and volume are on the provider's price basis; nulls stay nulls.
VENDOR_BARS: dict[str, pl.DataType | type[pl.DataType]] = {
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
    "ex_date": pl.Date,
    "kind": pl.String,
    "value": pl.Float64,
    "paid_in": pl.String,
}


@dataclass(frozen=True)
class Capabilities:
    """What a provider can do, declared once."""

    source: str  # the name in tables, tasks and settings
    timeframes: tuple[str, ...]
    markets: tuple[str, ...]
    symbols_per_request: int
    price_basis: PriceBasis
    needs_key: bool


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

    def fetch(self, symbol: str, window: Window) -> Payload:
        """Ask the vendor once for all bars and actions from the window's start to now and return the reply.

        Raises RateLimited, TransientProviderError, UnknownSymbol, NotEntitled, or MalformedPayload (which carries the
        reply as its `payload`). "The vendor has nothing there" is a reply, not an error.
        """
        ...

    def normalize(self, payload: Payload) -> VendorFrames:
        """Read a payload: a pure function. Raises MalformedPayload where it is not the vendor's form."""
        ...
