"""The row rules of minute bars; a row that breaks one goes to quarantine before it is curated.

They use the columns of the daily row rules, and `aligned`, `in_hours` and `last_of_minute`, which the caller adds.
"""

from __future__ import annotations

import polars as pl

from quantx.core.quality.daily_rules import ROW_RULES
from quantx.core.quality.rule import Rule

MINUTE_RULES = (
    *ROW_RULES,
    Rule(
        "on_the_minute",
        "reject",
        "bars_1m",
        meaning="the stamp is not the start of a minute: it has seconds",
        why="a stamp with seconds is a quote of the current minute, not a bar",
        reference="Yahoo's last row of a running session",
        broken=pl.col("aligned").not_(),
    ),
    Rule(
        "within_hours",
        "reject",
        "bars_1m",
        meaning="the minute is outside of its session's hours: New York 04:00 to 20:00, elsewhere from the opening to"
        " 15 minutes after the close, without the lunch break",
        why="prints outside of the hours are corrections or stamps of another time zone; no order could trade at them",
        reference="exchange_calendars; QuantConnect GOOG 2015-12-24, a half day with prints until 16:11",
        broken=pl.col("in_hours").not_(),
    ),
    Rule(
        "one_row_per_minute",
        "reject",
        "bars_1m",
        meaning="an earlier one of two rows for the minute (the last one with prices is kept)",
        why="a minute that counts twice doubles its volume",
        reference="pages of a reply that overlap",
        broken=pl.col("last_of_minute").not_(),
    ),
)
