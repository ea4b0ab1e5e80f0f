"""The series rules: they check a bar against its neighbours.

They remove no row. A violation becomes a finding. Where two vendors differ and no third one decides, a bar that is
wrong beyond doubt (`reject`) loses, and `source="best"` skips it. `series_features` lists the columns that the
expressions use.

A crash is not an error: it trades through its prices, on many times the usual turnover. An unreported split does
neither: the bar opens at a simple fraction of the close before, with the usual range and the usual turnover.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.quality.frequency import FREQUENCY_RULES, coarse_stretches, outside_of
from quantx.core.quality.rule import MARKETS, Rule
from quantx.core.quality.series_features import consecutive_bars, series_features
from quantx.core.symbols import market_of

_BARS = "bars_1d,bars_1d_adjusted"

_size = pl.col("step").abs()
_opens_there = (pl.col("gap") * pl.col("step") > 0) & (pl.col("gap").abs() >= 0.7 * _size)
_calm = pl.col("range") <= _size / 3
_usual_range = pl.col("range") <= 2 * pl.col("usual_range").clip(lower_bound=0.01)
# A move of a third is traded. A move of a half or more on about the usual turnover is not a trade.
_usual_turnover = (pl.col("worth") / pl.col("usual_worth")).is_between(
    0.2, pl.when(_size < math.log(1.9)).then(1.5).when(_size < math.log(4)).then(2.0).otherwise(3.0)
)
_busy = (pl.col("worth") >= 2 * pl.col("usual_worth")) & (pl.col("range") >= 1.8 * pl.col("usual_range"))
_returns = pl.col("back").is_not_null() | pl.col("returns")

# Pounds and pence are a factor of 100 apart; other decimal-point errors are a power of ten as well. The number of
# shares stays the same, so the turnover changes with the price; with a split it does not.
_powers = pl.max_horizontal((_size / math.log(10)).round(), 2)
_same_turnover = (pl.col("worth") / pl.col("last_worth")).is_between(0.1, 10).fill_null(False)
_other_unit = ((_size - _powers * math.log(10)).abs() <= 0.12) & ~_same_turnover

# Usual split ratios: n for 1, some n for 2 or 3; and 1 for n.
_SPLITS = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 100, 3 / 2, 5 / 2, 5 / 3, 7 / 2)
# How far a day's own move may lie from the ratio: the usual step of the symbol, at least 2 %, and at most a twelfth of
# the move, because a third is next to a half.
_noise = pl.min_horizontal((6 * pl.col("usual_step")).clip(0.02, 0.06), 0.08 * _size)
_simple = reduce(or_, [(_size - math.log(n)).abs() <= _noise for n in _SPLITS])
_at_a_split = _simple & ((pl.col("gap").abs() - _size).abs() <= _noise)

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
    Rule(
        "price_spike",
        "warn",
        _BARS,
        meaning="high or low is more than a factor of three away from open and close",
        why="one stray print shows a range, a stop and a drawdown that did not happen",
        reference="trades of the flash crash of 2010-05-06 at a cent; a low in pounds among pence",
        broken=(pl.col("high") > 3 * pl.max_horizontal("open", "close"))
        | (pl.col("low") < pl.min_horizontal("open", "close") / 3),
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
        meaning="prices and volume are unchanged for ten sessions or more",
        why="a suspended or unlisted security has a price at which it can't be traded, and a volatility of zero",
        reference="Yahoo 2799.HK: 203 sessions of suspension; AMCR before its listing in New York; AULT: 3,564 rows",
        broken=pl.col("rows") >= 10,
    ),
    Rule(
        "no_trade",
        "info",
        _BARS,
        meaning="no trade in the session",
        why="the close of a session without trades is copied from an earlier one",
        reference="Yahoo: single rows without volume in VRT, PFG, AMD, BKR and others",
        broken=pl.col("rows") < 10,
    ),
)

# A jump is named by the first rule that it breaks.
JUMP_RULES = (
    Rule(
        "symbol_reused",
        "warn",
        _BARS,
        meaning="after a month without bars the symbol may belong to another security",
        why="exchanges reuse symbols; one series with the histories of two companies is the history of neither",
        reference="META before 2022-06-09 was another company; Yahoo USAS: months without bars, then double the price",
        broken=(pl.col("missed") >= 20) & (_size >= math.log(1.9)),
    ),
    Rule(
        "split_misapplied",
        "reject",
        _BARS,
        meaning="a split is applied twice, not at all, or to the wrong side of its ex-date",
        why="half of the history in old shares shows a return of minus 80 % that did not happen",
        reference="Yahoo 4063.T 2023-03-30 5:1, DEX.AX 2023-05-30, LA.V 2020-08-26 (yfinance's repair tests)",
        broken=pl.col("own_split").is_not_null() & _calm,
    ),
    Rule(
        "unit_error",
        "reject",
        _BARS,
        meaning="prices change their unit: pounds and pence, dollars and cents",
        why="a price that is a hundred times too large is a fortune in any backtest",
        reference="Yahoo AET.L 2022-05: 0.1455 for 14.55; London, Johannesburg and Tel Aviv are quoted in hundredths",
        broken=_other_unit & _calm,
    ),
    Rule(
        "bad_tick",
        "reject",
        _BARS,
        meaning="a price leaves its level and comes back, in one step each",
        why="a bar of another security, or an error, shows two large returns that did not happen",
        reference="Yahoo ES 2023-07-18: 7.64 between 72.18 and 72.15; EMP at the ends of 2002 and 2003",
        broken=_returns & _opens_there & _calm & ((_size >= 0.4) | _usual_range),
    ),
    Rule(
        "forgotten_split",
        "reject",
        _BARS,
        meaning="prices fall to a fraction, or rise to a multiple, as with a split, and the vendor reports none",
        why="without the split each adjusted price before it is wrong by its ratio",
        reference="an append job's files: AMZN 2022-06-06 20:1, NVDA 2024-06-10 10:1, MNST 2023-03-27 2:1",
        broken=_at_a_split & _calm & _usual_range & _usual_turnover & ~_returns & (pl.col("seen") >= 10),
    ),
    Rule(
        "large_move",
        "info",
        _BARS,
        meaning="the price halves or doubles, or more, within a session",
        why="a crash that traded through its prices on high turnover is real; the finding is informational",
        reference="AAPL 2000-09-29, AIG 2008-09-15, OXY 2020-03-09",
        broken=(_size >= math.log(1.9)) & _busy,
    ),
    Rule(
        "unexplained_jump",
        "warn",
        _BARS,
        meaning="a jump without a cause: no corporate action and no high turnover",
        why="an unexplained change of level is a missing spin-off, split or merger, or a true collapse",
        reference="FRC 2023-05-03; a stock that comes back from a suspension",
        broken=_size >= math.log(1.9),
    ),
)

_MANY, _YEAR = 6, 252  # jumps, and sessions in which they lie
_ERRATIC = Rule(
    "erratic_series",
    "warn",
    _BARS,
    meaning="six jumps or more within a year",
    why="mixed prices of two securities, or of one that hardly trades, are of no use",
    reference="Yahoo EMP: 580 jumps, two bonds mixed; NXPL, CODA, WKSP: jumps of a tick that is as large as the price",
    broken=pl.col("densest") <= _YEAR,
)
SYMBOL_RULES = (_ERRATIC,)

SERIES_RULES = (*BAR_RULES, *GAP_RULES, *FREQUENCY_RULES, *RUN_RULES, *JUMP_RULES, *SYMBOL_RULES)

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
    bars: pl.DataFrame, actions: pl.DataFrame, *, rejected: pl.DataFrame | None = None, adjusted: bool = False
) -> pl.DataFrame:
    """Return the violations of series rules: a frame of VIOLATIONS, sorted by symbol and day.

    `bars` (symbol, date, open, high, low, close, volume) are of one source and passed the row rules; `rejected`
    (symbol, date) did not. `actions` (symbol, ex_date, kind, value) are of the same source. `adjusted`: the bars are
    already divided by these splits.
    """
    features = series_features(bars, actions, rejected=rejected, adjusted=adjusted)
    dated = [frame.select("symbol", "date") for frame in (bars, rejected) if frame is not None]
    rarer = coarse_stretches(pl.concat(dated))
    gaps = outside_of(features.gaps, rarer, "first_day", "last_day")
    jumps, erratic = _name_jumps(features.jumps)
    parts = [_violations(consecutive_bars(features.bars.filter(r.broken.fill_null(False))), r) for r in BAR_RULES]
    parts += [_violations(gaps.filter(rule.broken), rule) for rule in GAP_RULES]
    parts += [_violations(rarer.filter(rule.broken), rule) for rule in FREQUENCY_RULES]
    parts += [_violations(features.runs.filter(rule.broken), rule) for rule in RUN_RULES]
    for rule in JUMP_RULES:
        parts.append(_violations(_wrong_stretches(jumps.filter(pl.col("rule") == rule.id), features.bars), rule))
    parts += [_violations(erratic, rule) for rule in SYMBOL_RULES]
    return pl.concat(parts).sort("symbol", "first_day", "rule")


def bars_in_error(violations: pl.DataFrame) -> pl.DataFrame:
    """Return the days (symbol, date) on which the bar itself is wrong beyond doubt, from a frame of VIOLATIONS."""
    wrong = violations.filter(pl.col("rule").is_in([rule.id for rule in JUMP_RULES if rule.severity == "reject"]))
    wrong = wrong.filter(pl.col("rule") != "forgotten_split")  # the bars are right; the split is missing
    days = wrong.select("symbol", date=pl.date_ranges("first_day", "last_day"))
    return days.explode("date", empty_as_null=False).unique(maintain_order=True)


def _name_jumps(jumps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the jumps with the first `rule` that each breaks, and the symbols that jump all the time.

    For such a symbol no cause is certain: a bad tick, a split or a wrong unit becomes an unexplained jump.
    """
    rule = pl.coalesce(pl.when(rule.broken.fill_null(False)).then(pl.lit(rule.id)) for rule in JUMP_RULES)
    jumps = jumps.with_columns(rule=rule)
    # The turnover before the return from another unit is in that unit; the return would look like a split.
    ends = jumps.filter(pl.col("rule") == "unit_error")["back"].drop_nulls()
    in_unit = pl.int_range(pl.len()).is_in(ends.implode())
    jumps = jumps.with_columns(rule=pl.when(in_unit).then(pl.lit("unit_error")).otherwise("rule"))
    # A bad tick jumps twice, there and back, and counts once.
    back_only = (pl.col("rule") == "bad_tick") & pl.col("returns") & pl.col("back").is_null()
    restless = jumps.filter(pl.col("rule").is_in(["bad_tick", "unexplained_jump", "forgotten_split"]), ~back_only)
    by_symbol = restless.group_by("symbol").agg(
        pl.col("date").min().alias("first_day"),
        pl.col("date").max().alias("last_day"),
        pl.len().alias("rows"),
        (pl.col("row").cast(pl.Int64) - pl.col("row").cast(pl.Int64).shift(_MANY - 1)).min().alias("densest"),
    )
    erratic = by_symbol.filter(_ERRATIC.broken.fill_null(False))
    certain = ~pl.col("symbol").is_in(erratic["symbol"].implode()) | (pl.col("rule") == "large_move")
    cause = pl.when(certain | pl.col("rule").is_null()).then("rule").otherwise(pl.lit("unexplained_jump"))
    return jumps.with_columns(rule=cause), erratic


