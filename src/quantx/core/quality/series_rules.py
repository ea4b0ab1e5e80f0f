"""The rules about series: what a bar can't tell alone, but its neighbours can.

They remove nothing. What breaks one becomes a finding. Where two vendors differ and no third one decides, a bar that is
wrong beyond doubt (`reject`) loses, so that `source="best"` passes it over. `study.py` says which columns the expressions
may ask for.

A crash is no error: it trades through its prices and on many times the usual turnover. A split that nobody told of does
neither: the bar opens at a simple fraction of the close before, its range is as usual, and so is its turnover.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.quality.rule import MARKETS, Rule
from quantx.core.quality.series_features import follow_each_other, study
from quantx.core.symbols import market_of

_BARS = "bars_1d,bars_1d_adjusted"

_size = pl.col("step").abs()
_opens_there = (pl.col("gap") * pl.col("step") > 0) & (pl.col("gap").abs() >= 0.7 * _size)
_calm = pl.col("range") <= _size / 3
_usual_range = pl.col("range") <= 2 * pl.col("usual_range").clip(lower_bound=0.01)
# A move of a third happens, and is traded; one of a half or more with hardly more turnover than usual is none.
_usual_turnover = (pl.col("worth") / pl.col("usual_worth")).is_between(
    0.2, pl.when(_size < math.log(1.9)).then(1.5).when(_size < math.log(4)).then(2.0).otherwise(3.0)
)
_busy = (pl.col("worth") >= 2 * pl.col("usual_worth")) & (pl.col("range") >= 1.8 * pl.col("usual_range"))
_returns = pl.col("back").is_not_null() | pl.col("returns")

# Pounds and pence are a hundred apart; other slips of the decimal point are a power of ten as well. The shares traded
# stay the same, so that the turnover seems to change with the price; with a split it does not.
_powers = pl.max_horizontal((_size / math.log(10)).round(), 2)
_same_turnover = (pl.col("worth") / pl.col("last_worth")).is_between(0.1, 10).fill_null(False)
_other_unit = ((_size - _powers * math.log(10)).abs() <= 0.12) & ~_same_turnover

# New shares for old ones that companies choose: n for 1, some n for 2 or 3; and 1 for n.
_SPLITS = (*range(2, 11), 12, 15, 20, 25, 30, 40, 50, 100, 3 / 2, 5 / 2, 5 / 3, 7 / 2)
# How far a day's own move may lie from the fraction: what is usual for the symbol, at least 2 %, and at most
# a twelfth of the move: a third is next to a half.
_noise = pl.min_horizontal((6 * pl.col("usual_step")).clip(0.02, 0.06), 0.08 * _size)
_simple = reduce(or_, [(_size - math.log(n)).abs() <= _noise for n in _SPLITS])
_at_a_split = _simple & ((pl.col("gap").abs() - _size).abs() <= _noise)

BAR_RULES = (
    Rule(
        "volume_missing",
        "warn",
        _BARS,
        "a bar whose price has moved has a volume",
        "a day without volume looks as if nobody could have traded, and passes for a halt",
        "Yahoo 0700.HK: half days 2020-12-24 to 2025-01-28; HWM 2016-11-14 to 12-22",
        (pl.col("volume") == 0) & ((pl.col("high") > pl.col("low")) | (pl.col("step").abs() > 1e-6).fill_null(False)),
    ),
    Rule(
        "currency_changes",
        "warn",
        _BARS,
        "all bars of a series are in one currency and unit",
        "a vendor that goes over from pence to pounds divides the price by a hundred, and says so in one word",
        "Yahoo: GBp for OCDO.L, GBP in other replies; London, Johannesburg, Tel Aviv",
        pl.col("currency") != pl.col("currency_before"),
    ),
    Rule(
        "open_of_auction",
        "info",
        _BARS,
        "open lies between low and high also in Europe, where a bar is kept that breaks this",
        "for shares that trade in auctions vendors take the open from a quote: of every third bar it lies outside",
        "Yahoo ELCO.L: 309 of 665 bars, NVT.L: 248 of 725",
        (pl.col("open") > pl.col("high") * (1 + 1e-6)) | (pl.col("open") < pl.col("low") * (1 - 1e-6)),
        markets=("eu",),
    ),
    Rule(
        "price_spike",
        "warn",
        _BARS,
        "high and low lie within a factor of three of open and close",
        "one print far off makes a range, a stop and a drawdown that nobody traded",
        "trades of the flash crash of 2010-05-06 at a cent; a low in pounds among pence",
        (pl.col("high") > 3 * pl.max_horizontal("open", "close"))
        | (pl.col("low") < pl.min_horizontal("open", "close") / 3),
    ),
)

GAP_RULES = (
    Rule(
        "missing_sessions",
        "warn",
        _BARS,
        "there is a bar for each session of the exchange between the first bar and the last",
        "a missing session makes a return of two days look like one of a day",
        "Quandl WIKI 2017-08-07: AAPL, ADBE, AMZN, CELG, INTC; exchange_calendars",
        pl.col("rows") > 0,
    ),
)

RUN_RULES = (
    Rule(
        "stale_run",
        "warn",
        _BARS,
        "prices and volume do not stand still for ten sessions or more",
        "a suspended or unlisted security has a price that cannot be had, and a volatility of zero",
        "Yahoo 2799.HK: 203 sessions of suspension; AMCR before its listing in New York; AULT: 3,564 rows",
        pl.col("rows") >= 10,
    ),
    Rule(
        "no_trade",
        "info",
        _BARS,
        "something is traded in each session",
        "the close of a session without trades is that of an earlier one",
        "Yahoo: single rows without volume in VRT, PFG, AMD, BKR and others",
        pl.col("rows") < 10,
    ),
)

# The first that fits is what a jump is called.
JUMP_RULES = (
    Rule(
        "symbol_reused",
        "warn",
        _BARS,
        "after a month without bars a symbol still means the same security",
        "symbols are given to others; the histories of two companies in one series are nobody's",
        "META before 2022-06-09 was another company; Yahoo USAS: months without bars, then double the price",
        (pl.col("missed") >= 20) & (_size >= math.log(1.9)),
    ),
    Rule(
        "split_misapplied",
        "reject",
        _BARS,
        "a split divides all prices before its ex-date, once, and none after it",
        "half of the history in old shares makes a return of minus 80 % that nobody had",
        "Yahoo 4063.T 2023-03-30 5:1, DEX.AX 2023-05-30, LA.V 2020-08-26 (yfinance's repair tests)",
        pl.col("own_split").is_not_null() & _calm,
    ),
    Rule(
        "unit_error",
        "reject",
        _BARS,
        "prices stay in one unit: pounds or pence, dollars or cents",
        "a price a hundred times too large is a fortune in any backtest",
        "Yahoo AET.L 2022-05: 0.1455 for 14.55; London, Johannesburg and Tel Aviv are quoted in hundredths",
        _other_unit & _calm,
    ),
    Rule(
        "bad_tick",
        "reject",
        _BARS,
        "a price does not leave its level and come back in one step each",
        "another security's bar, or an error, makes two large returns that never were",
        "Yahoo ES 2023-07-18: 7.64 between 72.18 and 72.15; EMP at the ends of 2002 and 2003",
        _returns & _opens_there & _calm & ((_size >= 0.4) | _usual_range),
    ),
    Rule(
        "forgotten_split",
        "reject",
        _BARS,
        "prices fall to a fraction, or rise to a multiple, with a split that the vendor tells",
        "without the split each adjusted price before it is wrong by its ratio",
        "an append job's files: AMZN 2022-06-06 20:1, NVDA 2024-06-10 10:1, MNST 2023-03-27 2:1",
        _at_a_split & _calm & _usual_range & _usual_turnover & ~_returns & (pl.col("seen") >= 10),
    ),
    Rule(
        "large_move",
        "info",
        _BARS,
        "prices move less than by half, or to less than double, within a session",
        "a crash that traded through its prices on much turnover is real, and good to know of",
        "AAPL 2000-09-29, AIG 2008-09-15, OXY 2020-03-09",
        (_size >= math.log(1.9)) & _busy,
    ),
    Rule(
        "unexplained_jump",
        "warn",
        _BARS,
        "a jump has a cause: an action, or much trading",
        "a change of level that nothing explains is a spin-off, a split or a merger that is missing, or a true collapse",
        "FRC 2023-05-03; a stock that comes back from a suspension",
        _size >= math.log(1.9),
    ),
)

_MANY, _YEAR = 6, 252  # jumps, and sessions in which they lie
_ERRATIC = Rule(
    "erratic_series",
    "warn",
    _BARS,
    "a series has fewer than six jumps within a year",
    "prices of two securities that take turns, or of one that hardly trades, are of no use",
    "Yahoo EMP: 580 jumps, two bonds mixed; NXPL, CODA, WKSP: jumps of a tick that is as large as the price",
    pl.col("densest") <= _YEAR,
)
SYMBOL_RULES = (_ERRATIC,)

SERIES_RULES = (*BAR_RULES, *GAP_RULES, *RUN_RULES, *JUMP_RULES, *SYMBOL_RULES)

# One row per stretch of bars that breaks a rule; `size` is the factor of a jump.
FOUND = {
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
    """Return what breaks a series rule: a frame of FOUND, sorted by symbol and day.

    `bars` (symbol, date, open, high, low, close, volume) are of one source and have obeyed the row rules; `rejected`
    (symbol, date) have not. `actions` (symbol, ex_date, kind, value) are that source's. `adjusted`: the bars are divided
    by these splits already.
    """
    seen = study(bars, actions, rejected=rejected, adjusted=adjusted)
    jumps, erratic = _named(seen.jumps)
    found = [_found(follow_each_other(seen.bars.filter(r.broken.fill_null(False))), r) for r in BAR_RULES]
    found += [_found(seen.gaps.filter(rule.broken), rule) for rule in GAP_RULES]
    found += [_found(seen.runs.filter(rule.broken), rule) for rule in RUN_RULES]
    found += [_found(_wrong_side(jumps.filter(pl.col("rule") == rule.id), seen.bars), rule) for rule in JUMP_RULES]
    found += [_found(erratic, rule) for rule in SYMBOL_RULES]
    return pl.concat(found).sort("symbol", "first_day", "rule")


def bars_in_error(found: pl.DataFrame) -> pl.DataFrame:
    """Return the days (symbol, date) on which a frame of FOUND says that the bar itself is wrong beyond doubt."""
    wrong = found.filter(pl.col("rule").is_in([rule.id for rule in JUMP_RULES if rule.severity == "reject"]))
    wrong = wrong.filter(pl.col("rule") != "forgotten_split")  # the bars are right; it is the split that is missing
    days = wrong.select("symbol", date=pl.date_ranges("first_day", "last_day"))
    return days.explode("date", empty_as_null=False).unique(maintain_order=True)


def _named(jumps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the jumps with the `rule` that each breaks first, and the symbols that jump all the time.

    Of such a symbol nothing is certain: what would be a bad tick, a split or a wrong unit elsewhere is a jump without explanation.
    """
    rule = pl.coalesce(pl.when(rule.broken.fill_null(False)).then(pl.lit(rule.id)) for rule in JUMP_RULES)
    jumps = jumps.with_columns(rule=rule)
    # The way back from another unit is seen against the turnover in it, and would look like a split.
    ends = jumps.filter(pl.col("rule") == "unit_error")["back"].drop_nulls()
    in_unit = pl.int_range(pl.len()).is_in(ends.implode())
    jumps = jumps.with_columns(rule=pl.when(in_unit).then(pl.lit("unit_error")).otherwise("rule"))
    # A tick counts once, though it jumps there and back.
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
    told = pl.when(certain | pl.col("rule").is_null()).then("rule").otherwise(pl.lit("unexplained_jump"))
    return jumps.with_columns(rule=told), erratic


def _found(hits: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Return stretches (symbol, first_day, last_day, rows, of jumps: step) of a rule's markets as rows of FOUND."""
    if rule.markets != MARKETS:
        known = {symbol: market_of(symbol) for symbol in hits["symbol"].unique()}
        theirs = [symbol for symbol, market in known.items() if market is None or market in rule.markets]
        hits = hits.filter(pl.col("symbol").is_in(theirs))
    size = pl.col("step").exp() if "step" in hits.columns else pl.lit(None)
    return hits.with_columns(rule=pl.lit(rule.id), size=size).select(pl.col(c).cast(t) for c, t in FOUND.items())


def _wrong_side(jumps: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Add the stretch of bars that is wrong where a jump is; jumps that end such a stretch are left out.

    What comes back is wrong in between. A split that was not applied is wrong before the jump. Of two units, the one in
    which less was traded is wrong. Of all other jumps the bar itself is shown.
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
    """Return the stretches in the units (powers of ten apart) in which fewer bars of the symbol are traded (or, if as many, fewer lie)."""
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
