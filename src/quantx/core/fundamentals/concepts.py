"""Standard concepts per period, made of the facts that filers report.

The rows are right for every `public_by`: each is the value that the facts public at its `public_at` make, by the rules
of the map. Periods are told apart by their days, never by the labels of a filing.
"""

from __future__ import annotations

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.fundamentals.concept_facts import ConceptFacts, concept_facts
from quantx.core.fundamentals.concept_map import Concept, ConceptMap, Part, parse_formula
from quantx.core.fundamentals.periods import concept_of, of_concept
from quantx.core.fundamentals.slots import slots
from quantx.core.fundamentals.values import rows_of
from quantx.core.fundamentals.versions import VERSION, changes, combine, resolve

_FORMULAS = 1_000  # the rank of the first formula: behind those of tags


def concept_values(facts: pl.DataFrame, concepts: ConceptMap) -> pl.DataFrame:
    """Return the rows of FUNDAMENTALS that all facts of some filers make (columns of FUNDAMENTALS_FACTS)."""
    if facts.is_empty():
        return FUNDAMENTALS.empty()
    chosen = concept_facts(facts, concepts)
    if chosen.candidates.is_empty():
        return FUNDAMENTALS.empty()
    periods = slots(reported(chosen, concepts), concepts)
    return rows_of(periods, chosen, concepts, facts)


def reported(chosen: ConceptFacts, concepts: ConceptMap) -> pl.DataFrame:
    """Return the versions of each concept and period that filers report, or that formulas make of one period."""
    made = list[pl.DataFrame]()
    waiting = dict(enumerate(concepts.concepts.values()))
    numbers = {name: number for number, name in enumerate(concepts.concepts)}
    while waiting:
        level = {n: c for n, c in waiting.items() if not any(numbers[p.concept] in waiting for p in _parts(c))}
        candidates = [chosen.candidates.filter(concept_of(pl.col("key")).is_in(list(level)))]
        known = pl.concat(made) if made else None
        for number, concept in level.items():
            if known is not None:
                candidates += [
                    _computed(known, number, rank, parse_formula(text), numbers)
                    for rank, text in enumerate(concept.formulas, start=_FORMULAS)
                ]
        made.append(_resolved(pl.concat(candidates), level))
        waiting = {n: c for n, c in waiting.items() if n not in level}
    return pl.concat(made)


def _parts(concept: Concept) -> list[Part]:
    return [part for text in concept.formulas for part in parse_formula(text)]


def _computed(
    known: pl.DataFrame, number: int, rank: int, parts: tuple[Part, ...], numbers: dict[str, int]
) -> pl.DataFrame:
    """Return the versions that a formula makes, as candidates."""
    members = []
    for part in parts:
        cells = known.filter(concept_of(pl.col("key")) == numbers[part.concept]).select(cell="key").unique()
        members.append(
            cells.with_columns(
                of_concept(pl.col("cell"), number).alias("chain"),
                pl.lit(part.sign, pl.Int32).alias("sign"),
                pl.lit(not part.optional).alias("required"),
            )
        )
    found = pl.concat(members)
    for part, own in zip(parts, members, strict=True):
        if not part.optional:
            found = found.join(own, on="chain", how="semi")
    made = combine(found, known).rename({"chain": "key"})
    return made.with_columns(pl.lit(rank, pl.UInt64).alias("member")).select(
        "key", "member", "at", "nth", "value", "facts"
    )


def _resolved(candidates: pl.DataFrame, level: dict[int, Concept]) -> pl.DataFrame:
    """Return the versions of some concepts, each by the rule that decides among its candidates.

    A formula has no filing of its own: it counts as filed with the newest candidate.
    """
    concept = concept_of(pl.col("key"))
    newest, larger, sizeable = (
        concept.is_in([n for n, c in level.items() if c.rule == rule]) for rule in ("newest", "larger", "sizeable")
    )
    least = pl.when(larger).then(1 / 2).when(sizeable).then(1 / 3)
    low = (pl.col("value") < least * pl.col("value").max().over("key", "event")).fill_null(False)
    last = pl.col("at").max().over("key", "event")
    filed = pl.when(pl.col("member") >= _FORMULAS).then(last).otherwise("at")
    order = [
        low,
        pl.when(newest | larger).then(-filed.dt.epoch("us")).otherwise(0),
        pl.when(larger).then(-pl.col("value")).otherwise(0.0),
        pl.col("member"),
    ]
    return changes(resolve(candidates, order)).select(VERSION)
