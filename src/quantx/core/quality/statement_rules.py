"""The rules of standard concepts, facts and filings against their neighbours: they remove no row and open findings.

`STATEMENT_RULES` use a row per symbol, period and end with a column per concept (null where none is reported).
`VALUE_RULES` use the rows of `fundamentals` in force, with `usual`, the median of the two values before and the two
after, `positive`, whether a negative value is suspicious by the map of concepts, and `days_after`, the days since the
end of the period before. `REVISION_RULES` use the rows of `fundamentals_facts`, `FILING_RULES` those of `filings`.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quantx.core.fundamentals.concept_map import ConceptMap, parse_formula
from quantx.core.fundamentals.revisions import SCALE, SIGN
from quantx.core.quality.rule import Rule

LATEST_FILING = 90  # days after the end of the period
_TOLERANCE = 0.01
_FUNDAMENTALS = "fundamentals"


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A total that is the sum of its parts; a part with a question mark is zero where it is not reported."""

    rule: str
    total: str
    sum: str

    @property
    def concepts(self) -> tuple[str, ...]:
        """Return the concepts that are compared."""
        return (self.total, *(part.concept for part in parse_formula(self.sum)))

    @property
    def right(self) -> pl.Expr:
        """Return the sum; null where a necessary part is."""
        parts = [
            (pl.col(part.concept).fill_null(0.0) if part.optional else pl.col(part.concept)) * part.sign
            for part in parse_formula(self.sum)
        ]
        return pl.sum_horizontal(parts, ignore_nulls=False)

    @property
    def broken(self) -> pl.Expr:
        """Return whether the two sides differ by more than the tolerance."""
        return (pl.col(self.total) - self.right).abs() > pl.col(self.total).abs() * _TOLERANCE


BALANCE = Identity(rule="balance_sheet_balances", total="assets", sum="liabilities + equity_total + temporary_equity?")
BALANCE_TOTAL = Identity(rule="balance_sheet_total", total="assets", sum="liabilities_and_equity")
ASSETS = Identity(rule="assets_add_up", total="assets", sum="current_assets + noncurrent_assets")
LIABILITIES = Identity(
    rule="liabilities_add_up", total="liabilities", sum="current_liabilities + noncurrent_liabilities"
)
IDENTITIES = (BALANCE, BALANCE_TOTAL, ASSETS, LIABILITIES)

STATEMENT_RULES: tuple[Rule, ...] = (
    Rule(
        BALANCE.rule,
        "warn",
        _FUNDAMENTALS,
        meaning="assets differ by more than 1 % from liabilities, equity (with minorities) and temporary equity",
        why="one of the items belongs to another day, another unit or another company, and every ratio of it is wrong",
        reference="the balance sheet identity; Regulation S-X, 5-02",
        broken=BALANCE.broken,
    ),
    Rule(
        BALANCE_TOTAL.rule,
        "warn",
        _FUNDAMENTALS,
        meaning="assets differ by more than 1 % from the total of liabilities and equity",
        why="both are the same total: one of them was tagged with a wrong scale or day",
        reference="the balance sheet identity; Regulation S-X, 5-02",
        broken=BALANCE_TOTAL.broken,
    ),
    Rule(
        ASSETS.rule,
        "warn",
        _FUNDAMENTALS,
        meaning="assets differ by more than 1 % from current and non-current assets",
        why="a part is missing or counts twice, so that working capital and current ratio are wrong",
        reference="IAS 1.60; Regulation S-X, 5-02",
        broken=ASSETS.broken,
    ),
    Rule(
        LIABILITIES.rule,
        "warn",
        _FUNDAMENTALS,
        meaning="liabilities differ by more than 1 % from current and non-current liabilities",
        why="a part is missing or counts twice, so that leverage is wrong",
        reference="IAS 1.60; Regulation S-X, 5-02",
        broken=LIABILITIES.broken,
    ),
)

# A factor of a thousand or a million, with the change that a value of a small company can have.
_STEPS = (3.0, 6.0)
_NEAR = 0.3
_SAME_PERIOD = 20  # days; the ends of quarters are 75 days apart at least
_log = (pl.col("value").abs() / pl.col("usual").abs()).log10().abs()

