"""The series rules: they check a bar against its neighbours.

They remove no row. A violation becomes a finding. Where two vendors differ and no third one decides, a bar that is
wrong beyond doubt (`reject`) loses, and `source="best"` skips it. `series_features` and `notable_bars` list the columns
that the expressions use; `jump_rules` has the rules of jumps.
"""

from __future__ import annotations

import math

import polars as pl

from quantx.core.asset_classes import ASSET_CLASS_NAMES, NEGATIVE_PRICES, WITHOUT_VOLUME
from quantx.core.quality.frequency import FREQUENCY_RULES, coarse_stretches, outside_of
from quantx.core.quality.jump_rules import ERRATIC, JUMP_RULES, name_jumps, wrong_stretches
from quantx.core.quality.notable_bars import STEP
from quantx.core.quality.rule import Rule
from quantx.core.quality.series_features import SeriesFeatures, consecutive_bars, series_features
from quantx.core.symbols import MARKETS

_BARS = "bars_1d,bars_1d_adjusted"

BAR_RULES = (
    Rule(
        "volume_missing",
        "warn",
        _BARS,
        meaning="the price has moved, but the volume is zero",
        why="a day without volume looks like a halt",
        reference="Yahoo 0700.HK: half days 2020-12-24 to 2025-01-28; HWM 2016-11-14 to 12-22",
        broken=(pl.col("volume") == 0)
        & ((pl.col("high") > pl.col("low")) | (pl.col("step").abs() > 1e-6).fill_null(False)),
        classes=tuple(name for name in ASSET_CLASS_NAMES if name not in WITHOUT_VOLUME),
    ),
    Rule(
        "price_not_above_zero",
        "info",
        _BARS,
        meaning="a price of a future or a rate is zero or negative: it is legal, and there is no return across it",
        why="a return computed from it is senseless; research must use the difference of the prices",
        reference="CL=F 2020-04-20: low -40.32, close -37.63",
        broken=pl.min_horizontal("open", "high", "low", "close") <= 0,
        classes=tuple(name for name in ASSET_CLASS_NAMES if name in NEGATIVE_PRICES),
    ),
    Rule(
        "quote_outside_range",
        "info",
        _BARS,
        meaning="open or close of a currency pair is a little outside of the range from low to high",
        why="they are quotes of other moments; a stop or a limit between is not what was traded",
        reference="Yahoo EURUSD=X 2018-04-25 and 2018-06-29",
        broken=(pl.max_horizontal("open", "close") > pl.col("high") * (1 + 1e-6))
        | (pl.min_horizontal("open", "close") < pl.col("low") * (1 - 1e-6)),
        classes=("currency_pair",),
    ),
    Rule(
        "currency_changes",
        "warn",
        _BARS,
        meaning="the currency or unit changes within a series",
        why="a change from pence to pounds divides the price by a hundred, and only the currency column shows it",
        reference="Yahoo: GBp for OCDO.L, GBP in other replies; London, Johannesburg, Tel Aviv",
        broken=pl.col("currency") != pl.col("currency_before"),
    ),
    Rule(
        "open_of_auction",
        "info",
        _BARS,
        meaning="open is outside of the range from low to high (in Europe such a bar is kept)",
        why="for shares traded in auctions vendors take the open from a quote: it is outside in every third bar",
        reference="Yahoo ELCO.L: 309 of 665 bars, NVT.L: 248 of 725",
        broken=(pl.col("open") > pl.col("high") * (1 + 1e-6)) | (pl.col("open") < pl.col("low") * (1 - 1e-6)),
        markets=("eu",),
    ),
)

# The range of a spike is four times the usual one before it and after it, on the usual volume: in a panic, and on the
# day of the flash crash, twice the usual number of shares or more was traded.
_stray = (
    (pl.col("range") >= 4 * pl.col("usual_range"))
    & (pl.col("range") >= 4 * pl.col("next_range").fill_null(0.0))
    & (pl.col("shares") <= 2 * pl.col("usual_shares"))
    & ~pl.col("thin")
)
SPIKE_RULES = (
    Rule(
        "price_spike",
        "warn",
        _BARS,
        meaning="high or low is far from open and close: by a factor of three, or by a fifth among quiet neighbours",
        why="one stray print shows a range, a stop and a drawdown that did not happen",
        reference="C 2002-01-16, low at a half; trades of the flash crash of 2010-05-06 at a cent; a low in pounds"
        " among pence",
        broken=pl.col("spiked") & ((pl.col("spike") > math.log(3)) | _stray),
        classes=tuple(name for name in ASSET_CLASS_NAMES if name != "rate"),  # near zero each ratio is large
    ),
)

