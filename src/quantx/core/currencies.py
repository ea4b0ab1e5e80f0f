"""Exchange rates from published ones, and prices in another currency. Pure.

Published rates are units of a currency per euro. Any pair follows from two of them: the price of one unit of `base` in
`quote` is (quote per euro) / (base per euro). A rate is used for its own date and, where asked for, for later days
without one, never more than a week; its date always stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import polars as pl

from quantx.core.asset_classes import class_of
from quantx.errors import ConfigError

EURO = "EUR"
LONGEST_FILL = 7  # days after its own for which a rate may be used
QUOTED, INVERSE, CROSS = "quoted", "inverse", "cross"

# Units in which exchanges quote: the currency, and its units in one of them.
MINOR_UNITS: Mapping[str, tuple[str, float]] = {
    "GBX": ("GBP", 0.01),
    "ZAC": ("ZAR", 0.01),
    "ILA": ("ILS", 0.01),
    "USX": ("USD", 0.01),  # Yahoo's code of American cents: futures of grains, coffee, sugar, cotton and cattle
}

# Of FX_RATES, for one euro.
EURO_RATES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "date": pl.Date,
    "quote": pl.String,
    "rate": pl.Float64,
    "source": pl.String,
    "public_at": pl.Datetime("us", "UTC"),
    "known_from": pl.Datetime("us", "UTC"),
}

_ADDED: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "fx_rate": pl.Float64,
    "fx_date": pl.Date,
    "fx_source": pl.String,
}
_CODE = re.compile(r"[A-Z]{3}")
_PAIR = re.compile(r"([A-Z]{3})[/ ]?([A-Z]{3})(=X)?")


class CurrencyPair(NamedTuple):
    """A pair of currencies: the price of one unit of `base` in `quote`."""

    base: str
    quote: str

    @property
    def name(self) -> str:
        """Return the name of the pair, as in EURUSD."""
        return self.base + self.quote

    @property
    def how(self) -> str:
        """Return how its rate follows from rates per euro."""
        return QUOTED if self.base == EURO else INVERSE if self.quote == EURO else CROSS


def parse_pair(text: str) -> CurrencyPair:
    """Return the pair of a text, as in EURUSD, EUR/USD or EURUSD=X; raise ConfigError for another text.

    >>> parse_pair("usd/jpy"), parse_pair("EURUSD=X").name
    (CurrencyPair(base='USD', quote='JPY'), 'EURUSD')
    """
    match = _PAIR.fullmatch(text.strip().upper())
    if match is None:
        raise ConfigError(f"{text[:40]!a} is no pair of currencies; write EURUSD: the price of one euro in dollars")
    pair = CurrencyPair(match[1], match[2])
    for code in pair:
        _refuse_minor(code, text)
    if pair.base == pair.quote:
        raise ConfigError(f"{text[:40]!a} is a pair of one currency with itself; its rate is 1")
    return pair


def parse_currency(text: str) -> str:
    """Return the code of a currency in which prices are wanted; raise ConfigError for another text.

    >>> parse_currency("usd")
    'USD'
    """
    code = text.strip().upper()
    if not _CODE.fullmatch(code):
        raise ConfigError(f"{text[:40]!a} is no currency; write its ISO 4217 code, as in USD")
    _refuse_minor(code, text)
    return code


def _refuse_minor(code: str, text: str) -> None:
    if code in MINOR_UNITS:
        raise ConfigError(f"{text[:40]!a} is a hundredth of a currency; write {MINOR_UNITS[code][0]}")


def whole_unit(unit: str) -> tuple[str, float]:
    """Return the currency of a quoted unit, and how much of it one unit is.

    >>> whole_unit("GBX"), whole_unit("USD")
    (('GBP', 0.01), ('USD', 1.0))
    """
    return MINOR_UNITS.get(unit, (unit, 1.0))


def pair_rates(euro_rates: pl.DataFrame, pair: CurrencyPair) -> pl.DataFrame:
    """Return the rates of a pair on the days on which its currencies have one, sorted by date.

    `euro_rates` has EURO_RATES with one row per date and currency. Columns: date, rate, source, public_at, known_from.
    A rate of two published ones is public, and known, when both are.
    """
    stamps = ["source", "public_at", "known_from"]
    legs = [euro_rates.filter(pl.col("quote") == code).drop("quote") for code in pair if code != EURO]
    if pair.how == QUOTED:
        (rows,) = legs
    elif pair.how == INVERSE:
        rows = legs[0].with_columns((1 / pl.col("rate")).alias("rate"))
    else:
        of_base, of_quote = legs
        rows = of_quote.join(of_base, on="date", suffix="_base").with_columns(
            pl.col("rate") / pl.col("rate_base"),
            pl.max_horizontal("public_at", "public_at_base").alias("public_at"),
            pl.max_horizontal("known_from", "known_from_base").alias("known_from"),
        )
    return rows.select("date", "rate", *stamps).sort("date")


def filled(rates: pl.DataFrame, days: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return `days` (date, sorted) with the rate of each day or of the last day before it, at most `most` days.

    The columns of `rates` follow, `rate_date` is the date of the rate. Days without such a rate have nulls.
    """
    dated = rates.with_columns(pl.col("date").alias("rate_date"))
    return days.join_asof(dated, on="date", strategy="backward", tolerance=timedelta(days=most))


