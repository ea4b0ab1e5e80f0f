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
        .join(chosen.units, on=["filer", "unit_nth"], how="left")
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
    parts = rows.filter(pl.col("facts").is_not_null()).select("row", "facts")
    single = pl.col("facts").list.len() == 1
    nth = (pl.col("facts").abs() - 1).alias("nth")
    alone = parts.filter(single).select("row", pl.col("facts").list.first()).with_columns(nth)
    tags = alone.join(numbered.select("nth", "tag"), on="nth").select("row", "tag")
    each = parts.filter(~single).explode("facts", empty_as_null=False, keep_nulls=False)
    used = each.select("facts").unique().with_columns(nth).join(numbered, on="nth")
    sign = pl.col("facts").sign().cast(pl.Int8).alias("sign")
    operand = pl.struct(sign, "tag", "start", "end", "value", "accession").struct.json_encode()
    each = each.join(used.select("facts", "tag", operand.alias("operand")), on="facts", maintain_order="left")
    made = each.group_by("row").agg(
        pl.col("tag").min(), pl.col("tag").max().alias("last_tag"), pl.col("operand").str.join(",")
    )
    several = made.filter(pl.col("tag") != pl.col("last_tag")).select("row")
    of_several = (
        each.join(several, on="row", how="semi").group_by("row").agg(pl.col("tag").unique().sort().str.join(","))
    )
    made = made.select("row", "tag", pl.format("[{}]", "operand").alias("operands"))
    return pl.concat([tags, made.update(of_several, on="row", how="left")], how="diagonal")
