"""Bars of a currency pair quoted the other way round. Pure."""

from __future__ import annotations

import polars as pl

from quantx.core.asset_classes import currencies_of, inverse_pair
from quantx.errors import ConfigError

_TURNED = {"open": "open", "high": "low", "low": "high", "close": "close", "adj_close": "adj_close"}


def inverse_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """Return bars of pairs with base and quote exchanged: EURUSD=X becomes USDEUR=X.

    Prices are their inverse; the inverse of the low is the high. The columns and the order of the rows stay;
    `currency`, if it is there, becomes the other one. For the mid of a spread the inverse is an approximation.

    Raises InvalidSymbol for a symbol that is no currency pair, and ConfigError for bars whose prices are in another
    currency than that of their pair.

    >>> inverse_bars(pl.DataFrame({"symbol": ["EURUSD=X"], "high": [1.25], "low": [1.0]})).rows()
    [('USDEUR=X', 1.0, 0.8)]
    """
    names = {symbol: inverse_pair(symbol) for symbol in bars["symbol"].unique()}
    if "currency" in bars.columns:
        _refuse_converted(bars)
    prices = [(1 / pl.col(other)).alias(name) for name, other in _TURNED.items() if name in bars.columns]
    quotes = {symbol: inverse.removesuffix("=X")[3:] for symbol, inverse in names.items()}
    currency = pl.col("symbol").replace_strict(quotes, return_dtype=pl.String).alias("currency")
    symbol = pl.col("symbol").replace_strict(names, return_dtype=pl.String).alias("symbol")
    return bars.with_columns(*prices, *([currency] if "currency" in bars.columns else []), symbol)


def _refuse_converted(bars: pl.DataFrame) -> None:
    """Raise ConfigError where prices are not in the second currency of their pair: their inverse is no price."""
    for symbol, currency in bars.select("symbol", "currency").unique().iter_rows():
        if currency is not None and currency != currencies_of(symbol)[1]:
            raise ConfigError(
                f"the prices of {symbol} are in {currency}, not in {currencies_of(symbol)[1]}: invert the bars before"
                " their prices are converted"
            )
