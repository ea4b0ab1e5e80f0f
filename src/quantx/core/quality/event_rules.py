"""The rules of single splits and dividends; an event that breaks one goes to quarantine, and moves no price.

They use `asset_class` and the columns of VENDOR_EVENTS: `kind`, `ex_date` (null where the reply has no date), and
`value` (null where the reply has no number, infinite or NaN where a ratio can't be computed).
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quantx.core.asset_classes import WITHOUT_ACTIONS
from quantx.core.quality.rule import Rule

_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(2100, 1, 1)
_VALUE = pl.col("value")
_POSSIBLE_DAY = pl.col("ex_date").is_between(_FIRST_DAY, _LAST_DAY).fill_null(False)

EVENT_RULES: tuple[Rule, ...] = (
    Rule(
        "event_readable",
        "reject",
        "actions",
        meaning="the amount, a number of the ratio or the currency is missing or has another form",
        why="a guessed amount moves all earlier prices; the event is left out until the vendor corrects it",
        reference="Alpha Vantage writes None in place of an amount; empty amounts in CSV exports",
        broken=_VALUE.is_null(),
    ),
    Rule(
        "event_date_possible",
        "reject",
        "actions",
        meaning="the ex-date is missing, is not a date, or is no day of a market",
        why="an event without its day can't be applied to prices",
        reference="FMP sends dividends of the day 0000-00-00",
        broken=_POSSIBLE_DAY.not_(),
    ),
    Rule(
        "split_ratio_possible",
        "reject",
        "actions",
        meaning="the ratio of new to old shares is not a positive, finite number",
        why="no share can be divided by zero, and all earlier prices would become zero or infinite",
        reference="Yahoo sends splits of the ratio 1:0",
        broken=(pl.col("kind") == "split") & ((_VALUE <= 0) | _VALUE.is_finite().not_()).fill_null(False),
    ),
    Rule(
        "dividend_amount_possible",
        "reject",
        "actions",
        meaning="the amount is negative or not finite",
        why="a negative dividend raises all earlier adjusted prices; vendors send it to correct one of another day",
        reference="a dividend is cash per share, zero or more",
        broken=(pl.col("kind") != "split") & ((_VALUE < 0) | _VALUE.is_finite().not_()).fill_null(False),
    ),
    Rule(
        "class_has_actions",
        "reject",
        "actions",
        meaning="a split or a dividend of an index, a rate, a currency pair, a crypto currency or a future",
        why="these have none, so that the event belongs to another security, and would move all earlier prices",
        reference="the table of asset classes",
        broken=pl.col("asset_class").is_in(WITHOUT_ACTIONS),
    ),
)


def breaks_event_rule(rules: str) -> bool:
    """Return whether one of these comma-separated rules is about a single event."""
    return not {rule.id for rule in EVENT_RULES}.isdisjoint(rules.split(","))
