"""Quarantine rows and findings of events that can't be applied: a senseless event costs only itself."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.event_rules import EVENT_RULES
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.tables import ACTIONS, QUARANTINE

_RULES = {rule.id: rule for rule in EVENT_RULES}
_QUOTED = 300  # characters of an event in the reason


def rejected_events(events: pl.DataFrame, facts: pl.DataFrame, source: str, policy: RowPolicy) -> pl.DataFrame:
    """Return the quarantine rows of REJECTED_EVENTS, whatever the requested window.

    `row` is the event as sent with the reason; `sent` has its place in the reply, which changes with later events.
    Events with an ex-date after the reply are left out: the vendor may still correct them.
    """
    rows = events.join(facts, on="series", maintain_order="left").filter(
        pl.col("ex_date").is_null() | (pl.col("ex_date") <= pl.col("today"))
    )
    reasons = [
        f"{kind} {sent[:_QUOTED]}: {'; '.join(_RULES[rule].meaning for rule in rules.split(','))}"
        for kind, sent, rules in rows.select("kind", "sent", "rules").iter_rows()
    ]
    return rows.with_columns(
        pl.lit(source).alias("source"),
        pl.lit(ACTIONS.name).alias("dataset"),
        pl.col("ex_date").alias("date"),
        pl.Series("row", reasons, dtype=pl.String),
        pl.lit(policy.rules.version, pl.Int32).alias("policy"),
        pl.struct("place", event="sent").struct.json_encode().alias("sent"),
        pl.lit(None, pl.Int32).alias("passed"),
    ).select(list(QUARANTINE.schema))


def findings_of_events(quarantined: pl.DataFrame) -> Iterator[Finding]:
    """Yield a finding for each quarantined event, under the first rule that it breaks."""
    for symbol, day, source, rules, row in quarantined.select("symbol", "date", "source", "rules", "row").iter_rows():
        rule = _RULES[rules.split(",")[0]]
        yield Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            symbol,
            f"{source} sends a {row}; it is not applied to prices: `quantx quarantine list --symbol {symbol}` shows it;"
            " compare with another vendor",
            source=source,
            dataset=ACTIONS.name,
            first_day=day,
            last_day=day,
        )