def convert(
    rows: pl.DataFrame, euro_rates: pl.DataFrame, target: str, prices: Sequence[str]
) -> tuple[pl.DataFrame, list[str]]:
    """Return bars with their prices in `target`, and the units for which there is no rate at all.

    `rows` have date, `currency` (the unit of the prices) and the columns in `prices`. Added are `fx_rate` (units of
    `target` per quoted unit: a price as stored times `fx_rate` is the returned one), `fx_date` and `fx_source`. Where
    there is no rate of the date or of the week before it, or no unit, the prices are null. Yields are per cent, which
    no rate converts: they stay as they are, without a currency.
    """
    parts, without = list[pl.DataFrame](), list[str]()
    in_percent = pl.col("symbol").is_in([each for each in rows["symbol"].unique() if class_of(each) == "rate"])
    rows = rows.with_columns(currency=pl.when(~in_percent).then("currency"))
    for (unit,), part in rows.with_row_index("__row").group_by("currency"):
        rates = _rates_of_unit(part, None if unit is None else str(unit), euro_rates, target)
        if unit is not None and rates["fx_rate"].null_count() == rates.height:
            without.append(str(unit))
        parts.append(part.hstack(rates.get_columns()))
    if not parts:
        return rows.hstack(pl.DataFrame(schema=_ADDED).get_columns()), []
    converted = [pl.when(in_percent).then(name).otherwise(pl.col(name) * pl.col("fx_rate")) for name in prices]
    frame = pl.concat(parts).sort("__row").drop("__row")
    return frame.with_columns(*converted, currency=pl.when(~in_percent).then(pl.lit(target))), sorted(without)


def _rates_of_unit(rows: pl.DataFrame, unit: str | None, euro_rates: pl.DataFrame, target: str) -> pl.DataFrame:
    """Return the columns of _ADDED for rows whose prices are in one unit; None: it is not known."""
    nothing = [pl.lit(None, kind).alias(name) for name, kind in _ADDED.items()]
    if unit is None:
        return rows.select("date").with_columns(nothing).select(list(_ADDED))
    currency, share = whole_unit(unit)
    if currency == target:
        same = rows.select(pl.lit(share).alias("fx_rate"), pl.col("date").alias("fx_date"))
        return same.with_columns(nothing[-1])
    days = rows.select(pl.col("date").unique().sort())
    found = filled(pair_rates(euro_rates, CurrencyPair(currency, target)), days, LONGEST_FILL)
    of_rows = rows.select("date").join(found, on="date", how="left", maintain_order="left")
    return of_rows.select((pl.col("rate") * share).alias("fx_rate"), fx_date="rate_date", fx_source="source")
