"""The rows of concepts that replies change: made of the facts of the replies and of the stored ones beside them.

A reply need not have all facts of a filer: statements come one by one from some vendors, and the SEC drops facts of
filings that it removes. What was public stays public, so a stored fact counts until a reply corrects it.
"""

from __future__ import annotations

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.fundamentals.concept_map import ConceptMap
from quantx.core.fundamentals.concepts import concept_values
from quantx.core.fundamentals.reasons import WITHDRAWN
from quantx.core.fundamentals.revisions import revision_classes
from quantx.pipeline.curating.known_rows import KnownRows

_SLOT = ["source", "symbol", "concept", "period", "end"]
_OF_VALUE = ["start", "value", "unit", "tag", "origin", "reason", "operands"]


def classed_facts(source: str, facts: pl.DataFrame, known: KnownRows) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return facts (columns of FUNDAMENTALS_FACTS) with their classes, and the stored facts beside them."""
    beside = known.facts_beside(source, facts)
    classes = revision_classes(pl.concat([facts, beside]))
    return facts.with_columns(classes.head(facts.height)), beside


def concept_rows(
    source: str, facts: pl.DataFrame, beside: pl.DataFrame, concepts: ConceptMap, known: KnownRows
) -> pl.DataFrame:
    """Return the rows of FUNDAMENTALS of the filers of `facts`, also of stored rows that facts no longer make."""
    values = concept_values(pl.concat([facts, beside]), concepts)
    return pl.concat([values, _restated(known.values_beside(source, facts, values), values, facts)])


def _restated(left: pl.DataFrame, values: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Return stored rows whose filing changes no value now with the value in force then; null where there is none."""
    if left.is_empty():
        return FUNDAMENTALS.empty()
    origin = facts.group_by("symbol").agg(pl.col("raw", "known_from").sort_by("known_from").last())
    then = left.drop(*_OF_VALUE, "raw", "known_from").sort("public_at")
    in_force = then.join_asof(
        values.select(*_SLOT, "public_at", *_OF_VALUE).sort("public_at"),
        on="public_at", by=_SLOT, check_sortedness=False,
    )  # fmt: skip
    unknown = pl.col("value").is_null() & pl.col("reason").is_null()
    reason = pl.when(unknown).then(pl.lit(WITHDRAWN)).otherwise("reason").alias("reason")
    return in_force.with_columns(reason).join(origin, on="symbol").select(list(FUNDAMENTALS.schema))
