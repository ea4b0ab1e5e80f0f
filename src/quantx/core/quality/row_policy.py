"""The row policy: the rules, the manual decisions about rows that the rules reject, and the tombstones of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from quantx.core.fundamentals.concept_map import ConceptMap
from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Checked
from quantx.core.table import INSTANT
from quantx.core.tables import DECISIONS
from quantx.core.tombstones import Deleted


@dataclass(frozen=True)
class RowPolicy:
    """Decides which rows are accepted: curated rows are a function of the raw replies and of this policy."""

    rules: Policy = field(default_factory=Policy)
    decisions: pl.DataFrame = field(default_factory=DECISIONS.empty)  # DECISIONS
    concepts: ConceptMap | None = None  # None: the shipped map
    deleted: Deleted = field(default_factory=Deleted)  # rows of deleted data are dropped

    def accepted_rows(self, checked: Checked, quoted: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """Return the rows that the rules accept, and the rejected rows that a manual decision accepts.

        `quoted` are the rejected rows as quarantine has them, in the same order. A row that a decision accepts replaces
        another one with the same `key`. The column `decided` is the time of the decision, null where none was needed.
        """
        accepted = checked.accepted.with_columns(pl.lit(None, INSTANT).alias("decided"))
        if self.decisions.is_empty() or quoted.is_empty():
            return accepted
        decisions = self.decisions.select(*DECISIONS.key, decided="known_from")
        decided = quoted.join(decisions, on=list(DECISIONS.key), how="left", nulls_equal=True, maintain_order="left")
        manual = checked.rejected.drop("rules").with_columns(decided["decided"]).filter(pl.col("decided").is_not_null())
        manual = manual.unique(key, keep="last", maintain_order=True)
        rest = accepted.join(manual, on=list(key), how="anti", nulls_equal=True, maintain_order="left")
        return pl.concat([rest, manual])


def known_from() -> pl.Expr:
    """Return when a row became known: with its reply, or with the decision that accepted it, whichever came later."""
    return pl.max_horizontal("known_from", "decided").alias("known_from")
