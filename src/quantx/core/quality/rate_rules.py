"""The rules of published rates, as declared data.

`YIELD_ROW_RULES` and `FX_ROW_RULES` check single rows, which go to quarantine where they break one: the columns are
those of the tables, `known_from` (of the reply) and `differs_in_filing`, whether the document has the day twice with
different values. `RATE_RULES` check stored rows against their neighbours and open findings: `step` is the change
against the published day before, at most ten days earlier (percentage points, or the logarithm of the ratio),
`missing` the number of expected days without rates.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quantx.core.quality.rule import Rule

_FIRST_DAY = date(1900, 1, 1)
_LAST_WORKDAY = 5
LOWEST_YIELD, HIGHEST_YIELD = -5.0, 25.0  # per cent
HIGHEST_RATE = 1e8  # units per euro: a lira of 2004 was 1.8 million
YIELD_STEP = 1.0  # percentage points from one day to the next
FX_STEP = 0.12  # of the logarithm
_BOTH = "rates,fx_rates"

_DAY_RULES = (
    Rule(
        "rate_day_possible",
        "reject",
        _BOTH,
        meaning="the date is missing, before 1900, a Saturday or a Sunday, or after the day of the reply",
        why="a rate of an impossible day becomes the newest one, and converts or discounts what it must not",
        reference="neither publisher issues rates on weekends; a year with a wrong digit lies in the future",
        broken=pl.col("date").is_null()
        | (
            (pl.col("date") < _FIRST_DAY)
            | (pl.col("date").dt.weekday() > _LAST_WORKDAY)
            | (pl.col("date") > pl.col("known_from").dt.date())
        ).fill_null(False),
    ),
    Rule(
        "rate_once_per_document",
        "reject",
        _BOTH,
        meaning="the document has the rate of the day more than once, with different values",
        why="which of the values holds is not known",
        reference="a document that was joined from two files",
        broken=pl.col("differs_in_filing"),
    ),
)

YIELD_ROW_RULES: tuple[Rule, ...] = (
    *_DAY_RULES,
    Rule(
        "yield_in_range",
        "reject",
        "rates",
        meaning=f"the yield is no number, or not between {LOWEST_YIELD:g} and {HIGHEST_YIELD:g} per cent",
        why="a yield with a lost decimal point makes every discount factor of the day senseless",
        reference="since 1962 the highest constant-maturity yield was 17 per cent (1981), the lowest of inputs is zero",
        broken=(pl.col("value").is_finite() & pl.col("value").is_between(LOWEST_YIELD, HIGHEST_YIELD))
        .fill_null(False)
        .not_(),
    ),
)

FX_ROW_RULES: tuple[Rule, ...] = (
    *_DAY_RULES,
    Rule(
        "fx_rate_in_range",
        "reject",
        "fx_rates",
        meaning=f"the exchange rate is no number, not positive, or {HIGHEST_RATE:g} or more",
        why="a rate of zero or below makes converted prices infinite or negative",
        reference="the highest published rate is that of the lira in 2004, 1.9 million per euro",
        broken=(pl.col("rate").is_finite() & (pl.col("rate") > 0) & (pl.col("rate") < HIGHEST_RATE))
        .fill_null(False)
        .not_(),
    ),
    Rule(
        "fx_currency_known",
        "reject",
        "fx_rates",
        meaning="the currency is no code of three letters, or the base itself",
        why="a rate under a wrong name converts prices of another currency",
        reference="ISO 4217",
        broken=(pl.col("quote").str.contains(r"^[A-Z]{3}$") & (pl.col("quote") != pl.col("base")))
        .fill_null(False)
        .not_(),
    ),
)

YIELD_JUMP = Rule(
    "yield_jump",
    "warn",
    "rates",
    meaning=f"the yield changes by more than {YIELD_STEP:g} percentage point from one published day to the next",
    why="a typing error moves every return of bonds and every discounted value of the day",
    reference="bills moved by 0.7 points on 2008-09-17; a larger step is rare: compare it with the publisher's page",
    broken=(pl.col("step").abs() > YIELD_STEP).fill_null(False),
)
FX_JUMP = Rule(
    "fx_rate_jump",
    "warn",
    "fx_rates",
    meaning="the exchange rate changes by more than 12 per cent from one published day to the next",
    why="a rate with two digits exchanged moves every converted price of the day",
    reference="the franc's step of 2015-01-15 was 15 per cent, the rouble's of March 2022 more; such days are few",
    broken=(pl.col("step").abs() > FX_STEP).fill_null(False),
)
RATE_GAP = Rule(
    "rate_day_missing",
    "warn",
    _BOTH,
    meaning="the publisher's calendar has days without rates between days with rates",
    why="a query then shows the rate of an earlier day, or none",
    reference="the calendars of TARGET and of American government bonds: core/rate_series.py",
    broken=pl.col("missing") > 0,
)
RATE_RULES: tuple[Rule, ...] = (YIELD_JUMP, FX_JUMP, RATE_GAP)
