"""The rules of replies that are held back, and of events that the prices do not bear out.

A reply is judged by split_basis.py, an event by named_twice.py. The rules name the outcome: `reason` of a reply,
`outcome` of an event.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.quality.rule import Rule

REPLY_RULES = (
    Rule(
        "reply_held_back",
        "warn",
        "bars_1d",
        meaning="a vendor's split-adjusted prices and its list of splits do not agree, or can't be proved to agree",
        why="as-traded prices would be wrong by the ratio of the split: the reply is kept, not curated, and fetched"
        " again; informational at first, a warning when it persists over another session",
        reference="Yahoo lists a split hours before its prices are divided (06:00 UTC of the ex-date), or days after it"
        " (yfinance#906)",
        broken=pl.col("reason").is_in(["undivided", "undecided", "unlisted"]),
    ),
    Rule(
        "reply_ends_early",
        "warn",
        "bars_1d",
        meaning="a reply that was to reach the present ends sessions before the last trade that it names",
        why="prices are divided by all later splits, and a reply that ends early does not list them: it is kept, not"
        " curated, and fetched again; informational at first, a warning when it persists over another session",
        reference="Yahoo's chart: `regularMarketTime` after the last bar",
        broken=pl.col("reason") == "ends_early",
    ),
)

DOUBT_RULES = (
    Rule(
        "event_named_twice",
        "warn",
        "actions",
        meaning="a vendor names a split or dividend twice, on one day or on days beside each other, and the prices show"
        " it once",
        why="an event that is applied twice makes every earlier adjusted price wrong; it is applied once",
        reference="a split that is announced and executed under two ids; a dividend under two amounts",
        broken=pl.col("outcome") == "repeated",
    ),
    Rule(
        "split_day_unproven",
        "warn",
        "actions",
        meaning="a vendor with split-adjusted prices names a split on two days beside each other, and nothing shows"
        " which is right",
        why="closes of the sessions between the two days would be wrong by the ratio: they are left out, and the later"
        " day counts",
        reference="a split that is announced for one day and executed on another, in a first reply about a symbol",
        broken=pl.col("outcome") == "either",
    ),
    Rule(
        "event_not_shown",
        "warn",
        "actions",
        meaning="a vendor lists a split or dividend that its prices do not show",
        why="an event that was none makes every earlier adjusted price wrong; it is not applied",
        reference="a split that is postponed and stays listed",
        broken=pl.col("outcome") == "not_shown",
    ),
    Rule(
        "events_of_one_day",
        "info",
        "actions",
        meaning="a vendor lists two events of one kind on a day, and nothing shows whether both are real",
        why="a regular and a special dividend are two events, one under two ids is one: both are applied",
        reference="vendors without an adjusted close, such as Alpaca and FMP",
        broken=pl.col("outcome") == "undecided",
    ),
    Rule(
        "gain_in_dividend",
        "info",
        "actions",
        meaning="a fund's dividend contains the capital gain that the vendor lists beside it",
        why="the gain counts once: both are stored, and total-adjusted prices use the dividend alone",
        reference="Yahoo VWILX 2024-12-18: a dividend of 9.968 with a gain of 8.999 in it (yfinance's price repair)",
        broken=pl.col("outcome") == "contained",
    ),
)


def rule_about(rules: Sequence[Rule], column: str, value: str) -> Rule:
    """Return the rule that a value of its column breaks."""
    row = pl.DataFrame({column: [value]})
    return next(rule for rule in rules if row.select(rule.broken).item())
