"""The causes of differences between two vendors, as rules: a cause explains a stretch of rows at once.

A new cause is one entry. The rules use the columns of `vendor_comparison.Comparison.odd` and those that `_features`
adds. The first broken rule is the cause of a row.
"""

from __future__ import annotations

import polars as pl

from quantx.core.calendars import Calendar
from quantx.core.prices import PRICES
from quantx.core.quality.rule import Rule
from quantx.core.quality.vendor_comparison import LOTS, OTHER, about

STRAY = "session_of_calendar"  # the row rule that a bar on a day without a session breaks
LACKS = "vendor_lacks_sessions"
DROPPED = "rows_dropped"
_STRETCH = 5  # sessions in a row with one ratio: not an error of a single day
_RUN = 4  # sessions in a row with the bar of another day
_SAME_RATIO = 0.003
_OF_SPLIT = 0.0005
_SPLITS = (1.05, 1.1, 1.2, 1.25, 4 / 3, 1.5, 2.5, *range(2, 51))  # also products of two splits: 28 is 7 times 4
_BARS = "bars_1d"

VENDOR_RULES = (
    Rule(
        LACKS,
        "warn",
        _BARS,
        meaning="a vendor has no bar of a session on which another one has trades",
        why="a return over a gap is the return of two days, and a signal of the day between is lost",
        reference="Quandl WIKI misses 2017-08-07 for AAPL, ADBE, AMZN, CELG and INTC, 2017-11-06 for ABT, 2018-02-14"
        " for MA",
        broken=pl.col("lacks").is_not_null(),
    ),
    Rule(
        "vendor_currency",
        "warn",
        _BARS,
        meaning="two vendors give the prices of a listing in different currencies",
        why="prices in another currency, or of another listing, are not the prices of this one",
        reference="dual listings: a vendor answers with the line in dollars",
        broken=pl.col("differs_currency"),
    ),
    Rule(
        "vendor_hundredfold",
        "warn",
        _BARS,
        meaning="a vendor's prices are a hundred times the other's",
        why="pence taken for pounds make a return of 9,900 %, and a portfolio of one share",
        reference="Yahoo, London and Johannesburg: yfinance's `100x-error` and `bad-unit` series",
        broken=pl.col("differs_close") & about(pl.col("ratio"), 100, 0.02),
    ),
    Rule(
        "vendor_shifted",
        "warn",
        _BARS,
        meaning="a vendor's bars are dated a session earlier or later than the other's",
        why="bars with the date of the session before give a backtest look-ahead",
        reference=f"{_RUN} sessions in a row whose bars are the other vendor's of the session before or after",
        broken=pl.col("shifted"),
    ),
    Rule(
        "vendor_split",
        "warn",
        _BARS,
        meaning="a vendor's prices are not in the shares of the day: they differ by the factor of a split",
        why="a split that one vendor left out, or applied twice, halves every price before it",
        reference=f"one ratio over {_STRETCH} sessions or more, as of a usual split; GOOGL 2014-04-03 at Quandl and"
        " Yahoo",
        broken=pl.col("differs_close")
        & (pl.col("stretch") >= _STRETCH)
        & pl.any_horizontal(about(pl.col("stretch_ratio"), ratio, _OF_SPLIT) for ratio in _SPLITS),
    ),
    Rule(
        "vendor_scale",
        "warn",
        _BARS,
        meaning="a vendor's prices are a constant multiple of the other's",
        why="one of them is adjusted for something: a spin-off taken for a split, a dividend, another unit",
        reference=f"one ratio over {_STRETCH} sessions or more: PFE and T at Yahoo, divided for spin-offs (1.054,"
        " 1.324)",
        broken=pl.col("differs_close") & (pl.col("stretch") >= _STRETCH),
    ),
    Rule(
        "vendor_lots",
        "warn",
        _BARS,
        meaning="a vendor counts lots of a hundred shares",
        why="a volume in lots of a hundred makes a liquid share look untradable",
        reference=f"volumes of a hundredth over {_STRETCH} sessions or more, at the same prices",
        broken=pl.col("differs_volume")
        & ~pl.any_horizontal(f"differs_{field}" for field in PRICES)
        & (pl.col("volume_stretch") >= _STRETCH),
    ),
    Rule(
        "vendors_disagree",
        "warn",
        _BARS,
        meaning="the closes of two vendors differ by more than 0.1 % and a tick",
        why="one of the two is wrong, and queries show an unchecked price",
        reference="Yahoo and Quandl WIKI: 0.27 % of 84,272 closes; INTC and XOM 2003-01-29, 3.8 and 3.5 %",
        broken=pl.col("differs_close"),
    ),
    Rule(
        "vendors_differ",
        "info",
        _BARS,
        meaning="opens differ by more than 1 %, highs or lows by 0.3 %, or volumes by a tenth to a half, by market",
        why="strategies that trade at the open or at a limit would have traded at another price",
        reference="Yahoo and Quandl WIKI: 0.8 % of 84,272 opens, 0.2 % of highs and lows, 0.3 % of volumes",
        broken=pl.lit(True),
    ),
)

