"""The row rules of facts; a fact that breaks one goes to quarantine, and no concept is made of it.

They use the columns of the dataset's frame (see core/fact_datasets.py): `start` (null for an instant), `end`, `value`,
`unit`, `filed` and, of the facts of filers, `tag`. `differs_in_filing`, which the caller adds, is true where one
filing reports the fact with several values.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quantx.core.quality.rule import Rule

_FIRST_DAY = date(1900, 1, 1)

# Tags whose unit is certain. US GAAP, IFRS and DEI taxonomies of 2009 to 2026.
PER_SHARE_TAGS = (
    "BasicEarningsLossPerShare",
    "CommonStockDividendsPerShareDeclared",
    "DilutedEarningsLossPerShare",
    "EarningsPerShareBasic",
    "EarningsPerShareBasicAndDiluted",
    "EarningsPerShareDiluted",
)
SHARE_TAGS = (
    "AdjustedWeightedAverageShares",
    "CommonStockSharesIssued",
    "CommonStockSharesOutstanding",
    "EntityCommonStockSharesOutstanding",
    "NumberOfSharesOutstanding",
    "WeightedAverageNumberOfDilutedSharesOutstanding",
    "WeightedAverageNumberOfSharesOutstandingBasic",
    "WeightedAverageShares",
)
MONEY_TAGS = (
    "Assets",
    "AssetsCurrent",
    "CashAndCashEquivalentsAtCarryingValue",
    "Liabilities",
    "LiabilitiesAndStockholdersEquity",
    "NetCashProvidedByUsedInOperatingActivities",
    "NetIncomeLoss",
    "ProfitLoss",
    "Revenues",
    "StockholdersEquity",
)


def _wrong(tags: tuple[str, ...], unit: str) -> pl.Expr:
    return pl.col("tag").is_in(tags) & pl.col("unit").str.contains(unit).not_()


# Of every dataset of facts.
FACT_ROW_RULES: tuple[Rule, ...] = (
    Rule(
        "fact_value_finite",
        "reject",
        "fundamentals_facts,esg_facts",
        meaning="the value is missing, infinite or not a number",
        why="one such value makes every sum and ratio of the period useless",
        reference="vendors write NaN and null in place of numbers; JSON has no NaN",
        broken=pl.col("value").is_finite().fill_null(False).not_(),
    ),
    Rule(
        "fact_dates_possible",
        "reject",
        "fundamentals_facts,esg_facts",
        meaning="the period has no end, ends before it starts, or begins or ends before the year 1900",
        why="a fact of an impossible period would become the newest or the oldest one of its series",
        reference="typing errors in the contexts of filings: years such as 0201 and 2107",
        broken=pl.col("end").is_null()
        | pl.any_horizontal(
            pl.col("end") < _FIRST_DAY, pl.col("start") < _FIRST_DAY, pl.col("start") > pl.col("end")
        ).fill_null(False),
    ),
    Rule(
        "fact_filed_known",
        "reject",
        "fundamentals_facts,esg_facts",
        meaning="the day of filing is missing",
        why="without it the instant at which the value was public is not known, and a backtest would have it too early",
        reference="`filed` is present in all 80,000 recorded facts of the SEC",
        broken=pl.col("filed").is_null(),
    ),
    Rule(
        "fact_unit_present",
        "reject",
        "fundamentals_facts,esg_facts",
        meaning="the unit is missing",
        why="a number without its unit can't be compared with any other",
        reference="XBRL 2.1, 4.6.2: each numeric fact has a unit",
        broken=pl.col("unit").fill_null("").str.strip_chars() == "",
    ),
    Rule(
        "fact_once_per_filing",
        "reject",
        "fundamentals_facts,esg_facts",
        meaning="the filing reports the fact more than once, with different values",
        why="which of the values holds is not known: one may be that of a segment, or a typing error",
        reference="XBRL Duplicates, a working group note of 2018: inconsistent duplicates",
        broken=pl.col("differs_in_filing"),
    ),
)

# Of facts that filers have reported: a plan or a target may end after its filing.
REPORTED_ROW_RULES: tuple[Rule, ...] = (
    *FACT_ROW_RULES,
    Rule(
        "fact_ended_before_filed",
        "reject",
        "fundamentals_facts",
        meaning="the period ends after the day of filing",
        why="what was not over can't have been measured: the context names a wrong period",
        reference="NVDA, EntityPublicFloat of 2011-08-01, filed 2011-05-27; five of 26,903 facts",
        broken=(pl.col("end") > pl.col("filed")).fill_null(False),
    ),
    Rule(
        "fact_unit_kind",
        "reject",
        "fundamentals_facts",
        meaning="the unit is of the wrong kind: a value per share without shares, a number of shares in money, or an"
        " amount of money in shares",
        why="earnings in dollars read as earnings per share are wrong by a factor of millions",
        reference="the item types perShare, shares and monetary of the US GAAP taxonomy",
        broken=(
            _wrong(PER_SHARE_TAGS, r"^[A-Za-z]{3}/shares$")
            | _wrong(SHARE_TAGS, r"^shares$")
            | _wrong(MONEY_TAGS, r"^[A-Z]{3}$")
        ).fill_null(False),
    ),
)
