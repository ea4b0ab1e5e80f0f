"""Standard concepts per period, made of the facts that filers report."""

from __future__ import annotations

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS


def concept_values(facts: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of FUNDAMENTALS that all facts of some filers make (columns of FUNDAMENTALS_FACTS)."""
    return FUNDAMENTALS.empty()