def _violations(stretches: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Return stretches (symbol, first_day, last_day, rows; step for jumps) in the rule's markets as VIOLATIONS."""
    if rule.markets != MARKETS:
        markets = {symbol: market_of(symbol) for symbol in stretches["symbol"].unique()}
        symbols = [symbol for symbol, market in markets.items() if market is None or market in rule.markets]
        stretches = stretches.filter(pl.col("symbol").is_in(symbols))
    size = pl.col("step").exp() if "step" in stretches.columns else pl.lit(None)
    rows = stretches.with_columns(rule=pl.lit(rule.id), size=size)
    return rows.select(pl.col(c).cast(t) for c, t in VIOLATIONS.items())


def _wrong_stretches(jumps: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Add the wrong stretch of bars of each jump; drop the jumps that end such a stretch.

    Where the price comes back, the bars in between are wrong. Where a split was not applied, the bars before it are
    wrong. Of two units, the one with fewer traded bars is wrong. For all other jumps the stretch is the bar itself.
    """
    if jumps.is_empty():
        return jumps.with_columns(first_day="date", last_day="date", rows=pl.lit(1))
    rule = jumps["rule"][0]
    if rule == "unit_error":
        return _in_lesser_unit(jumps, bars)
    first, last = pl.col("row").cast(pl.Int64), pl.col("row").cast(pl.Int64)
    if rule in ("bad_tick", "split_misapplied"):
        jumps = jumps.filter(~pl.col("returns") | pl.col("back").is_not_null())
        comes_back = pl.col("back").is_not_null()
        last = pl.when(comes_back).then(last + pl.col("back_rows") - 1).otherwise(last)
        if rule == "split_misapplied":
            first = pl.when(comes_back).then(first).otherwise(pl.col("starts"))
            last = pl.when(comes_back).then(last).otherwise(last - 1)
    spans = jumps.with_columns(__first=first, __last=last)
    days = bars["date"]
    return spans.with_columns(
        first_day=days.gather(spans["__first"]),
        last_day=days.gather(spans["__last"]),
        rows=pl.col("__last") - pl.col("__first") + 1,
    )


def _in_lesser_unit(jumps: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Return the stretches in the wrong unit of two units that are powers of ten apart.

    The wrong unit is the one with fewer traded bars of the symbol; with as many, the one with fewer bars.
    """
    turns = jumps.select("row", turn=(pl.col("step") / math.log(10)).round())
    levels = (
        bars.filter(pl.col("symbol").is_in(jumps["symbol"].unique().implode()))
        .join(turns, on="row", how="left", maintain_order="left")
        .with_columns(
            level=pl.col("turn").fill_null(0).cum_sum().over("symbol"), stretch=pl.col("turn").is_not_null().cum_sum()
        )
    )
    weight = levels.group_by("symbol", "level").agg(traded=(pl.col("volume") > 0).sum(), lie=pl.len())
    right = weight.sort("symbol", "traded", "lie").group_by("symbol").agg(right=pl.col("level").last())
    return (
        levels.join(right, on="symbol")
        .filter(pl.col("level") != pl.col("right"))
        .group_by("symbol", "stretch")
        .agg(
            pl.col("date").min().alias("first_day"),
            pl.col("date").max().alias("last_day"),
            pl.len().alias("rows"),
            step=(pl.col("level") - pl.col("right")).first() * math.log(10),
        )
    )
