"""The rules of jumps, as part of the series rules: a jump is named by the first rule that it breaks.

A crash is not an error: it trades through its prices, on many times the usual turnover. An unreported split does
neither: the bar opens at a simple fraction of the close before, with the usual range and the usual turnover. Nor does a
file whose prices are adjusted from some day on: its step is of any size, and as quiet.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.asset_classes import ASSET_CLASS_NAMES, WITHOUT_ACTIONS, class_of
from quantx.core.neighbours import COMES_BACK
from quantx.core.quality.notable_bars import BACK, JUMP, LARGE, STEP
from quantx.core.quality.rule import Rule

_BARS = "bars_1d,bars_1d_adjusted"
_WITH_SPLITS = tuple(name for name in ASSET_CLASS_NAMES if name not in WITHOUT_ACTIONS)

_size = pl.col("step").abs()
_jumps = _size >= JUMP
_large = _size >= LARGE
_opens_there = (pl.col("gap") * pl.col("step") > 0) & (pl.col("gap").abs() >= 0.7 * _size)
_calm = pl.col("range") <= _size / 3
_usual_range = pl.col("range") <= 2 * pl.col("usual_range").clip(lower_bound=0.01)
_shares = pl.col("shares") / pl.col("usual_shares")
_worth = pl.col("worth") / pl.col("usual_worth")
# After a split more shares are traded for as much money, after a reverse split fewer.
_turnover = pl.min_horizontal(_shares, _worth)
# A move of a third is traded. A move of a half or more on about the usual turnover is not a trade.
_usual_turnover = _worth.is_between(
    0.2, pl.when(_size < LARGE).then(1.5).when(_size < math.log(4)).then(2.0).otherwise(3.0)
)
_busy = (_worth >= 2) & (pl.col("range") >= 1.8 * pl.col("usual_range"))
_returns = pl.col("back_row").is_not_null() | pl.col("returns")
_soon = pl.col("back_rows").fill_null(0) <= BACK
_takes_back = _soon | (_turnover <= 4)  # a longer run begins quietly

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

# In thin trading one print of a few shares at a far quote is a trade; there only a large jump is an error.
_certain = ~pl.col("thin") | (_size >= math.log(3))

# A price that leaves its level so far and comes back is no trade, on any turnover.
_absurd = _returns & _soon & (_size >= math.log(COMES_BACK))

# A quiet step: six times the usual one or more, also without the market's own move, at the open, with the usual range
# and turnover. Of 3,900 symbol-years of large companies three such steps were distributions that the files do not have,
# and none was a trade: news of that size trades three times the usual number of shares. On one ordinary day in ten 2
# times the usual number is traded, on one in twenty 2.5 times.
_apart = pl.min_horizontal(_size, (pl.col("step") - pl.col("market").fill_null(0.0)).abs())
_traded = pl.min_horizontal(_shares, (_shares * _worth).sqrt())  # in old shares or in new ones
_very_calm = (pl.col("range") <= _size / 4) & (pl.col("range") <= 2.5 * pl.col("usual_range"))
_quiet = (
    (_apart >= pl.when("limited").then(math.log(1.35)).otherwise(STEP))
    & (_apart >= 6 * pl.col("usual_step").clip(lower_bound=0.003))
    & _opens_there
    & (pl.col("range") <= 0.4 * _size)
    & ((_traded <= 2) | ((_traded <= 2.5) & _very_calm))
    & ~pl.col("thin")
)
# A jump that opens at its level and stays there is not traded through: more than 4 on any turnover, or a simple
# fraction on less than four times the usual one.
_opens_as_split = _calm & _opens_there & ((_size >= math.log(4)) | (_simple & (_turnover <= 4)))

JUMP_RULES = (
    Rule(
        "symbol_reused",
        "warn",
        _BARS,
        meaning="after a month without bars the symbol may belong to another security",
        why="exchanges reuse symbols; one series with the histories of two companies is the history of neither",
        reference="META before 2022-06-09 was another company; Yahoo USAS: months without bars, then double the price",
        broken=(pl.col("missed") >= 20) & _large,
    ),
    Rule(
        "split_misapplied",
        "reject",
        _BARS,
        meaning="a split is applied twice, not at all, or to the wrong side of its ex-date",
        why="half of the history in old shares shows a return of minus 80 % that did not happen",
        reference="Yahoo 4063.T 2023-03-30 5:1, DEX.AX 2023-05-30, LA.V 2020-08-26 (yfinance's repair tests)",
        broken=pl.col("own_split").is_not_null() & _calm & _jumps,
        classes=_WITH_SPLITS,
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
        broken=_absurd
        | (
            _returns
            & _jumps
            & _opens_there
            & _calm
            & _certain
            & ((_size >= 0.4) | _usual_range)
            & (_soon | (_turnover <= 4))
        ),
    ),
    Rule(
        "forgotten_split",
        "reject",
        _BARS,
        meaning="prices fall to a fraction, or rise to a multiple, as with a split, and the vendor reports none",
        why="without the split each adjusted price before it is wrong by its ratio",
        reference="an append job's files: AMZN 2022-06-06 20:1, NVDA 2024-06-10 10:1, MNST 2023-03-27 2:1",
        broken=_at_a_split & _calm & _usual_range & _usual_turnover & ~_returns & _certain & (pl.col("seen") >= 10),
        classes=_WITH_SPLITS,
    ),
    Rule(
        "large_move",
        "info",
        _BARS,
        meaning="the price halves or doubles, or more, within a session",
        why="a crash that traded through its prices on high turnover is real; the finding is informational",
        reference="AAPL 2000-09-29, AIG 2008-09-15, OXY 2020-03-09",
        broken=_large & _busy & ~_opens_as_split,
    ),
    Rule(
        "unexplained_jump",
        "warn",
        _BARS,
        meaning="a jump without a cause: no corporate action and no high turnover",
        why="an unexplained change of level is a missing split, spin-off or merger, prices that are adjusted from some"
        " day on, or a true collapse",
        reference="KLAC 2014-11-26 and VTR 2015-08-18, distributions that a file without events hides; FRC 2023-05-03;"
        " a stock that comes back from a suspension",
        broken=_large | _quiet,
    ),
)

_MANY, _YEAR = 6, 252  # jumps, and sessions in which they lie
ERRATIC = Rule(
    "erratic_series",
    "warn",
    _BARS,
    meaning="six jumps or more within a year",
    why="mixed prices of two securities, or of one that hardly trades, are of no use",
    reference="Yahoo EMP: 580 jumps, two bonds mixed; NXPL, CODA, WKSP: jumps of a tick that is as large as the price",
    broken=pl.col("densest") <= _YEAR,
)


def name_jumps(jumps: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the jumps with the first `rule` that each breaks, and the symbols that jump all the time.

    For such a symbol no cause is certain: a bad tick, a split or a wrong unit becomes an unexplained jump.
    """
    names = (pl.when(_is_broken(rule, jumps["symbol"])).then(pl.lit(rule.id)) for rule in JUMP_RULES)
    jumps = jumps.with_columns(rule=pl.coalesce(names))
    # The turnover before the return from another unit is in that unit; the return would look like a split.
    ends = jumps.filter(pl.col("rule") == "unit_error")["back_row"].drop_nulls()
    in_unit = pl.col("row").is_in(ends.implode())
    jumps = jumps.with_columns(rule=pl.when(in_unit).then(pl.lit("unit_error")).otherwise("rule"))
    # A bad tick jumps twice, there and back, and counts once.
    back_only = (pl.col("rule") == "bad_tick") & pl.col("returns") & pl.col("back_row").is_null()
    restless = jumps.filter(pl.col("rule").is_in(["bad_tick", "unexplained_jump", "forgotten_split"]), ~back_only)
    by_symbol = restless.group_by("symbol").agg(
        pl.col("date").min().alias("first_day"),
        pl.col("date").max().alias("last_day"),
        pl.len().alias("rows"),
        (pl.col("row").cast(pl.Int64) - pl.col("row").cast(pl.Int64).shift(_MANY - 1)).min().alias("densest"),
    )
    erratic = by_symbol.filter(ERRATIC.broken.fill_null(False))
    certain = ~pl.col("symbol").is_in(erratic["symbol"].implode()) | (pl.col("rule") == "large_move")
    cause = pl.when(certain | pl.col("rule").is_null()).then("rule").otherwise(pl.lit("unexplained_jump"))
    return jumps.with_columns(rule=cause), erratic


def _is_broken(rule: Rule, symbols: pl.Series) -> pl.Expr:
    broken = rule.broken.fill_null(False)
    if rule.classes == ASSET_CLASS_NAMES:
        return broken
    others = [symbol for symbol in symbols.unique() if class_of(symbol) not in rule.classes]
    return broken & pl.col("symbol").is_in(others).not_() if others else broken


def wrong_stretches(jumps: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
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
        jumps = jumps.filter(~pl.col("returns") | pl.col("back_row").is_not_null())
        comes_back = pl.col("back_row").is_not_null()
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
