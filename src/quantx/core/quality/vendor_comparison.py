"""Compare two vendors' as-traded bars: differences beyond the usual tolerance, and bars that only one vendor has.

Vendors count different prints. Of 84,272 bars that Yahoo and Quandl WIKI both have (31 American shares, 2000 to 2018),
half of all values are equal to the last digit; 0.27 % of the closes differ by more than 0.1 %, 0.2 % of the highs and
of the lows by more than 0.3 %, 0.8 % of the opens by more than 1 % (the first print, or the opening auction) and 0.3 %
of the volumes by more than 20 %. `TOLERANCES` holds these limits; a difference below a tick does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

import polars as pl

from quantx.core.calendars import Calendar
from quantx.core.prices import PRICES

FIELDS = ("close", "open", "high", "low", "volume")  # the compared fields, the most important first
KEY = ["symbol", "date"]
OTHER = "_b"  # the suffix of the second vendor's columns; those of the first have none
HUNDREDTHS = {"GBX": "GBP", "ZAC": "ZAR", "ILA": "ILS", "USX": "USD"}
_FEW_SHARES = 100
_DAYS, _BEFORE_1970 = 2**20, 2**19  # more days than any history has
# A vendor of one exchange's prints (Alpaca's IEX feed) never has the market's volume. Above this share of differing
# days the two volumes are not compared.
_OTHER_VOLUME = 0.5
LOTS = 0.05  # relative distance from a hundred up to which a ratio of volumes is one of lots


@dataclass(frozen=True)
class Tolerance:
    """The tolerated difference in one market: relative, by field; and the tick, by the price from which it applies."""

    relative: Mapping[str, float]
    ticks: tuple[tuple[float, float], ...]

    def allowed(self, field: str, one: pl.Expr, other: pl.Expr) -> pl.Expr:
        """Return the tolerated difference of two values of a field, relative to the smaller one."""
        return pl.min_horizontal(one.abs(), other.abs()) * self.relative[field]

    def of_prices(self, relative: float) -> Tolerance:
        """Return the same with another relative difference of all prices, such as 0.01 for 1 %."""
        return replace(self, relative={**self.relative, **dict.fromkeys(PRICES, relative)})

    def least(self, field: str, one: pl.Expr, other: pl.Expr) -> pl.Expr:
        """Return the smallest difference that counts: a tick and its rounding, or a few shares."""
        if field == "volume":
            return pl.lit(float(_FEW_SHARES))
        price = pl.max_horizontal(one, other)
        tick = reduce(lambda e, t: pl.when(price >= t[0]).then(t[1]).otherwise(e), self.ticks, pl.lit(0.0))
        return tick * 1.01


_PRICE_LIMITS = {"close": 0.001, "high": 0.003, "low": 0.003, "open": 0.01}
# Ticks: SEC rule 612; HKEX spread table A; TSE's finest table; MiFID II's finest liquidity band. Volumes in Europe:
# vendors count either the first exchange or all venues.
TOLERANCES: Mapping[str, Tolerance] = {
    "us": Tolerance({**_PRICE_LIMITS, "volume": 0.2}, ((0, 0.0001), (1, 0.01))),
    "hk": Tolerance(
        {**_PRICE_LIMITS, "volume": 0.1},
        ((0, 0.001), (0.25, 0.005), (0.5, 0.01), (10, 0.02), (20, 0.05), (100, 0.1), (200, 0.2), (500, 0.5), (1000, 1)),
    ),
    "jp": Tolerance({**_PRICE_LIMITS, "volume": 0.1}, ((0, 0.1), (1000, 0.5), (3000, 1), (10000, 5))),
    "eu": Tolerance({**_PRICE_LIMITS, "volume": 0.5}, ((0, 0.0001), (2, 0.0005), (10, 0.002), (50, 0.01), (200, 0.05))),
    # Without one exchange each vendor has quotes and volumes of its own; settlements of futures are the exchange's.
    "fx": Tolerance(dict.fromkeys(PRICES, 0.01) | {"volume": 1.0}, ((0, 0.0001), (20, 0.01))),
    "crypto": Tolerance(dict.fromkeys(PRICES, 0.02) | {"volume": 1.0}, ((0, 1e-8),)),
    "futures": Tolerance({**_PRICE_LIMITS, "volume": 0.5}, ((0, 0.0001), (1, 0.01))),
}


@dataclass(frozen=True)
class Comparison:
    """Two vendors over the sessions of one market.

    `months` has symbol, month (as in 202410), `both` (sessions with a bar of both) and `worst` (the largest relative
    difference of the close). `odd` has a row per symbol and date with a discrepancy: both vendors' values,
    `differs_<field>` (beyond the tolerance), `differs_currency`, and "a" or "b" in `lacks` (the vendor without a bar of
    the session) or in `stray` (the vendor with a bar on a day without a session).
    """

    months: pl.DataFrame
    odd: pl.DataFrame


def compare(
    a: pl.DataFrame, b: pl.DataFrame, market: str, calendar: Calendar, prices: float | None = None
) -> Comparison:
    """Compare as-traded bars of one calendar's symbols.

    Both frames have symbol, date, open, high, low, close, volume and currency, and one row per symbol and date. Prices
    are above zero; a row without a close is ignored. Prices in hundredths (GBX) are compared in whole units. `prices`
    is the tolerated relative difference of prices, by default that of the market.
    """
    tolerance = TOLERANCES[market] if prices is None else TOLERANCES[market].of_prices(prices)
    symbols = pl.concat([frame["symbol"].unique() for frame in (a, b)]).unique().sort()
    joined = _joined(comparable(a), comparable(b), symbols)
    in_a, in_b = pl.col("close").is_not_null(), pl.col("close" + OTHER).is_not_null()
    first, last = pl.lit(calendar.days[0]), pl.lit(calendar.days[-1])
    session = pl.col("date").is_in(pl.Series(calendar.days).implode()) | ~pl.col("date").is_between(first, last)
    marked = joined.with_columns(
        _month(),
        session.alias("session"),
        (in_a & in_b & session).alias("both"),
        *(_beyond(field, tolerance).alias(f"differs_{field}") for field in FIELDS),
        (pl.col("currency") != pl.col("currency" + OTHER)).fill_null(False).alias("differs_currency"),
    )
    close, other = pl.col("close"), pl.col("close" + OTHER)
    months = (
        marked.lazy()
        .filter("both")
        .group_by("symbol", "month")
        .agg(
            pl.len().cast(pl.Int32).alias("both"),
            ((close - other).abs() / pl.min_horizontal(close.abs(), other.abs())).max().alias("worst"),
            pl.col("date").min().alias("first"),
            pl.col("date").max().alias("last"),
        )
        .collect()
    )
    flags = [f"differs_{field}" for field in (*FIELDS, "currency")]
    suspects = marked.filter(~pl.col("both") | pl.any_horizontal(flags))
    differ = _beyond_ticks(suspects.filter("both"), tolerance)
    differ = _without_other_volumes(differ, months).with_columns(_side(None).alias("lacks"), _side(None).alias("stray"))
    odd = [differ, _missing_bars(suspects.filter("session", ~pl.col("both")), months), *_strays(suspects)]
    columns = [*joined.columns, "month", *flags, "lacks", "stray"]
    rows = pl.concat([part.select(columns) for part in odd]).sort(KEY)  # the numbers are in the order of the symbols
    months, rows = (frame.with_columns(symbols.gather(frame["symbol"])) for frame in (months, rows))
    return Comparison(months.select("symbol", "month", "both", "worst"), rows)


def _joined(a: pl.DataFrame, b: pl.DataFrame, symbols: pl.Series) -> pl.DataFrame:
    """Join the bars of both vendors by symbol and date; the symbol's number replaces its name.

    The join uses one number in place of two columns, which takes half the time.
    """
    day = pl.col("date").cast(pl.Int32) + _BEFORE_1970
    number = pl.col("symbol").cast(pl.Enum(symbols)).to_physical().cast(pl.Int64) * _DAYS + day
    left, right = (frame.with_columns(number.alias("__key")).drop(KEY) for frame in (a, b))
    joined = left.join(right, on="__key", how="full", coalesce=True, suffix=OTHER)
    symbol, day = pl.col("__key") // _DAYS, (pl.col("__key") % _DAYS - _BEFORE_1970).cast(pl.Int32)
    return joined.select(symbol.alias("symbol"), day.cast(pl.Date).alias("date"), pl.exclude("__key"))


def comparable(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the bars that have a close, with numeric fields and prices in whole units of the currency."""
    rows = frame.select(*KEY, *FIELDS, pl.col("currency").cast(pl.Categorical)).drop_nulls("close")
    rows = rows.with_columns(pl.col(*FIELDS).cast(pl.Float64))
    hundredths = pl.col("currency").is_in(list(HUNDREDTHS))
    if not rows.select(hundredths.any()).item():
        return rows
    whole = pl.col("currency").cast(pl.String).replace(HUNDREDTHS).cast(pl.Categorical)
    return rows.with_columns(
        pl.when(hundredths).then(pl.col(c) / 100).otherwise(c).alias(c) for c in PRICES
    ).with_columns(whole.alias("currency"))