# Where the volume usually doubles from session to session, none is unusual.
_steady = (
    (pl.col("wobble") <= 0.6) & (pl.col("seen") >= 20) & (pl.col("seen_after") >= 5) & (pl.col("usual_shares") > 0)
)
_before, _after = (pl.col("shares") / pl.col(usual) for usual in ("usual_shares", "next_shares"))
_soon, _level = (pl.col(shares) / pl.col("usual_shares") for shares in ("soon_shares", "next_shares"))
# On quiet days no share of a large company trades 100 times its usual volume, or a twentieth of it for three sessions;
# over a month its volume does not change thirtyfold.
_odd_volume = (
    ((_before >= 100) & (_after >= 100))
    | ((_before <= 1 / 20) & (_after <= 1 / 20) & (_soon <= 1 / 20))
    | ((_level >= 30) & (_before >= 10))
    | ((_level <= 1 / 30) & (_before <= 1 / 10))
)
VOLUME_RULES = (
    Rule(
        "volume_level",
        "warn",
        _BARS,
        meaning="the volume is a multiple or a fraction of the usual one, and the price did not move",
        why="lots of a hundred, a wrong unit or a part of the trades make turnover and liquidity filters wrong",
        reference="volumes in lots of a hundred; a week whose volumes are those of one exchange only",
        broken=pl.col("burst")
        & _steady
        & _odd_volume
        & (pl.col("step").abs() < pl.max_horizontal(pl.lit(STEP), 6 * pl.col("usual_step"))),
    ),
)

GAP_RULES = (
    Rule(
        "missing_sessions",
        "warn",
        _BARS,
        meaning="no bar for a session of the exchange between the first bar and the last",
        why="a missing session makes a return of two days look like one of a day",
        reference="Quandl WIKI 2017-08-07: AAPL, ADBE, AMZN, CELG, INTC; exchange_calendars",
        broken=pl.col("rows") > 0,
    ),
)

RUN_RULES = (
    Rule(
        "stale_run",
        "warn",
        _BARS,
        meaning="for ten sessions or more, the volume is 0 or the bar repeats the bar before",
        why="a suspended or unlisted security has a price at which it can't be traded, and a volatility of zero",
        reference="Yahoo 2799.HK: 203 sessions of suspension; AMCR before its listing in New York; AULT: 3,564 rows",
        broken=pl.col("rows") >= 10,
    ),
    Rule(
        "no_trade",
        "info",
        _BARS,
        meaning="the volume is 0, or the bar repeats the bar before",
        why="the close of a session without trades is copied from an earlier one, at some vendors with its volume",
        reference="Yahoo: single rows without volume in VRT, PFG, AMD, BKR and others",
        broken=pl.col("rows") < 10,
    ),
)

FLAT_RULES = (
    Rule(
        "no_range",
        "warn",
        _BARS,
        meaning="open, high, low and close are one price, another one each day, in twenty traded sessions or more",
        why="a close in place of all prices hides every range, stop and gap",
        reference="sources that publish closes only, and conversions that fill the other prices with the close",
        broken=pl.col("rows") >= 20,
    ),
)

# Over a year a correlation of nothing has an error of 0.06; that of a large company with its market is 0.3 to 0.9.
# Two lags are tried in each year of each series: 3.8 errors occur by chance once in 7,000 years.
_least = 3.8 / pl.col("rows").sqrt()
_shifted = pl.max_horizontal("late", "early")
LAG_RULES = (
    Rule(
        "series_shifted",
        "warn",
        _BARS,
        meaning="the bars are dated a session early or late: they follow the market's moves of the session beside",
        why="bars with the date of the session before give a backtest look-ahead",
        reference="correlations with the median return of the market over a year; none without ten symbols or more",
        broken=(_shifted >= _least) & (_shifted - pl.col("same").clip(lower_bound=0) >= _least),
    ),
)


