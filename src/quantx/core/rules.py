"""The hard rules that a daily bar must obey before it is curated; a row that breaks one goes to quarantine.

Each rule is a vectorised expression; its name is the id that quarantine shows and `RULES` says in words what it means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dataframely as dy
import polars as pl

from quantx.core.prices import PRICES

# Above this a volume is not exact as a 64-bit float; no security ever traded a millionth of it in a day.
_MOST_VOLUME = 2**53
# Prices that were multiplied by one factor keep their order up to a rounding of the last bit.
_ROUNDING = 1e-9

RULES = {
    "prices_present": "open, high, low and close are there and finite",
    "prices_positive": "prices are above zero",
    "high_is_highest": "high is at least open, close and low",
    "low_is_lowest": "low is at most open, close and high",
    "volume_valid": "volume is there, finite, not negative and below 2^53",
    "session_of_calendar": "the exchange traded on that date",
    "not_in_future": "the session lies before the moment of the reply",
    "one_row_per_session": "the payload has one row for the session (the last is kept: an earlier one is of the running session)",
    "payload_readable": "the reply is in the vendor's form and about the symbol that was asked for",
}


class BarRules(dy.Schema):
    """Row rules of any bar. `in_calendar` and `in_past` are facts found by the caller."""

    open = dy.Float64(nullable=True)
    high = dy.Float64(nullable=True)
    low = dy.Float64(nullable=True)
    close = dy.Float64(nullable=True)
    volume = dy.Float64(nullable=True)
    in_calendar = dy.Bool()
    in_past = dy.Bool()
    row = dy.UInt32()

    @dy.rule()
    def prices_present(cls) -> pl.Expr:
        return pl.all_horizontal(pl.col(c).is_not_null() & pl.col(c).is_finite().fill_null(False) for c in PRICES)

    @dy.rule()
    def prices_positive(cls) -> pl.Expr:
        return pl.all_horizontal(pl.col(c).fill_nan(None).fill_null(1.0) > 0 for c in PRICES)

    @dy.rule()
    def high_is_highest(cls) -> pl.Expr:
        high = pl.col("high").fill_nan(None)
        return high + high.abs() * _ROUNDING >= pl.max_horizontal(pl.col("open", "close", "low").fill_nan(None))

    @dy.rule()
    def low_is_lowest(cls) -> pl.Expr:
        low = pl.col("low").fill_nan(None)
        return low - low.abs() * _ROUNDING <= pl.min_horizontal(pl.col("open", "close", "high").fill_nan(None))

    @dy.rule()
    def volume_valid(cls) -> pl.Expr:
        return pl.col("volume").fill_nan(None).is_between(0, _MOST_VOLUME, closed="left").fill_null(False)

    @dy.rule()
    def session_of_calendar(cls) -> pl.Expr:
        return pl.col("in_calendar")

    @dy.rule()
    def not_in_future(cls) -> pl.Expr:
        return pl.col("in_past")


class DailyBarRules(BarRules):
    """Row rules of daily bars. `last_of_session` is found by the caller as well."""

    last_of_session = dy.Bool()

    @dy.rule()
    def one_row_per_session(cls) -> pl.Expr:
        return pl.col("last_of_session")


@dataclass(frozen=True)
class Checked:
    """Bars that obey every rule, and those that do not with the ids of the rules they break in `rules`."""

    accepted: pl.DataFrame
    rejected: pl.DataFrame


def check_daily_bars(bars: pl.DataFrame) -> Checked:
    """Split `bars` by the rules; both parts keep all columns and the order of the rows."""
    return split_by_rules(bars, DailyBarRules, [r for r in RULES if r != "payload_readable"])


def split_by_rules(bars: pl.DataFrame, schema: type[BarRules], rules: Sequence[str]) -> Checked:
    """Split `bars` by the rules of `schema`, which are named in the order of `rules`."""
    numbered = bars.select([c for c in schema.columns() if c != "row"]).with_row_index("row")
    failure = schema.filter(numbered.select(*schema.columns())).failure
    if not len(failure):
        return Checked(bars, bars.clear().with_columns(pl.lit("").alias("rules")))
    broken = failure.details().select(
        "row",
        pl.concat_str(
            [pl.when(pl.col(r) == "invalid").then(pl.lit(r)) for r in rules], separator=",", ignore_nulls=True
        ).alias("rules"),
    )
    places = broken["row"]
    accepted = pl.Series(values=[True], dtype=pl.Boolean).new_from_index(0, bars.height).scatter(places, False)
    order = places.arg_sort()
    return Checked(
        bars.filter(accepted),
        bars[places.gather(order)].with_columns(broken["rules"].gather(order)),
    )
