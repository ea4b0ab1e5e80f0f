"""The facts that standard concepts are made of: selected, numbered in the order of time, with keys. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quantx.core.fundamentals.acceptance import public_or_filed_day
from quantx.core.fundamentals.concept_map import ConceptMap
from quantx.core.fundamentals.periods import EARLIEST, LATEST, LONGEST, QUARTER, UNITS, cell_key, length
from quantx.core.fundamentals.revisions import SCALE, is_periodic

_QUARTERLY = ("10-Q", "10-QT")
_UNITS = {"money": r"^[A-Z]{3}$", "per_share": r"^[A-Z]{3}/shares$", "shares": r"^shares$"}


@dataclass(frozen=True)
class ConceptFacts:
    """Facts of concepts: `numbered` by `nth`, the versions of each tag by key, and what the numbers in keys mean."""

    numbered: pl.DataFrame  # nth, symbol, accession, filed, at, tag, start, end, value
    candidates: pl.DataFrame  # versions with `member` (the rank of the tag)
    filers: pl.DataFrame  # filer, symbol
    units: pl.DataFrame  # filer, unit_nth, unit


def concept_facts(facts: pl.DataFrame, concepts: ConceptMap) -> ConceptFacts:
    """Return the facts of concepts, of all filers."""
    chosen = _in_one_currency(_chosen(facts, concepts)).sort("at", "accession", maintain_order=True)
    filers = chosen.select(pl.col("symbol").unique().sort()).with_row_index("filer")
    chosen = chosen.join(filers, on="symbol", maintain_order="left")
    units = _units(chosen)
    keyed = (
        chosen.join(units, on=["filer", "unit"], maintain_order="left")
        .with_row_index("nth")
        .with_columns(
            pl.col("nth").cast(pl.Int32),
            cell_key(*(pl.col(c) for c in ("filer", "concept", "unit_nth", "start", "end"))).alias("key"),
        )
    )
    numbered = keyed.select("nth", "symbol", "accession", "filed", "at", "tag", "start", "end", "value")
    return ConceptFacts(numbered, _versions(keyed), filers, units)


def _units(chosen: pl.DataFrame) -> pl.DataFrame:
    """Return the numbers of the units of each filer, the most frequent ones: a key has room for so many."""
    units = chosen.group_by("filer", "unit").len().sort("filer", "len", "unit", descending=[False, True, False])
    numbered = units.select("filer", pl.int_range(pl.len(), dtype=pl.UInt32).over("filer").alias("unit_nth"), "unit")
    return numbered.filter(pl.col("unit_nth") < UNITS)


def _chosen(facts: pl.DataFrame, concepts: ConceptMap) -> pl.DataFrame:
    """Return the facts with a tag, a unit and a period of a concept, with the number of the concept and the rank."""
    tags = pl.DataFrame(
        [
            (
                taxonomy,
                tag.removeprefix("-"),
                -1.0 if tag.startswith("-") else 1.0,
                number,
                rank,
                concept.unit,
                concept.kind,
            )
            for number, concept in enumerate(concepts.concepts.values())
            for taxonomy, some in concept.tags.items()
            for rank, tag in enumerate(some)
        ],
        schema={"taxonomy": pl.String, "tag": pl.String, "side": pl.Float64, "concept": pl.UInt32, "member": pl.UInt64}
        | dict.fromkeys(("kind_of_unit", "kind"), pl.String),
        orient="row",
    )
    form_of_unit = pl.coalesce(pl.when(pl.col("unit").str.contains(f)).then(pl.lit(kind)) for kind, f in _UNITS.items())
    units = facts.select(pl.col("unit").unique()).with_columns(form_of_unit.alias("form_of_unit"))
    instant = (pl.col("kind") == "instant") & pl.col("start").is_null()
    duration = (pl.col("kind") == "duration") & length().is_between(QUARTER[0], LONGEST)
    return (
        facts.filter(pl.col("tag").is_in(tags["tag"].unique().implode()))
        .filter((pl.col("revision") != SCALE).fill_null(True) & pl.col("end").is_between(EARLIEST, LATEST))
        .with_columns(
            public_or_filed_day().alias("at"),
            pl.col("form").str.strip_suffix("/A").alias("form"),
        )
        .filter(pl.col("at").is_not_null() & pl.col("value").is_not_null())
        .join(tags, on=["taxonomy", "tag"], maintain_order="left")
        .join(units, on="unit", maintain_order="left")
        .filter((pl.col("form_of_unit") == pl.col("kind_of_unit")) & (instant | duration))
        .with_columns(pl.col("value") * pl.col("side"))
        .select(
            "symbol", "accession", "filed", "at", "tag", "unit", "start", "end", "value", "form", "concept", "member"
        )
    )


def _in_one_currency(chosen: pl.DataFrame) -> pl.DataFrame:
    """Return the facts in the reporting currency of their filing: the one of most of its facts.

    Of two with equally many it is not the dollar, in which filers translate some values for convenience.
    """
    currency = pl.when(pl.col("unit") != "shares").then(pl.col("unit").str.slice(0, 3))
    priced = chosen.with_columns(currency.alias("currency"))
    counts = priced.filter(pl.col("currency").is_not_null()).group_by("symbol", "accession", "currency").len()
    order = [-pl.col("len").cast(pl.Int64), pl.col("currency") == "USD", pl.col("currency")]
    main = counts.sort("symbol", "accession", *order)
    main = main.unique(["symbol", "accession"], keep="first").select("symbol", "accession", main="currency")
    if main.height == counts.height:
        return priced.drop("currency")
    joined = priced.join(main, on=["symbol", "accession"], how="left", maintain_order="left")
    return joined.filter(pl.col("currency").is_null() | (pl.col("currency") == pl.col("main"))).drop("currency", "main")


def _versions(keyed: pl.DataFrame) -> pl.DataFrame:
    """Return the versions of each tag: the values that differ from the one filed before, of periodic forms first.

    Of periods with several tags each report is a version: the tag that was filed last may have kept its value.
    A year in a quarterly report is the last twelve months of another day than the year's end: no year of the filer.
    """
    year = length() > 330
    counting = keyed.filter(~(year & pl.col("form").is_in(_QUARTERLY)).fill_null(False))
    counting = counting.filter(~pl.col("nth").is_in(_outranked(counting).implode()))
    ordered = counting.sort("key", "member", "nth").unique(["key", "member", "at"], keep="last", maintain_order=True)
    other = pl.any_horizontal(pl.col(c).ne_missing(pl.col(c).shift()) for c in ("key", "member"))
    several = pl.col("member").min().over("key") != pl.col("member").max().over("key")
    return ordered.filter(other | several | pl.col("value").ne_missing(pl.col("value").shift())).select(
        "key", "member", "at", "nth", "value", facts=pl.concat_list(pl.col("nth") + 1)
    )


def _outranked(keyed: pl.DataFrame) -> pl.Series:
    """Return `nth` of the facts of other forms of which a periodic report had the item before."""
    first = keyed.filter(is_periodic()).group_by("key").agg(pl.col("nth").min().alias("first"))
    others = keyed.filter(~is_periodic()).select("key", "nth").join(first, on="key")
    return others.filter(pl.col("first") < pl.col("nth"))["nth"]
