"""The row rules of daily bars; a row that breaks one goes to quarantine before it is curated.

They use open, high, low, close, volume (as traded) and six columns that the caller adds: `in_calendar` (the exchange
traded on the row's date), `in_past` (the date lies before the reply), `last_of_session`, `absurd`, `market` and
`asset_class`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

import polars as pl

from quantx.core.asset_classes import ASSET_CLASS_NAMES, NEGATIVE_PRICES, WITHOUT_VOLUME
from quantx.core.neighbours import beyond_neighbours
from quantx.core.prices import PRICES
from quantx.core.quality.rule import Checked, Rule, split_by

# Above this a volume is not exact as a 64-bit float; no security ever traded a millionth of it in a day.
_MOST_VOLUME = 2**53
# The smallest step that a vendor's prices resolve: they are 32-bit floats, or were multiplied by a factor.
_TICK = 1e-6
# The prices of one unit lie within a quarter of each other. A share at a few cents can rise a hundredfold on a day on
# which a million shares are traded.
_ONE_UNIT, _PENNY, _BUSY = 1.25, 0.05, 1_000_000
# No unit is this far from another one: pounds for pence twice are 10,000.
_ABSURD = 20_000
_BARS = "bars_1d,bars_1d_adjusted,bars_1m"
_ABOVE_ZERO = tuple(name for name in ASSET_CLASS_NAMES if name not in NEGATIVE_PRICES)
_IN_MONEY = tuple(name for name in ASSET_CLASS_NAMES if name != "rate")  # near zero each ratio of yields is large
# Open and close of a currency pair are quotes of other moments than high and low: they may lie a little outside.
_PAIR = "currency_pair"
_TRADED = tuple(name for name in ASSET_CLASS_NAMES if name != _PAIR)
_QUOTE_SLACK = 0.01


def _missing(column: str) -> pl.Expr:
    return pl.col(column).is_finite().fill_null(False).not_()


def _any(expressions: list[pl.Expr]) -> pl.Expr:
    return reduce(or_, expressions)


def _all(expressions: list[pl.Expr]) -> pl.Expr:
    return reduce(and_, expressions)


def _price(column: str) -> pl.Expr:
    return pl.col(column).fill_nan(None)


def _slack(column: str) -> pl.Expr:
    return _price(column).abs() * _TICK


_highest, _lowest = (f(map(_price, PRICES)) for f in (pl.max_horizontal, pl.min_horizontal))
_open_outside = (
    (_price("open") > _price("high") + _slack("high")) | (_price("open") < _price("low") - _slack("low"))
).fill_null(False)

ROW_RULES = (
    Rule(
        "prices_present",
        "reject",
        _BARS,
        meaning="open, high, low or close is missing or not finite",
        why="vendors send rows without prices for days on which nothing traded; a gap must not look like a price",
        reference="Yahoo EAI: 3,163 empty rows; every file of a daily append job: `2022-01-27,null,null,…`",
        broken=_any([_missing(c) for c in PRICES]),
    ),
    Rule(
        "prices_positive",
        "reject",
        _BARS,
        meaning="a price is zero or negative",
        why="a price of zero makes a return of minus 100 % and then an infinite one",
        reference="Yahoo USAS: open = 0 on 1,073 rows; PRTA 2012-12-18: all prices 0",
        broken=_any([(_price(c) <= 0).fill_null(False) for c in PRICES]),
        classes=_ABOVE_ZERO,
    ),
    Rule(
        "high_is_highest",
        "reject",
        _BARS,
        meaning="high is below close or low",
        why="a bar that contradicts itself has at least one wrong price, and nothing shows which",
        reference="Yahoo 0700.HK 2009-12-31 and 0512.HK: close outside high and low",
        broken=(_price("high") + _slack("high") < pl.max_horizontal(*map(_price, ("close", "low")))).fill_null(False),
        classes=_TRADED,
    ),
    Rule(
        "low_is_lowest",
        "reject",
        _BARS,
        meaning="low is above close or high",
        why="a bar that contradicts itself has at least one wrong price, and nothing shows which",
        reference="Yahoo 0005.HK 2010-01-15 and 2011-04-04: close below low",
        broken=(_price("low") - _slack("low") > pl.min_horizontal(*map(_price, ("close", "high")))).fill_null(False),
        classes=_TRADED,
    ),
    Rule(
        "open_in_range",
        "reject",
        _BARS,
        meaning="open is outside of the range from low to high",
        why="the open, the high or the low belongs to another moment or another security",
        reference="Yahoo EMP 2000-01-03: open 107.5, low 110; Quandl WIKI ADBE 2016-11-30",
        broken=_open_outside,
        markets=("us", "hk", "jp", "crypto", "futures"),
        classes=_TRADED,
    ),
    Rule(
        "pair_in_range",
        "reject",
        _BARS,
        meaning=f"high is below low, or open or close is more than {_QUOTE_SLACK:.0%} outside of the range between",
        why="open and close are quotes of other moments than high and low, but not so far away",
        reference="Yahoo EURUSD=X 2018-04-25: close 1.22414 above the high of 1.22362; 2018-06-29: close below the low",
        broken=(
            (_price("high") + _slack("high") < _price("low"))
            | (_highest > _price("high") * (1 + _QUOTE_SLACK))
            | (_lowest < _price("low") * (1 - _QUOTE_SLACK))
        ).fill_null(False),
        classes=(_PAIR,),
    ),
    Rule(
        "one_unit",
        "reject",
        _BARS,
        meaning="a price of the bar is a hundred times another one",
        why="one price in pounds among three in pence passes every other rule, and shows a crash of 99 % within a day",
        reference="Yahoo ASAI.L 2024-10-25: low and close 0.60, open 58.50",
        broken=(_highest / _lowest).is_between(80, 125)
        & (_price("low") > 0)
        & _all([(_price(c) <= _lowest * _ONE_UNIT) | (_price(c) >= _highest / _ONE_UNIT) for c in PRICES])
        & ((_lowest >= _PENNY) | (pl.col("volume").fill_nan(None).fill_null(0) < _BUSY)),
        classes=_IN_MONEY,
    ),
    Rule(
        "volume_valid",
        "reject",
        _BARS,
        meaning="volume is missing, not finite, negative, or 2^53 or more",
        why="an impossible volume makes turnover, liquidity filters and VWAP wrong without a warning",
        reference="a 64-bit float holds whole numbers up to 2^53; pairs, indices, rates and futures may have none",
        broken=pl.when(pl.col("volume").fill_nan(None).is_null())
        .then(pl.col("asset_class").is_in(WITHOUT_VOLUME).not_())
        .otherwise(pl.col("volume").is_between(0, _MOST_VOLUME, closed="left").not_()),
    ),
    Rule(
        "session_of_calendar",
        "reject",
        _BARS,
        meaning="not a trading session of the exchange",
        why="phantom rows repeat the day before and add a return of zero that was not tradable",
        reference="Yahoo 0700.HK: Saturdays 2011-12-24, 12-31, typhoon days 2013-08-14, 2016-10-21; exchange_calendars",
        broken=pl.col("in_calendar").not_(),
    ),
    Rule(
        "not_in_future",
        "reject",
        _BARS,
        meaning="the session (of a minute: its start) lies after the time of the reply",
        why="a bar of the future is impossible: the vendor's clock or format has changed",
        reference="the reply's Date header and our clock, whichever is earlier",
        broken=pl.col("in_past").not_(),
    ),
)

DAILY_RULES = (
    *ROW_RULES,
    Rule(
        "price_possible",
        "reject",
        "bars_1d,bars_1d_adjusted",
        meaning="the prices are 20,000 times those of the bars before and after, or the high is 20,000 times the low",
        why="no share can have such a price within a session, and one such bar spoils every average",
        reference="a bar of a million times its neighbours, with volume 0; the lowest trades of the flash crash of"
        " 2010-05-06, at a cent, were a 4,000th",
        broken=pl.col("absurd"),
    ),
    Rule(
        "one_row_per_session",
        "reject",
        "bars_1d,bars_1d_adjusted",
        meaning="an earlier one of two rows for the session (the last one is kept)",
        why="a day that counts twice spoils every average, and one of its rows belongs to the open session",
        reference="a daily append job with Yahoo's replies: 39 to 45 dates twice in 2022",
        broken=pl.col("last_of_session").not_(),
    ),
)

PAYLOAD_RULES = (
    Rule(
        "payload_readable",
        "reject",
        f"{_BARS},actions",
        meaning="the reply is not in the vendor's format, or is about another symbol than the requested one",
        why="error pages come with status 200, and rows of a wrong symbol look valid",
        reference="Yahoo: an HTML page and `Invalid cookie` inside CSV files; Stooq: a proof-of-work page with status"
        " 200",
        broken=pl.lit(False),  # checked when the reply is read, not row by row
    ),
    Rule(
        "raw_object_readable",
        "reject",
        f"{_BARS},actions",
        meaning="the stored reply is damaged: its hash differs",
        why="rows of damaged bytes are invented data; the reply is fetched again",
        reference="SHA-256 of the body, stored with it",
        broken=pl.lit(False),
    ),
    Rule(
        "session_settled",
        "info",
        _BARS,
        meaning="the session closed less than half an hour before the reply: the bar is left out and fetched again",
        why="the bar of an open session has no final close, and its volume still grows",
        reference="a daily append job that wrote bars of open sessions: 39 to 45 dates twice",
        broken=pl.lit(False),
    ),
)


def check_daily_bars(bars: pl.DataFrame) -> Checked:
    """Split `bars` by the rules; both parts keep all columns and the order of the rows."""
    return split_by(bars, DAILY_RULES)


def mark_absurd(bars: pl.DataFrame, key: str) -> pl.DataFrame:
    """Add `absurd`: true where the prices of a row are out of any that a share can have within a session.

    The neighbours are the rows around it of the same `key`; `bars` are in the order of their dates.
    """
    wide = ((_price("high") > _price("low") * _ABSURD) & (_price("low") > 0)).fill_null(False)
    # No price of a series is so far from another one in nearly all replies: then the neighbours need no comparison.
    above = _price("low") > 0
    ranges = bars.filter(above).group_by(key).agg(_price("low").max().alias("low"), _price("high").min().alias("high"))
    if not ranges.select((pl.col("low") > pl.col("high") * _ABSURD).any()).item():
        return bars.with_columns(absurd=wide)
    return bars.with_columns(absurd=beyond_neighbours([key], _ABSURD) | wide)


def mark_last_of_session(bars: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Add `last_of_session`: true for the last row with prices of each `key`."""
    bars, place = bars.with_row_index("place"), pl.col("place")
    last_with_prices = pl.when(pl.col("close").is_not_null()).then(place).max().over(key)
    last = pl.coalesce(last_with_prices, place.max().over(key))
    return bars.with_columns((last == place).alias("last_of_session")).drop("place")
