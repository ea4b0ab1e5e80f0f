"""Proofs of actions, kept: what a vendor does not show any more is withdrawn, and disagreements become findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.adjustments import ADJUSTMENT_RULES, AGREEING
from quantx.core.quality.rule import Rule
from quantx.core.tables import ADJUSTMENT_PROOFS
from quantx.pipeline.platform import Platform
from quantx.pipeline.proved import SPANS, Proved, disagreements
from quantx.state.protocol import Findings

_MOST = 100_000  # open findings of a rule that are looked through
_NO_STEP = 1.0


def with_withdrawn(platform: Platform, proved: Sequence[Proved]) -> list[pl.DataFrame]:
    """Return the incoming proofs, and rows without a step for stored disagreements that the vendor does not show any more."""
    rows = [part.rows for part in proved]
    spans = pl.concat([pl.DataFrame(schema=SPANS), *(part.spans for part in proved)])
    if spans.is_empty():
        return rows
    disagrees = pl.col("symbol").is_in(spans["symbol"].to_list()) & pl.col("verdict").is_in(AGREEING).not_()
    stored = platform.tables[ADJUSTMENT_PROOFS.name].read(disagrees).drop("raw", "known_from")
    gone = (
        stored.join(spans, on=["source", "symbol"])
        .filter((pl.col("ex_date") > pl.col("first")) & (pl.col("ex_date") <= pl.col("last")))
        .join(pl.concat([ADJUSTMENT_PROOFS.empty(), *rows]), on=list(ADJUSTMENT_PROOFS.key), how="anti")
    )
    withdrawn = gone.with_columns(ours=pl.lit(_NO_STEP), vendors=pl.lit(_NO_STEP), verdict=pl.lit("agree"))
    return [*rows, withdrawn.select(list(ADJUSTMENT_PROOFS.schema))]


def tell(platform: Platform, proved: Sequence[Proved]) -> None:
    """Note what disagrees as findings, and resolve those of before that the replies do not show any more."""
    spans: dict[tuple[str, str], tuple[date, date]] = {
        (source, symbol): (first, last)
        for part in proved
        for source, symbol, first, last in part.spans.select("source", "symbol", "first", "last").iter_rows()
    }
    if not spans:
        return
    found = [finding for part in proved for finding in (*disagreements(part.rows), *part.findings)]
    platform.state.findings.note(found)
    nowhere = (date.max, date.min)

    def was_proved(source: str, symbol: str, day: date) -> bool:
        first, last = spans.get((source, symbol), nowhere)
        return first <= day <= last

    reason = "the vendor's adjusted closes do not show it any more"
    _settle_others(platform.state.findings, ADJUSTMENT_RULES, found, was_proved, reason)


def _settle_others(
    findings: Findings,
    rules: Sequence[Rule],
    found: Sequence[Finding],
    was_checked: Callable[[str, str, date], bool],
    reason: str,
) -> None:
    """Resolve the open findings of some rules that were looked for again (source, symbol, day) and not found."""
    keys = {finding.key for finding in found}
    for rule in rules:
        for row in findings.listed(_MOST, status="open", rule=rule.id):
            key = (row["rule"], row["subject"], row["source"], row["dataset"], row["first_day"])
            if key not in keys and was_checked(row["source"], row["subject"], row["first_day"]):
                findings.settle(row["id"], "resolved", "quantx", reason)