SYMBOL_RULES = (ERRATIC,)

SERIES_RULES = (
    *BAR_RULES,
    *SPIKE_RULES,
    *VOLUME_RULES,
    *GAP_RULES,
    *FREQUENCY_RULES,
    *RUN_RULES,
    *FLAT_RULES,
    *LAG_RULES,
    *JUMP_RULES,
    *SYMBOL_RULES,
)

# One row per stretch of bars that breaks a rule; `size` is the factor of a jump.
VIOLATIONS = {
    "rule": pl.String,
    "symbol": pl.String,
    "first_day": pl.Date,
    "last_day": pl.Date,
    "rows": pl.UInt32,
    "size": pl.Float64,
}


def check_series(
    bars: pl.DataFrame,
    actions: pl.DataFrame,
    *,
    rejected: pl.DataFrame | None = None,
    adjusted: bool = False,
    market: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Return the violations of series rules: a frame of VIOLATIONS, sorted by symbol and day.

    `bars` (symbol, date, open, high, low, close, volume) are of one source and passed the row rules; `rejected`
    (symbol, date) did not. `actions` (symbol, ex_date, kind, value) are of the same source. `adjusted`: the bars are
    already divided by these splits. `market` (calendar, date, move) is that of `market_moves.market_of`.
    """
    features = series_features(bars, actions, rejected=rejected, adjusted=adjusted, market=market)
    return violations_of(features, rejected)


def violations_of(features: SeriesFeatures, rejected: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the violations of series with these features, as `check_series` does."""
    dated = [frame.select("symbol", "date") for frame in (features.bars, rejected) if frame is not None]
    rarer = coarse_stretches(pl.concat(dated))
    notable = features.notable
    jumps, erratic = name_jumps(notable.filter("stepped"))
    single = notable.with_columns(first_day="date", last_day="date", rows=pl.lit(1))
    parts = [as_violations(consecutive_bars(features.bars.filter(r.broken.fill_null(False))), r) for r in BAR_RULES]
    for of_bars, size in (
        (SPIKE_RULES, pl.col("spike")),
        (VOLUME_RULES, (pl.col("shares") / pl.col("usual_shares")).log()),
    ):
        parts += [as_violations(single.filter(r.broken.fill_null(False)).with_columns(step=size), r) for r in of_bars]
    for rules, stretches in (
        (GAP_RULES, outside_of(features.gaps, rarer, "first_day", "last_day")),
        (FREQUENCY_RULES, rarer),
        (RUN_RULES, features.idle),
        (FLAT_RULES, features.flat),
        (LAG_RULES, features.lagged),
        (SYMBOL_RULES, erratic),
    ):
        parts += [as_violations(stretches.filter(rule.broken), rule) for rule in rules]
    for rule in JUMP_RULES:
        parts.append(as_violations(wrong_stretches(jumps.filter(pl.col("rule") == rule.id), features.bars), rule))
    return pl.concat(parts).sort("symbol", "first_day", "rule", "last_day")


def bars_in_error(violations: pl.DataFrame) -> pl.DataFrame:
    """Return the days (symbol, date) on which the bar itself is wrong beyond doubt, from a frame of VIOLATIONS."""
    wrong = violations.filter(pl.col("rule").is_in([rule.id for rule in JUMP_RULES if rule.severity == "reject"]))
    wrong = wrong.filter(pl.col("rule") != "forgotten_split")  # the bars are right; the split is missing
    days = wrong.select("symbol", date=pl.date_ranges("first_day", "last_day"))
    return days.explode("date", empty_as_null=False).unique(maintain_order=True)


def as_violations(stretches: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Return stretches (symbol, first_day, last_day, rows; step for jumps) to which a rule applies as VIOLATIONS."""
    if rule.markets != MARKETS or rule.classes != ASSET_CLASS_NAMES:
        symbols = [symbol for symbol in stretches["symbol"].unique() if rule.applies_to(symbol)]
        stretches = stretches.filter(pl.col("symbol").is_in(symbols))
    size = pl.col("step").exp() if "step" in stretches.columns else pl.lit(None)
    rows = stretches.with_columns(rule=pl.lit(rule.id), size=size)
    return rows.select(pl.col(c).cast(t) for c, t in VIOLATIONS.items())
