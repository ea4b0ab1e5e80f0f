"""What decides whether a row becomes data: the rules, and what people have decided about rows that rules reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Checked
from quantx.core.tables import DECISIONS


@dataclass(frozen=True)
class Judge:
    """Curated rows are a function of the raw replies and of this."""

    policy: Policy = field(default_factory=Policy)
    decisions: pl.DataFrame = field(default_factory=DECISIONS.empty)  # DECISIONS

    def overrule(self, checked: Checked, quoted: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """Return the accepted rows, with those rejected ones that somebody has accepted.

        `quoted` are the rejected rows as quarantine has them, in the same order. An accepted row takes the place of
        another one with the same `key`.
        """
        if self.decisions.is_empty() or quoted.is_empty():
            return checked.accepted
        named = self.decisions.select(*DECISIONS.key, pl.lit(True).alias("__accepted"))
        found = quoted.join(named, on=list(DECISIONS.key), how="left", nulls_equal=True, maintain_order="left")
        let = checked.rejected.filter(found["__accepted"].fill_null(False)).drop("rules")
        let = let.unique(key, keep="last", maintain_order=True)
        return pl.concat([checked.accepted.join(let, on=list(key), how="anti", maintain_order="left"), let])
