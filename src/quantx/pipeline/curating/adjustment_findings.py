"""Adjustment proofs that disagree: findings, withdrawn when the vendor's adjusted closes do not show them any more."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.quality.adjustments import ADJUSTMENT_RULES, AGREEING
from quantx.core.tables import ADJUSTMENT_PROOFS
from quantx.lake.protocol import CuratedTable
from quantx.pipeline.curating.adjustment_proofs import ReplyProofs, disagreements
from quantx.state.findings.port import Findings

GONE = "the vendor's adjusted closes do not show it any more"
_NO_STEP = 1.0
_RULES = [rule.id for rule in ADJUSTMENT_RULES]


def with_withdrawn(table: CuratedTable, proofs: Sequence[ReplyProofs]) -> list[pl.DataFrame]:
    """Return the incoming proofs, and rows without a step in place of the disagreements that are withdrawn.

    `table` holds the stored ADJUSTMENT_PROOFS. A disagreement is withdrawn where the replies do not show it any more.
    """
    rows = [part.rows for part in proofs]
    if not any(part.spans.height for part in proofs):
        return rows
    spans = pl.concat([part.spans for part in proofs])
    disagrees = pl.col("symbol").is_in(spans["symbol"].to_list()) & pl.col("verdict").is_in(AGREEING).not_()
    stored = table.read(disagrees).drop("raw", "known_from")
    gone = (
        stored.join(spans, on=["source", "symbol"])
        .filter((pl.col("ex_date") > pl.col("first")) & (pl.col("ex_date") <= pl.col("last")))
        .join(pl.concat([ADJUSTMENT_PROOFS.empty(), *rows]), on=list(ADJUSTMENT_PROOFS.key), how="anti")
    )
    withdrawn = gone.with_columns(ours=pl.lit(_NO_STEP), vendors=pl.lit(_NO_STEP), verdict=pl.lit("agree"))
    return [*rows, withdrawn.select(list(ADJUSTMENT_PROOFS.schema))]


def note_disagreements(findings: Findings, proofs: Sequence[ReplyProofs]) -> None:
    """Record disagreements as findings, and resolve earlier ones that the replies do not show any more."""
    proofs = [part for part in proofs if part.spans.height]
    if not proofs:
        return
    new = [finding for part in proofs for finding in (*disagreements(part.rows), *part.findings)]
    spans = pl.concat([part.spans for part in proofs])
    for (source,), part in spans.group_by("source"):
        days = {symbol: (first, last) for symbol, first, last in part.select("symbol", "first", "last").iter_rows()}
        here = [finding for finding in new if finding.source == source]
        findings.restate(_RULES, str(source), None, here, GONE, days=days)
