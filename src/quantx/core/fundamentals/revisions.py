"""How a fact differs from the value that was filed before it for the same item and period."""

from __future__ import annotations

import polars as pl

PERIOD = ("symbol", "taxonomy", "tag", "unit", "start", "end")  # the identity of a fact, whatever filing reports it
SAME, GENUINE = "same", "genuine"


def revision_classes(facts: pl.DataFrame) -> pl.Series:
    """Return the class of each fact's change against the one filed before it; null for the first report."""
    order = facts.select(*PERIOD, "value", "public_at", "accession").with_row_index("nth")
    before = pl.col("value").shift().over(PERIOD, order_by=["public_at", "accession"])
    classed = order.with_columns(
        pl.when(before.is_not_null())
        .then(pl.when(before == pl.col("value")).then(pl.lit(SAME)).otherwise(pl.lit(GENUINE)))
        .alias("revision")
    )
    return classed.sort("nth")["revision"]


SCALE = "scale"