DROPPED_RULES = (
    Rule(
        DROPPED,
        "warn",
        "bars_1d,bars_1d_adjusted",
        meaning="a vendor's reply misses sessions that it had before",
        why="a vendor that loses old rows must not remove ours; rows that it withdrew for a reason need a check",
        reference="an error from 21 sessions or 5 % of its earlier rows of the window; milder where no other vendor"
        " has them",
        broken=pl.lit(False),  # checked when a reply is curated: pipeline/curating/withdrawn_bars.py
    ),
)


def add_causes(odd: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Add `rule` to each row of `odd`: the cause of the discrepancy."""
    causes = [pl.when(rule.broken).then(pl.lit(rule.id)) for rule in VENDOR_RULES]
    rule = pl.when(pl.col("stray").is_not_null()).then(pl.lit(STRAY)).otherwise(pl.coalesce(causes))
    return _features(odd, calendar).select(*odd.columns, rule.alias("rule"))


def _features(odd: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Add the ratios of closes and of volumes, the sessions in a row with each ratio, and whether bars are shifted."""
    ordinals = pl.DataFrame({"date": calendar.days}, schema={"date": pl.Date}).with_row_index("ordinal")
    rows = odd.join(ordinals, on="date", how="left", maintain_order="left").with_columns(
        (pl.col("close") / pl.col("close" + OTHER)).alias("ratio"),
        (pl.col("volume") / pl.col("volume" + OTHER)).alias("volume_ratio"),
        ((pl.col("symbol") == pl.col("symbol").shift()) & (pl.col("ordinal").cast(pl.Int64).diff() == 1))
        .fill_null(False)
        .alias("follows"),
    )
    lots = about(pl.col("volume_ratio"), 100, LOTS) & (
        (pl.col("volume_ratio") > 1) == (pl.col("volume_ratio") > 1).shift()
    )
    return (
        rows.with_columns(
            _run(pl.col("follows") & _same(pl.col("ratio"))).alias("stretch"),
            _run(pl.col("follows") & lots).alias("volume_stretch"),
            _run(pl.col("follows")).alias("run"),
        )
        .with_columns(
            pl.len().over("stretch").alias("stretch"),
            pl.col("ratio").median().over("stretch").alias("stretch_ratio"),
            pl.when(about(pl.col("volume_ratio"), 100, LOTS))
            .then(pl.len().over("volume_stretch"))
            .otherwise(0)
            .alias("volume_stretch"),
            pl.max_horizontal(_moved(1).mean().over("run"), _moved(-1).mean().over("run")).alias("moved"),
            pl.len().over("run").alias("run"),
        )
        .with_columns((pl.col("differs_close") & (pl.col("run") >= _RUN) & (pl.col("moved") > 0.6)).alias("shifted"))
    )


def _same(ratio: pl.Expr) -> pl.Expr:
    return ((ratio / ratio.shift() - 1).abs() <= _SAME_RATIO).fill_null(False)


def _run(goes_on: pl.Expr) -> pl.Expr:
    """Number the runs of consecutive rows."""
    return (~goes_on.fill_null(False)).cum_sum()


def _moved(by: int) -> pl.Expr:
    """Return whether a bar is the other vendor's bar of the session before (1) or after (-1), itself an odd row."""
    beside = pl.col("follows") if by > 0 else pl.col("follows").shift(-1, fill_value=False)
    same = [(pl.col(f) / pl.col(f + OTHER).shift(by) - 1).abs() <= 1e-4 for f in ("open", "close")]
    return (beside & pl.all_horizontal(same)).fill_null(False)