def _month() -> pl.Expr:
    return (pl.col("date").dt.year() * 100 + pl.col("date").dt.month()).cast(pl.Int32).alias("month")


def _side(name: str | None) -> pl.Expr:
    return pl.lit(name, dtype=pl.String)


def _beyond(field: str, tolerance: Tolerance) -> pl.Expr:
    one, other = pl.col(field), pl.col(field + OTHER)
    return ((one - other).abs() > tolerance.allowed(field, one, other)).fill_null(False)


def _beyond_ticks(rows: pl.DataFrame, tolerance: Tolerance) -> pl.DataFrame:
    """Clear the flags of differences within a tick; few rows are left, so the search for the tick is cheap."""
    pairs = {f: (pl.col(f), pl.col(f + OTHER)) for f in FIELDS}
    exact = rows.with_columns(
        pl.col(f"differs_{f}") & ((one - other).abs() > tolerance.least(f, one, other))
        for f, (one, other) in pairs.items()
    )
    return exact.filter(pl.any_horizontal(f"differs_{f}" for f in (*FIELDS, "currency")))


def _without_other_volumes(rows: pl.DataFrame, months: pl.DataFrame) -> pl.DataFrame:
    """Ignore volumes where one vendor counts another volume throughout; hundredths and lots are classified later."""
    sessions = months.group_by("symbol").agg(pl.col("both").sum())
    ratio = pl.col("volume") / pl.col("volume" + OTHER)
    other = pl.col("differs_volume") & ~about(ratio, 100, LOTS)
    counted = rows.group_by("symbol").agg(other.sum().alias("others")).join(sessions, on="symbol")
    incomparable = counted.filter(pl.col("others") > _OTHER_VOLUME * pl.col("both"))["symbol"]
    prices = pl.any_horizontal(f"differs_{f}" for f in (*PRICES, "currency"))
    ignored = pl.col("symbol").is_in(incomparable.implode()) & ~about(ratio, 100, LOTS)
    kept = rows.with_columns((pl.col("differs_volume") & ~ignored).alias("differs_volume"))
    return kept.filter(prices | pl.col("differs_volume"))


def about(ratio: pl.Expr, number: float, relative: float) -> pl.Expr:
    """Return whether a ratio or its inverse is near a number; false where there is no ratio."""
    return (((ratio / number - 1).abs() <= relative) | ((ratio * number - 1).abs() <= relative)).fill_null(False)


def _missing_bars(single: pl.DataFrame, months: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions, within the common span, on which one vendor has trades and the other no bar."""
    spans = months.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
    traded = pl.coalesce("volume", "volume" + OTHER, pl.lit(1.0)) > 0
    lacks = pl.when(pl.col("close").is_null()).then(_side("a")).otherwise(_side("b"))
    inside = single.join(spans, on="symbol").filter(pl.col("date").is_between("first", "last"), traded)
    return inside.with_columns(lacks.alias("lacks"), _side(None).alias("stray"))


def _strays(suspects: pl.DataFrame) -> list[pl.DataFrame]:
    """Return the bars on days without a session, one row per vendor."""
    rows = suspects.filter(~pl.col("session")).with_columns(_side(None).alias("lacks"))
    return [
        rows.filter(pl.col(close).is_not_null()).with_columns(_side(side).alias("stray"))
        for side, close in (("a", "close"), ("b", "close" + OTHER))
    ]