VALUE_RULES: tuple[Rule, ...] = (
    Rule(
        "value_scale_break",
        "warn",
        _FUNDAMENTALS,
        meaning="the value is about a thousand or a million times those of the periods around it, or such a fraction",
        why="a value in thousands among values in dollars makes growth and ratios senseless",
        reference="NVDA, diluted shares of 2009: 546,639 after 546,639,000; edgartools#796",
        broken=pl.any_horizontal((_log - step).abs() <= _NEAR for step in _STEPS).fill_null(False),
    ),
    Rule(
        "value_sign",
        "warn",
        _FUNDAMENTALS,
        meaning="the value is negative, which this concept can't or can hardly be",
        why="a payment or a stock with the wrong sign turns yields and leverage around",
        reference="`sign` of the concept in config/concepts.yaml",
        broken=(pl.col("positive") & (pl.col("value") < 0)).fill_null(False),
    ),
    Rule(
        "value_period_twice",
        "warn",
        _FUNDAMENTALS,
        meaning=f"another period of the same kind ends at most {_SAME_PERIOD} days before",
        why="both are one period, so that growth is about nil, and the newest value may be the one with the wrong day",
        reference="contexts with the last day of the month beside those with the last day of a 52 or 53-week year",
        broken=(pl.col("days_after") <= _SAME_PERIOD).fill_null(False),
    ),
)

REVISION_RULES: tuple[Rule, ...] = (
    Rule(
        "fact_scale_slip",
        "info",
        "fundamentals_facts",
        meaning="a later filing repeats the value times a power of a thousand; no concept is made of it",
        why="the latest value is not always the right one; who reads facts must leave it out, too",
        reference="AAPL, shares of 2013-09-28: 899,213 after 899,213,000",
        broken=(pl.col("revision") == SCALE).fill_null(False),
    ),
    Rule(
        "fact_sign_change",
        "info",
        "fundamentals_facts",
        meaning="a later filing repeats the value with the other sign",
        why="one of the two filings has the wrong sign; concepts take the later one",
        reference="filers that tag an expense as negative and correct it in the next filing",
        broken=(pl.col("revision") == SIGN).fill_null(False),
    ),
)

FILING_RULES: tuple[Rule, ...] = (
    Rule(
        "filing_late",
        "warn",
        "filings",
        meaning=f"the quarterly or annual report was filed more than {LATEST_FILING} days after the end of its period",
        why="late filers restate and delist more often, and a wrong end of the period looks like a late filing",
        reference="Form 10-K: 60 to 90 days, Form 10-Q: 40 or 45 days, by the filer's size",
        broken=(
            pl.col("form").is_in(["10-K", "10-Q"])
            & ((pl.col("filed") - pl.col("report_end")).dt.total_days() > LATEST_FILING)
        ).fill_null(False),
    ),
)


def statements(values: pl.DataFrame) -> pl.DataFrame:
    """Return a row per source, symbol, period and end with the reported values of the identities' concepts.

    `values` are rows of FUNDAMENTALS in force, one per concept, period and end.
    """
    concepts = list(dict.fromkeys(name for identity in IDENTITIES for name in identity.concepts))
    rows = values.filter(pl.col("concept").is_in(concepts), pl.col("origin") == "reported", pl.col("period") != "ttm")
    wide = rows.pivot(on="concept", on_columns=concepts, index=["source", "symbol", "period", "end"], values="value")
    return wide.sort("source", "symbol", "end", "period").unique(
        ["source", "symbol", "end", *concepts], keep="first", maintain_order=True
    )


def with_neighbours(values: pl.DataFrame, concepts: ConceptMap) -> pl.DataFrame:
    """Return rows of FUNDAMENTALS in force with `usual`, `positive` and `days_after`.

    `usual` is the median of two values before and two after, null where fewer than two of them are known. `days_after`
    is null for the concepts whose days are no ends of periods (`any_day`).
    """
    series = ["source", "symbol", "concept", "period", "unit"]
    rows = values.filter(pl.col("value").is_not_null(), pl.col("period") != "ttm").sort(*series, "end")
    beside = pl.concat_list(pl.col("value").shift(n).over(series) for n in (2, 1, -1, -2)).list.drop_nulls()
    positive = [name for name, concept in concepts.concepts.items() if concept.sign == "positive"]
    any_day = [name for name, concept in concepts.concepts.items() if concept.any_day]
    days_after = (pl.col("end") - pl.col("end").shift().over(series)).dt.total_days()
    return rows.with_columns(
        pl.when(beside.list.len() >= 2).then(beside.list.median()).alias("usual"),
        pl.col("concept").is_in(positive).alias("positive"),
        pl.when(~pl.col("concept").is_in(any_day)).then(days_after).alias("days_after"),
    )


def in_force(values: pl.DataFrame) -> pl.DataFrame:
    """Return the last version of each concept, period and end."""
    slot = ["source", "symbol", "concept", "period", "end"]
    return values.sort(*slot, "public_at", "accession").unique(slot, keep="last", maintain_order=True)
