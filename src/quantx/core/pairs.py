"""Bars of a currency pair quoted the other way round. Pure."""

from __future__ import annotations

import polars as pl

from quantx.core.asset_classes import inverse_pair

_TURNED = {"open": "open", "high": "low", "low": "high", "close": "close", "adj_close": "adj_close"}


def inverse_bars(bars: pl.DataFrame) -> pl.DataFrame:
    """Return bars of pairs with base and quote exchanged: EURUSD=X becomes USDEUR=X.

    Prices are their inverse; the inverse of the low is the high. The columns and the order of the rows stay;
    `currency`, if it is there, becomes the other one. For the mid of a spread the inverse is an approximation.

    Raises InvalidSymbol for a symbol that is no currency pair.

    >>> inverse_bars(pl.DataFrame({"symbol": ["EURUSD=X"], "high": [1.25], "low": [1.0]})).rows()
    [('USDEUR=X', 1.0, 0.8)]
    """
    names = {symbol: inverse_pair(symbol) for symbol in bars["symbol"].unique()}
    prices = [(1 / pl.col(other)).alias(name) for name, other in _TURNED.items() if name in bars.columns]
    quotes = {symbol: inverse.removesuffix("=X")[3:] for symbol, inverse in names.items()}
    currency = pl.col("symbol").replace_strict(quotes, return_dtype=pl.String).alias("currency")
    symbol = pl.col("symbol").replace_strict(names, return_dtype=pl.String).alias("symbol")
    return bars.with_columns(*prices, *([currency] if "currency" in bars.columns else []), symbol)
