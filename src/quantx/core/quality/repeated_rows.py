"""Find rows that a reply or a file has twice: one of them is kept."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.prices import PRICES
from quantx.core.quality.rule import Rule

REPEATED = "row_repeated"

REPEAT_RULES = (
    Rule(
        REPEATED,
        "warn",
        "bars_1d,bars_1d_adjusted,bars_1m",
        meaning="a reply or a file has a session or a minute twice, with the same prices and volume",
        why="one of the two is kept, so that no volume counts twice; a job that writes rows twice may also write them"
        " wrongly",
        reference="a download job that appends to its file; Tokyo: five dates, 09:00 and 15:30; pages that overlap",
        broken=pl.col("copies") > 0,
    ),
)
_VALUES = (*PRICES, "volume")


def without_repeats(bars: pl.DataFrame, key: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the bars with one row of each set of equal values per `key`, and the repeated rows.

    The last of equal rows is kept. The second frame has `key` and `copies`: the number of the other ones.
    """
    kept = bars.unique([*key, *_VALUES], keep="last", maintain_order=True)
    if kept.height == bars.height:
        return bars, bars.clear().select(*key, pl.lit(0, pl.UInt32).alias("copies"))
    counts = bars.group_by([*key, *_VALUES], maintain_order=True).agg((pl.len() - 1).alias("copies"))
    repeated = counts.filter(REPEAT_RULES[0].broken)
    return kept, repeated.group_by(key, maintain_order=True).agg(pl.col("copies").sum())
