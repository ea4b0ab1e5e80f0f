"""The row rules of daily bars; a row that breaks one goes to quarantine before it is curated.

They ask for open, high, low, close, volume (as traded) and three facts that the caller has found: `in_calendar` (the
exchange traded on the row's date), `in_past` (the date lies before the reply) and `last_of_session`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.prices import PRICES
from quantx.core.quality.rule import Checked, Rule, split_by

# Above this a volume is not exact as a 64-bit float; no security ever traded a millionth of it in a day.
_MOST_VOLUME = 2**53
# The smallest step that a vendor's prices resolve: they are 32-bit floats, or were multiplied by a factor.
_TICK = 1e-6
_BARS = "bars_1d,bars_1d_adjusted,bars_1m"


def _missing(column: str) -> pl.Expr:
    return pl.col(column).is_finite().fill_null(False).not_()


def _any(expressions: list[pl.Expr]) -> pl.Expr:
    return reduce(or_, expressions)


def _price(column: str) -> pl.Expr:
    return pl.col(column).fill_nan(None)


def _slack(column: str) -> pl.Expr:
    return _price(column).abs() * _TICK


_open_outside = (
    (_price("open") > _price("high") + _slack("high")) | (_price("open") < _price("low") - _slack("low"))
).fill_null(False)

ROW_RULES = (
    Rule(
        "prices_present",
        "reject",
        _BARS,
        "open, high, low and close are there and finite",
        "vendors send rows without prices for days on which nothing traded; a gap must not look like a price",
        "Yahoo EAI: 3,163 empty rows; every file of a daily append job: `2022-01-27,null,null,…`",
        _any([_missing(c) for c in PRICES]),
    ),
    Rule(
        "prices_positive",
        "reject",
        _BARS,
        "prices are above zero",
        "a price of zero makes a return of minus 100 % and then an infinite one",
        "Yahoo USAS: open = 0 on 1,073 rows; PRTA 2012-12-18: all prices 0",
        _any([(_price(c) <= 0).fill_null(False) for c in PRICES]),
    ),
    Rule(
        "high_is_highest",
        "reject",
        _BARS,
        "high is at least close and low",
        "a bar that contradicts itself is wrong in at least one price, and nobody knows in which",
        "Yahoo 0700.HK 2009-12-31 and 0512.HK: close outside high and low",
        (_price("high") + _slack("high") < pl.max_horizontal(*map(_price, ("close", "low")))).fill_null(False),
    ),
    Rule(
        "low_is_lowest",
        "reject",
        _BARS,
        "low is at most close and high",
        "a bar that contradicts itself is wrong in at least one price, and nobody knows in which",
        "Yahoo 0005.HK 2010-01-15 and 2011-04-04: close below low",
        (_price("low") - _slack("low") > pl.min_horizontal(*map(_price, ("close", "high")))).fill_null(False),
    ),
    Rule(
        "open_in_range",
        "reject",
        _BARS,
        "open lies between low and high",
        "the open, the high or the low is of another moment, or of another security",
        "Yahoo EMP 2000-01-03: open 107.5, low 110; Quandl WIKI ADBE 2016-11-30",
        _open_outside,
        markets=("us", "hk", "jp"),
    ),
    Rule(
        "one_unit",
        "reject",
        _BARS,
        "no price of a bar is a hundred times another one",
        "one price in pounds among three in pence passes each other rule, and is a crash of 99 % within a day",
        "Yahoo ASAI.L 2024-10-25: low and close 0.60, open 58.50",
        (pl.max_horizontal(map(_price, PRICES)) / pl.min_horizontal(map(_price, PRICES))).is_between(80, 125)
        & (_price("low") > 0),
    ),
    Rule(
        "volume_valid",
        "reject",
        _BARS,
        "volume is there, finite, not negative and below 2^53",
        "a volume that can't be makes turnover, liquidity filters and VWAP wrong without a sign",
        "a 64-bit float holds whole numbers up to 2^53",
        pl.col("volume").fill_nan(None).is_between(0, _MOST_VOLUME, closed="left").fill_null(False).not_(),
    ),
    Rule(
        "session_of_calendar",
        "reject",
        _BARS,
        "the exchange traded on that date",
        "phantom rows repeat the day before and make a return of zero that nobody could trade",
        "Yahoo 0700.HK: Saturdays 2011-12-24 and 12-31, the typhoon days 2013-08-14 and 2016-10-21; exchange_calendars",
        pl.col("in_calendar").not_(),
    ),
    Rule(
        "not_in_future",
        "reject",
        _BARS,
        "the session (of a minute: its start) lies before the moment of the reply",
        "what has not happened can't be known: the vendor's clock or form has changed",
        "the reply's Date header and our clock, whichever is earlier",
        pl.col("in_past").not_(),
    ),
)

DAILY_RULES = (
    *ROW_RULES,
    Rule(
        "one_row_per_session",
        "reject",
        "bars_1d,bars_1d_adjusted",
        "the payload has one row for the session (the last is kept: an earlier one is of the running session)",
        "a day that counts twice spoils every average, and one of its rows is of the running session",
        "a daily append job with Yahoo's replies: 39 to 45 dates twice in 2022; Tokyo: five dates at 09:00 and 15:30",
        pl.col("last_of_session").not_(),
    ),
)

PAYLOAD_RULES = (
    Rule(
        "payload_readable",
        "reject",
        f"{_BARS},actions",
        "the reply is in the vendor's form and about the symbol that was asked for",
        "error pages come with status 200, and a wrong symbol's rows look as good as the right ones",
        "Yahoo: an HTML page and `Invalid cookie` inside CSV files; Stooq: a proof-of-work page with status 200",
        pl.lit(False),  # judged when the reply is read, not row by row
    ),
    Rule(
        "raw_object_readable",
        "reject",
        f"{_BARS},actions",
        "the stored reply is the one that was stored",
        "rows must never be made of damaged bytes; the vendor is asked again",
        "SHA-256 of the body, kept with it",
        pl.lit(False),
    ),
    Rule(
        "session_settled",
        "info",
        _BARS,
        "the session has been over for half an hour; a bar of the running session is left out, and asked for again",
        "the bar of a running session has a close that is none, and a volume that grows",
        "a daily append job that wrote bars of running sessions: 39 to 45 dates twice",
        pl.lit(False),
    ),
)


def check_daily_bars(bars: pl.DataFrame) -> Checked:
    """Split `bars` by the rules; both parts keep all columns and the order of the rows."""
    return split_by(bars, DAILY_RULES)


def tell_doubles(bars: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Add `last_of_session`: true for the last row with prices of each `key`."""
    bars, place = bars.with_row_index("place"), pl.col("place")
    last_with_prices = pl.when(pl.col("close").is_not_null()).then(place).max().over(key)
    last = pl.coalesce(last_with_prices, place.max().over(key))
    return bars.with_columns((last == place).alias("last_of_session")).drop("place")
