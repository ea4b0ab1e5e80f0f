"""Notable bars: those with a jump, a spike or an unusual volume, with what is usual around them.

What is usual is a median over the traded sessions of a window: one huge jump does not move it. A few comparisons over
whole columns find the notable bars, so that windows are computed for few.
"""

from __future__ import annotations

import math

import polars as pl

from quantx.core.quality.calendar_days import calendars_of

STEP = math.log(1.14)  # a smaller step is never notable
JUMP = math.log(1.25)  # a smaller step is an error or a split only together with a larger one
_SPIKE = 1.2  # a high or low that is nearer to open and close is never notable
_BURST = 10  # times the volume of the bar before, or a part of it
_BEFORE, _AFTER = 63, 21  # sessions of the windows: a quarter before, a month after
_LATELY = 10  # the last sessions before
BACK = 10  # a jump that comes back does so within this number of bars
# A larger jump may come back after any number of bars, if both are of one size.
LARGE, _ONE_SIZE = math.log(1.9), 0.06
# A series whose bars are notable so often, and at least so many times, has no usual step, spike or volume.
OFTEN, MANY = 0.05, 10
# In thin trading fewer than these sessions of a window, or than this share of them, have trades; or the volume changes
# by more than a factor of 2.5 from session to session.
_FEWEST, _TRADED, _RESTLESS = 10, 0.7, 0.9
# Tokyo limits a day's move to 15 to 30 % of most prices. A bar at the limit has news, but no range and no turnover.
_LIMITED = ("XTKS",)
_AT_ONCE = 20_000  # notable bars whose windows are computed at once: 1.7 million rows


