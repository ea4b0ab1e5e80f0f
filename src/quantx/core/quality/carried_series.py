"""Which verdicts on a series stay as they were when bars follow, so that its history need not be read again. Pure.

The series rules compare a bar with what is usual in its whole series. But quiet bars at the end change no earlier
verdict: a jump, a spike or a burst of volume is judged by bars at most `ZONE` away, and only these change what is usual
in a series. What changes with the number of bars alone is known at each judgement: `next_judgement`. Only the lag rules
judge quiet bars: a year of them at a time, which `years_at_end` judges again.
"""

from __future__ import annotations

import polars as pl

from quantx.core.quality.frequency import is_rare
from quantx.core.quality.market_moves import BLOCK, lagged
from quantx.core.quality.notable_bars import JUMP, LARGE, MANY, OFTEN, why_notable
from quantx.core.quality.series_rules import BAR_RULES, LAG_RULES, VIOLATIONS, as_violations

ZONE = 60  # bars at the end: no window of a rule reaches further
_RARE = 3  # intervals of a week or more that are holidays: a stretch of rarer bars has more of them in eleven
_NEVER = 2**31 - 1


def next_judgement(bars: pl.DataFrame, violations: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, bars, last (day) and `again_at`: the number of bars from which the whole series is judged again.

    `bars` are those of `series_features`, whole series, and `violations` theirs. Where small steps, bursts or spikes
    are so frequent that they are usual, more bars make them unusual. Two large jumps may be one stretch once the series
    is long enough, and of two units the one with more bars is right.
    """
    small = pl.col("stepped") & (pl.col("step").abs() < JUMP)
    often = {"small": small, "bursts": pl.col("burst"), "spikes": pl.col("spiked")}
    series = (
        bars.with_columns(**why_notable())
        .group_by("symbol", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("bars"),
            pl.col("date").last().alias("last"),
            (pl.col("step").abs() >= LARGE).sum().alias("large"),
            *(flag.sum().cast(pl.Int64).alias(name) for name, flag in often.items()),
        )
    )
    usual_until = [
        pl.when((pl.col(name) > MANY) & (pl.col(name) > OFTEN * pl.col("bars")))
        .then((pl.col(name) / OFTEN).floor().cast(pl.Int64))
        .otherwise(_NEVER)
        for name in often
    ]
    in_units = violations.filter(pl.col("rule") == "unit_error")["symbol"].unique()
    depends = (pl.col("large") > 1) | pl.col("symbol").is_in(in_units.implode())
    at = pl.when(depends).then(0).otherwise(pl.min_horizontal(usual_until))
    return series.select("symbol", "bars", "last", again_at=at.cast(pl.Int64))


def quiet_ends(bars: pl.DataFrame) -> pl.Series:
    """Return the symbols whose last `ZONE` bars change no earlier verdict; `bars` are those of `series_features`."""
    place = pl.len().over("symbol") - pl.int_range(pl.len()).over("symbol")  # from the end, which is 1
    ends = bars.with_columns(**why_notable(), place=place).filter(pl.col("place") <= ZONE)
    loud = pl.any_horizontal(
        *(pl.col(name).fill_null(False) for name in ("stepped", "burst", "spiked", "idle")),
        *(rule.broken.fill_null(False) for rule in BAR_RULES),
        (pl.col("high") == pl.col("low")) & (pl.col("open") == pl.col("close")),
        (pl.col("missed") > 0).fill_null(True),
    )
    counted = ends.group_by("symbol").agg(loud=loud.any(), bars=pl.len(), rare=is_rare(pl.col("date")).sum())
    return counted.filter(~pl.col("loud"), pl.col("bars") == ZONE, pl.col("rare") <= _RARE)["symbol"]


def years_at_end(
    bars: pl.DataFrame, market: pl.DataFrame | None, before: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Judge the last years of series by the lag rules; return symbol and `since`, and the VIOLATIONS from there on.

    `bars` are those of `series_features`; `before` (symbol, before) has the numbers of bars before them. `since` is the
    first day of a symbol's first year that lies whole in `bars`; it has none where no year does.
    """
    placed = bars.select("symbol", "date", place=pl.int_range(pl.len(), dtype=pl.Int64).over("symbol")).join(
        before, on="symbol", how="left", maintain_order="left"
    )
    # The first of these bars has no step here, so that its year is whole only where the series begins with it.
    first = pl.when(pl.col("before") > 0).then(pl.col("before") // BLOCK + 1).otherwise(0)
    since = placed.filter(pl.col("place") == first * BLOCK - pl.col("before"))
    since = since.select("symbol", since="date", first=first)
    years = lagged(bars, market, placed["before"]).join(since, on="symbol").filter(pl.col("block") >= pl.col("first"))
    broken = [as_violations(years.filter(rule.broken), rule) for rule in LAG_RULES]
    return since.drop("first"), pl.concat([pl.DataFrame(schema=VIOLATIONS), *broken])
