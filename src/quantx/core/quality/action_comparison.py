"""Compare two vendors' splits and dividends: events that only one has, and other ratios, amounts, units or dates."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from quantx.core.quality.rule import Rule
from quantx.core.quality.vendor_comparison import HUNDREDTHS, OTHER, about

EVENT = ["symbol", "ex_date", "kind"]
LACKS_EVENT, OTHER_DATE = "vendor_lacks_event", "vendor_event_date"
APART = timedelta(days=10)  # two ex-dates of one event are not further apart
# Vendors round amounts to three decimals or more, and divide them by later splits; amounts of foreign shares depend on
# an exchange rate.
_AMOUNT, _ROUNDING, _RATIO = 0.02, 0.001, 0.001
_HUNDREDFOLD = 0.05

_value, _other, _is_split = pl.col("value"), pl.col("value" + OTHER), pl.col("kind") == "split"

# The first broken rule is the cause of a difference. The columns are those of `compare_actions`.
EVENT_COMPARISON_RULES = (
    Rule(
        LACKS_EVENT,
        "warn",
        "actions",
        meaning="a vendor has no split or dividend of an ex-date on which another one has it",
        why="without a split or a special dividend, all adjusted prices before it are wrong by its factor",
        reference="Yahoo has splits missing for days (yfinance#906); special dividends are the ones that vendors miss",
        broken=_value.is_null() | _other.is_null(),
    ),
    Rule(
        OTHER_DATE,
        "warn",
        "actions",
        meaning="two vendors have the same split or dividend on different ex-dates",
        why="the return of the ex-date is wrong by the event, and so is that of the other day",
        reference=f"the same amount within {APART.days} days: a day of payment or of record in place of the ex-date",
        broken=pl.col("other_date").is_not_null(),
    ),
    Rule(
        "vendor_event_hundredfold",
        "warn",
        "actions",
        meaning="the dividends of two vendors are apart by a factor of a hundred",
        why="pence taken for pounds make a yield of 400 %, and adjusted prices near zero",
        reference="Yahoo, London: dividends in pounds among prices in pence (yfinance's `bad-div` series)",
        broken=~_is_split & about(_value / _other, 100, _HUNDREDFOLD),
    ),
    Rule(
        "vendor_events_disagree",
        "warn",
        "actions",
        meaning=f"the ratios of a split differ by more than {_RATIO:.1%}, or the amounts of a dividend by more than"
        f" {_AMOUNT:.0%} and a tenth of a cent",
        why="total returns differ by the difference at every ex-date; an amount booked twice doubles the yield",
        reference="Quandl WIKI BAC 2018-03-01: 0.12 twice; a vendor without a later split has all earlier amounts in"
        " other shares",
        broken=pl.lit(True),
    ),
)


def comparable_events(actions: pl.DataFrame) -> pl.DataFrame:
    """Return one vendor's events as symbol, ex_date, kind (split or dividend), value and currency.

    Amounts in hundredths (GBX) are in whole units. All distributions of a day are one dividend. Events without an
    effect (nothing paid, or one share for one) are left out.
    """
    hundredths, kind = pl.col("currency").is_in(list(HUNDREDTHS)), pl.when(_is_split).then("kind")
    rows = actions.with_columns(
        kind.otherwise(pl.lit("dividend")).alias("kind"),
        pl.when(hundredths & ~_is_split).then(_value / 100).otherwise(_value).alias("value"),
        pl.col("currency").replace(HUNDREDTHS),
    )
    events = rows.group_by(EVENT).agg(
        pl.when(_is_split.first()).then(_value.product()).otherwise(_value.sum()).alias("value"),
        pl.col("currency").first(),
    )
    return events.filter(_value != pl.when(_is_split).then(1.0).otherwise(0.0))


def compare_actions(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Return the events of two vendors in which they differ, with the cause of each in `rule`.

    Both frames are as of `comparable_events`. Columns: symbol, ex_date, kind, value and value_b (null where the vendor
    does not have the event), other_date (the second vendor's ex-date, where it is another) and rule. Amounts in
    different currencies are not compared.
    """
    joined = a.join(b, on=EVENT, how="full", coalesce=True, suffix=OTHER)
    alone = _value.is_null() | _other.is_null()
    in_currency = (pl.col("currency") == pl.col("currency" + OTHER)).fill_null(True)
    differ = joined.filter(~alone, ~same_value(_value, _other), in_currency | _is_split)
    singles = joined.filter(alone).select(*EVENT, "value", "value" + OTHER)
    moved = _moved(singles)
    first = singles.join(moved, on=EVENT, how="anti")
    lone = first.join(moved, left_on=EVENT, right_on=["symbol", "other_date", "kind"], how="anti")
    no_date = pl.lit(None, pl.Date).alias("other_date")
    columns = [*EVENT, "value", "value" + OTHER, "other_date"]
    rows = pl.concat([moved.select(columns), *(f.with_columns(no_date).select(columns) for f in (differ, lone))])
    causes = [pl.when(rule.broken).then(pl.lit(rule.id)) for rule in EVENT_COMPARISON_RULES]
    return rows.with_columns(pl.coalesce(causes).alias("rule")).sort(EVENT)


def same_value(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Return whether two ratios, or two amounts, are the same within the vendors' rounding; null without one."""
    gap, least = (one - other).abs(), pl.min_horizontal(one, other)
    return pl.when(_is_split).then(gap <= _RATIO * least).otherwise((gap <= _AMOUNT * least) | (gap <= _ROUNDING))


def _moved(singles: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs of single events that are one event with two ex-dates, the nearest ones first."""
    left = singles.filter(_value.is_not_null()).drop("value" + OTHER)
    right = singles.filter(_other.is_not_null()).drop("value").rename({"ex_date": "other_date"})
    days = (pl.col("ex_date") - pl.col("other_date")).abs()
    pairs = left.join(right, on=["symbol", "kind"]).filter(days <= APART, same_value(_value, _other))
    pairs = pairs.sort(*EVENT, days).unique(EVENT, keep="first", maintain_order=True)
    return pairs.unique(["symbol", "kind", "other_date"], keep="first", maintain_order=True)