def notable_bars(bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return the notable ones of `bars` (those of `series_features`); each part below documents the columns it adds.

    `stepped`, `burst` and `spiked` name why a bar is notable; `number` is that of its series, which has the rows
    `starts` to `ends`. `gap` is the logarithm of open over the close before, `range` that of high over low, `spike`
    that of the high over open and close, or of these over the low. `shares` is the volume in the shares of the first
    bar, `worth` is close × volume; `limited` tells that the market limits the moves of a day.
    """
    begins = ~bars["follows"].fill_null(False)
    firsts = begins.arg_true().cast(pl.Int64)
    lasts = firsts.shift(-1, fill_value=bars.height) - 1
    series = begins.cum_sum().cast(pl.Int64) - 1
    logs = bars.with_columns(
        series.alias("number"),
        level=pl.col("step").fill_null(0.0).cum_sum(),
        shares=_shares(bars, firsts, series),
    )
    notable = logs.with_columns(**why_notable()).filter(pl.any_horizontal("stepped", "burst", "spiked"))
    kept = ("row", "symbol", "date", "step", "market", "missed", "shares", "number", "level")
    notable = notable.select(
        *kept,
        *("stepped", "burst", "spiked"),
        gap=(_above_zero("open") / _above_zero("before") * pl.col("split")).log(),
        range=_range(),
        spike=pl.max_horizontal(_above(), _below()).log(),
        worth=pl.col("close") * pl.col("volume"),
        starts=firsts.gather(notable["number"]),
        ends=lasts.gather(notable["number"]),
        limited=_limited(notable["symbol"]),
    )
    notable = _without_the_usual(notable)
    parts = [_with_usual(part, logs) for part in notable.iter_slices(_AT_ONCE)] or [_with_usual(notable, logs)]
    return _with_own_splits(_with_returns(pl.concat(parts)), actions)


def why_notable() -> dict[str, pl.Expr]:
    """Return the three reasons for which one of the bars of `series_features` is notable, by name."""
    return {
        "stepped": (pl.col("step").abs() >= STEP).fill_null(False),
        "burst": _bursts(),
        "spiked": ((_above() > _SPIKE) | (_below() > _SPIKE)).fill_null(False),
    }


def _shares(bars: pl.DataFrame, firsts: pl.Series, series: pl.Series) -> pl.Series:
    """Return the volumes in the shares of each series' first bar."""
    if (bars["split"] == 1).all():
        return bars["volume"]
    since = bars["split"].log().cum_sum()
    return bars["volume"] / (since - since.gather(firsts).gather(series)).exp()


def _above() -> pl.Expr:
    return pl.col("high") / pl.when(pl.col("low") > 0).then(pl.max_horizontal("open", "close"))


def _below() -> pl.Expr:
    return pl.min_horizontal("open", "close") / _above_zero("low")


def _range() -> pl.Expr:
    return (pl.col("high") / _above_zero("low")).log()


def _above_zero(price: str) -> pl.Expr:
    """Return a price, null where it is zero or negative: a ratio to it is no return."""
    return pl.when(pl.col(price) > 0).then(pl.col(price))


def _limited(symbols: pl.Series) -> pl.Series:
    codes = calendars_of(symbols.unique()).filter(pl.col("calendar").is_in(_LIMITED))
    return symbols.is_in(codes["symbol"].implode())


def _bursts() -> pl.Expr:
    volume, before = pl.col("volume"), pl.col("volume").shift(1)
    changes = (volume > before * _BURST) | (volume * _BURST < before)
    return (changes & (before > 0) & (volume > 0) & pl.col("follows")).fill_null(False)


def _without_the_usual(notable: pl.DataFrame) -> pl.DataFrame:
    """Drop small steps, bursts and spikes of series in which they are usual."""
    bars = pl.col("ends").first() - pl.col("starts").first() + 1
    small = pl.col("stepped") & (pl.col("step").abs() < JUMP)
    why = {"stepped": small, "burst": pl.col("burst"), "spiked": pl.col("spiked")}
    usual = notable.group_by("number").agg(
        ((flag.sum() > MANY) & (flag.sum() > OFTEN * bars)).alias(f"usual_{name}") for name, flag in why.items()
    )
    marked = notable.join(usual, on="number", how="left", maintain_order="left").with_columns(
        pl.col(name) & ~(flag & pl.col(f"usual_{name}")) for name, flag in why.items()
    )
    return marked.filter(pl.any_horizontal(list(why))).drop(f"usual_{name}" for name in why)


def _with_usual(notable: pl.DataFrame, logs: pl.DataFrame) -> pl.DataFrame:
    """Add medians of the traded sessions around a bar.

    Before it: `usual_step`, `usual_range`, `usual_worth`, `usual_shares`, `last_worth` (of the last ten), `wobble` (the
    change of the volume from session to session) and their number, `seen`. After it: `next_range`, `next_shares` and
    their number, `seen_after`; `soon_shares` is the most of the next two sessions. `thin`: nothing is usual, because
    few sessions of the window traded, most at a single price, or their volumes have no level.
    """
    row = pl.col("row").cast(pl.Int64)
    before = _window(notable, logs, pl.max_horizontal(row - _BEFORE, "starts"), row).agg(
        usual_step=pl.col("step").abs().median(),
        usual_range=pl.col("range").median(),
        usual_worth=pl.col("worth").median(),
        usual_shares=pl.col("shares").median(),
        last_worth=pl.col("worth").tail(_LATELY).median(),
        wobble=pl.col("shares").log().diff().abs().median(),
        seen=pl.len(),
    )
    after = _window(notable, logs, row + 1, pl.min_horizontal(row + _AFTER, "ends") + 1).agg(
        next_range=pl.col("range").median(),
        next_shares=pl.col("shares").median(),
        soon_shares=pl.col("shares").head(2).max(),
        seen_after=pl.len(),
    )
    for window in (before, after):
        notable = notable.join(window, left_on="row", right_on="of", how="left", maintain_order="left")
    notable = notable.with_columns(pl.col("seen", "seen_after").fill_null(0))
    few = pl.col("seen") < pl.max_horizontal(_FEWEST, _TRADED * pl.min_horizontal(row - pl.col("starts"), _BEFORE))
    thin = few | (pl.col("usual_range") <= 0) | (pl.col("wobble") > _RESTLESS)
    return notable.with_columns(thin=thin.fill_null(True))


def _window(notable: pl.DataFrame, logs: pl.DataFrame, first: pl.Expr, end: pl.Expr) -> pl.dataframe.group_by.GroupBy:
    """Return the traded rows of a window for each notable bar (`of`), grouped by it: from `first`, before `end`."""
    around = notable.select(of="row", at=pl.int_ranges(first, end)).explode("at", empty_as_null=False)
    seen = logs.select("step", "volume", "shares", "idle", "high", "low", "close")[around["at"]]
    rows = pl.concat([around, seen], how="horizontal").filter(~pl.col("idle").fill_null(False))
    return rows.with_columns(range=_range(), worth=pl.col("close") * pl.col("volume")).group_by(
        "of", maintain_order=True
    )


def _with_returns(notable: pl.DataFrame) -> pl.DataFrame:
    """Add the jump that leads back to the level before (`back_row`, `back_rows` later), and its `returns`.

    It follows within a few bars. Or both are large and of one size, and the bars between are fewer than the others.
    """
    jumps = notable.filter(pl.col("step").abs() >= JUMP)
    size, row = pl.col("step").abs(), pl.col("row").cast(pl.Int64)
    before = pl.col("level") - pl.col("step")
    soon = []
    for n in (1, 2, 3):
        near = row.shift(-n) - row <= BACK
        whole = pl.col("step").shift(-n).abs() >= 0.7 * size
        level = (pl.col("level").shift(-n) - before).abs() <= 0.2 * size
        soon.append(pl.when(_opposite(n) & near & whole & level).then(row.shift(-n)))
    jumps = jumps.with_columns(back_row=pl.coalesce(soon)).with_columns(_returns())
    large = jumps.filter(pl.col("back_row").is_null(), ~pl.col("returns"), size >= LARGE)
    shorter = 2 * (row.shift(-1) - row) < pl.col("ends") - pl.col("starts") + 1
    one_size = (pl.col("step").shift(-1) + pl.col("step")).abs() <= _ONE_SIZE * size
    later = large.select("row", later=pl.when(_opposite(1) & shorter & one_size).then(row.shift(-1)))
    later = later.filter(~(pl.col("later").shift(1) == pl.col("row")).fill_null(False))
    jumps = jumps.join(later, on="row", how="left", maintain_order="left")
    jumps = jumps.with_columns(back_row=pl.coalesce("back_row", "later")).with_columns(_returns())
    found = jumps.select("row", "back_row", "returns", back_rows=pl.col("back_row") - row)
    return notable.join(found, on="row", how="left", maintain_order="left")


def _opposite(n: int) -> pl.Expr:
    """Return whether the nth jump after this one is of the same series and goes the other way."""
    return (pl.col("number").shift(-n) == pl.col("number")) & (pl.col("step").shift(-n) * pl.col("step") < 0)


def _returns() -> pl.Expr:
    return pl.col("row").cast(pl.Int64).is_in(pl.col("back_row").drop_nulls().implode()).alias("returns")


def _with_own_splits(jumps: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add `own_split`: the logarithm of a split of the symbol near that day that is as large as the jump."""
    splits = actions.filter(pl.col("kind") == "split", pl.col("value") > 0).select(
        "symbol", "ex_date", size=pl.col("value").log()
    )
    near = (
        jumps.filter(pl.col("step").abs() >= JUMP)
        .select("row", "symbol", "date", "step")
        .join(splits, on="symbol")
        .filter((pl.col("ex_date") - pl.col("date")).dt.total_days().abs() <= 45)
        .with_columns(off=(pl.col("step").abs() - pl.col("size").abs()).abs())
        .filter(pl.col("off") <= 0.1 * pl.col("size").abs())
        .sort("row", "off")
        .unique("row", keep="first")
        .select("row", own_split="size", split_on="ex_date")
    )
    return jumps.join(near, on="row", how="left", maintain_order="left")
