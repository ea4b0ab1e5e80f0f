"""What decides whether a row becomes data: the rules, and what people have decided about rows that rules reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Checked
from quantx.core.tables import DECISIONS, INSTANT


@dataclass(frozen=True)
class Judge:
    """Curated rows are a function of the raw replies and of this."""

    policy: Policy = field(default_factory=Policy)
    decisions: pl.DataFrame = field(default_factory=DECISIONS.empty)  # DECISIONS

    def overrule(self, checked: Checked, quoted: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """Return the accepted rows, with those rejected ones that somebody has accepted.

        `quoted` are the rejected rows as quarantine has them, in the same order. An accepted row takes the place of
        another one with the same `key`; the column `decided` says since when it counts, and is null where no decision
        was needed.
        """
        accepted = checked.accepted.with_columns(pl.lit(None, INSTANT).alias("decided"))
        if self.decisions.is_empty() or quoted.is_empty():
            return accepted
        named = self.decisions.select(*DECISIONS.key, decided="known_from")
        found = quoted.join(named, on=list(DECISIONS.key), how="left", nulls_equal=True, maintain_order="left")
        let = checked.rejected.drop("rules").with_columns(found["decided"]).filter(pl.col("decided").is_not_null())
        let = let.unique(key, keep="last", maintain_order=True)
        return pl.concat([accepted.join(let, on=list(key), how="anti", maintain_order="left"), let])


def known_from() -> pl.Expr:
    """Return when a row became known: with its reply, or with the decision that let it in, whichever came later."""
    return pl.max_horizontal("known_from", "decided").alias("known_from")
