"""The hard rules that a minute bar must obey before it is curated; a row that breaks one goes to quarantine."""

from __future__ import annotations

import dataframely as dy
import polars as pl

from quantx.core.rules import RULES, BarRules, Checked, split_by_rules

MINUTE_RULES = {
    **{r: RULES[r] for r in ("prices_present", "prices_positive", "high_is_highest", "low_is_lowest", "volume_valid")},
    "session_of_calendar": RULES["session_of_calendar"],
    "not_in_future": "the session (of a minute: its start) lies before the moment of the reply",
    "on_the_minute": "the stamp of a minute is its start, without seconds",
    "within_hours": (
        "the minute lies in its session's hours: New York 04:00 to 20:00, elsewhere from the opening to 15 minutes after"
        " the close, and not in the lunch break"
    ),
    "one_row_per_minute": "the payload has one row for the minute (the last one with prices is kept)",
}


class MinuteBarRules(BarRules):
    """Row rules of minute bars. The booleans are found by the caller as well."""

    aligned = dy.Bool()
    in_hours = dy.Bool()
    last_of_minute = dy.Bool()

    @dy.rule()
    def on_the_minute(cls) -> pl.Expr:
        return pl.col("aligned")

    @dy.rule()
    def within_hours(cls) -> pl.Expr:
        return pl.col("in_hours")

    @dy.rule()
    def one_row_per_minute(cls) -> pl.Expr:
        return pl.col("last_of_minute")


def check_minute_bars(bars: pl.DataFrame) -> Checked:
    """Split `bars` by the rules; both parts keep all columns and the order of the rows."""
    return split_by_rules(bars, MinuteBarRules, list(MINUTE_RULES))
