"""Rows of FUNDAMENTALS from the versions of slots: names in place of numbers, and the operands as JSON. Pure."""

from __future__ import annotations

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.fundamentals.concept_facts import ConceptFacts
from quantx.core.fundamentals.concept_map import ConceptMap
from quantx.core.fundamentals.periods import concept_of, end_of, filer_of, start_of, unit_of

REPORTED, DERIVED = "reported", "derived"


def rows_of(slots: pl.DataFrame, chosen: ConceptFacts, concepts: ConceptMap, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of FUNDAMENTALS, in its order."""
    key, cell = pl.col("key"), pl.col("cell")
    names = pl.Series(list(concepts.concepts), dtype=pl.String)
    known = pl.col("value").is_not_null()
    origin = facts.group_by("symbol").agg(
        pl.col("source").first(), pl.col("cik").first(), pl.col("known_from").max(),
        pl.col("raw").sort_by("known_from").last(),
    )  # fmt: skip
    named = (
        slots.with_row_index("row")
        .with_columns(
            filer_of(key).cast(pl.UInt32).alias("filer"),
            concept_of(key)
            .cast(pl.UInt32)
            .replace_strict(range(len(names)), names, return_dtype=pl.String)
            .alias("concept"),
            end_of(key).alias("end"),
            pl.when(known).then(start_of(cell)).alias("start"),
            pl.when(known).then(unit_of(cell)).cast(pl.UInt32).alias("unit_nth"),
            pl.when(known & (pl.col("facts").list.len() > 1))
            .then(pl.lit(DERIVED))
            .when(known)
            .then(pl.lit(REPORTED))
            .alias("origin"),
        )
        .join(chosen.filers, on="filer", how="left")
        .join(chosen.units, on="unit_nth", how="left")
        .join(chosen.numbered.select("nth", "accession", "filed", public_at="at"), on="nth", how="left")
        .join(origin, on="symbol", how="left")
    )
    rows = named.join(_operands(named, chosen.numbered), on="row", how="left")
    return (
        rows.with_columns(pl.col("filed").dt.year().alias("year"))
        .select(list(FUNDAMENTALS.schema))
        .cast(pl.Schema(FUNDAMENTALS.schema))
        .sort(FUNDAMENTALS.sort)
    )


def _operands(rows: pl.DataFrame, numbered: pl.DataFrame) -> pl.DataFrame:
    """Return the tags of each row, and of derived ones the operands: facts with the sign with which they count."""
    single = pl.col("facts").list.len() == 1
    parts = rows.filter(pl.col("facts").is_not_null()).select("row", "facts", single.alias("single"))
    each = parts.explode("facts", empty_as_null=False, keep_nulls=False).with_columns(
        (pl.col("facts").abs() - 1).alias("nth")
    )
    each = each.join(numbered.select("nth", "tag"), on="nth", how="left", maintain_order="left")
    tags = each.group_by("row").agg(pl.col("tag").unique(maintain_order=True).sort().str.join(","))
    several = each.filter(~pl.col("single"))
    used = (
        several.select("facts", "nth")
        .unique("facts")
        .join(numbered.drop("tag").join(numbered.select("nth", "tag"), on="nth"), on="nth")
    )
    texts = used.select(
        "facts",
        pl.struct(pl.col("facts").sign().cast(pl.Int8).alias("sign"), "tag", "start", "end", "value", "accession")
        .struct.json_encode()
        .alias("text"),
    )
    joined = (
        several.join(texts, on="facts", how="left", maintain_order="left")
        .group_by("row")
        .agg(pl.col("text").str.join(","))
    )
    operands = joined.select("row", pl.format("[{}]", "text").alias("operands"))
    return tags.join(operands, on="row", how="left")
