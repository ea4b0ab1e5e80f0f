"""The value of each concept at each quarter and year, and of the four quarters before, through time. Pure."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quantx.core.fundamentals import reasons
from quantx.core.fundamentals.concept_map import Concept, ConceptMap
from quantx.core.fundamentals.periods import (
    QUARTER,
    YEAR,
    cell_key,
    concept_of,
    end_of,
    filer_of,
    length,
    slot_key,
    start_of,
    unit_of,
)
from quantx.core.fundamentals.versions import VERSION, changes, combine, resolve

PERIODS = ("quarter", "annual", "ttm")
STALE_DAYS = 400
_RANK_OF_NULLS = 9
_SLOT = (*VERSION, "member", "rank", "reason")


def slots(cells: pl.DataFrame, concepts: ConceptMap) -> pl.DataFrame:
    """Return the versions of all slots: `period`, key of the slot, `cell` (key of the period) and `reason` of a null.

    `cells`: versions of the reported values of each concept, unit and period.
    """
    durations = _described(_of(cells, concepts, lambda concept: concept.kind == "duration"))
    adding = [number for number, concept in enumerate(concepts.concepts.values()) if concept.adds_up]
    parts = [_slots_of_durations(durations, adding), _slots_of_balances(cells, durations, concepts)]
    return pl.concat(
        _chosen(_without_idle_nulls(pl.concat([*parts[0][period], *parts[1][period]]))).with_columns(
            pl.lit(period).alias("period")
        )
        for period in PERIODS
    )


def _slots_of_durations(durations: pl.DataFrame, adding: list[int]) -> dict[str, list[pl.DataFrame]]:
    """Return the candidates of each kind of period; the concepts `adding` may be summed and subtracted."""
    quarters = _quarters(durations, adding)
    years = durations.filter(length().is_between(*YEAR))
    four = _four_quarters(quarters.filter(pl.col("concept").is_in(adding)))
    to_date = _year_to_date(durations.filter(pl.col("concept").is_in(adding)), years, four)
    stale = _stale(durations, _period_ends(durations))
    longer = durations.filter(length() > QUARTER[1])
    return {
        "quarter": [_stream(quarters), _nulls(longer, _reason(adding, reasons.NO_SAME_START)), stale],
        "annual": [_stream(years)],
        "ttm": [
            _stream(years),
            _stream(four, rank=1),
            _stream(to_date, rank=2),
            _nulls(durations, _reason(adding, reasons.MISSING_QUARTER)),
            stale,
        ],
    }


def _slots_of_balances(
    cells: pl.DataFrame, durations: pl.DataFrame, concepts: ConceptMap
) -> dict[str, list[pl.DataFrame]]:
    """Return the candidates of balances at the ends of quarters and years."""
    sheets = _described(_of(cells, concepts, lambda concept: concept.dates_balance_sheet))
    ends = _period_ends(pl.concat([durations, sheets]))
    year_ends = _period_ends(durations.filter(length().is_between(*YEAR)))
    free = _of(cells, concepts, lambda concept: concept.kind == "instant" and concept.any_day)
    bound = _of(cells, concepts, lambda concept: concept.kind == "instant" and not concept.any_day)
    expected = [number for number, concept in enumerate(concepts.concepts.values()) if concept.expected]
    return {
        "quarter": [_stream(_at_ends(bound, ends)), _stream(free), _absent(_period_ends(sheets), expected)],
        "annual": [_stream(_at_ends(bound, year_ends))],
        "ttm": [],
    }


def _of(cells: pl.DataFrame, concepts: ConceptMap, wanted: Callable[[Concept], bool]) -> pl.DataFrame:
    """Return the versions of some concepts."""
    numbers = [number for number, concept in enumerate(concepts.concepts.values()) if wanted(concept)]
    return cells.filter(concept_of(pl.col("key")).is_in(numbers))


def _without_idle_nulls(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return candidates without the nulls that are known no earlier than a value of their slot."""
    null = pl.col("rank") == _RANK_OF_NULLS
    values, nulls = candidates.filter(~null), candidates.filter(null)
    since = values.group_by("key").agg(pl.col("at").min().alias("since"))
    early = (pl.col("at") < pl.col("since")).fill_null(True)
    return pl.concat([values, nulls.join(since, on="key", how="left").filter(early).drop("since")])


def _described(cells: pl.DataFrame) -> pl.DataFrame:
    """Return versions with the parts of their keys."""
    key = pl.col("key")
    return cells.with_columns(
        filer_of(key).alias("filer"),
        concept_of(key).alias("concept"),
        unit_of(key).alias("unit"),
        start_of(key).alias("start"),
        end_of(key).alias("end"),
    )


def _quarters(durations: pl.DataFrame, adding: list[int]) -> pl.DataFrame:
    """Return the versions of quarters: reported ones, else differences of two periods with the same start."""
    single = durations.filter(length().is_between(*QUARTER)).with_columns(pl.lit(0, pl.UInt64).alias("member"))
    cells = durations.filter(pl.col("concept").is_in(adding)).select(*_OF_CELL).unique("key")
    same = ["filer", "concept", "unit", "start"]
    pairs = cells.join(cells, on=same, suffix="_short").filter(length("end_short", "end").is_between(*QUARTER))
    pairs = pairs.with_columns(
        _moved(pl.col("end_short").dt.offset_by("1d"), pl.col("end")).alias("quarter"),
        length().cast(pl.UInt64).alias("member"),
    ).with_row_index("chain")
    members = [
        pairs.select("chain", cell="key", sign=pl.lit(1, pl.Int32), required=pl.lit(True)),
        pairs.select("chain", cell="key_short", sign=pl.lit(-1, pl.Int32), required=pl.lit(True)),
    ]
    derived = combine(pl.concat(members), durations).join(
        pairs.select("chain", key="quarter", member="member"), on="chain"
    )
    both = pl.concat([single.select(*VERSION, "member"), derived.select(*VERSION, "member")])
    return _described(changes(resolve(both, [pl.col("member")])).select(VERSION))


_OF_CELL = ("key", "filer", "concept", "unit", "start", "end")


def _moved(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    return cell_key(pl.col("filer"), pl.col("concept"), pl.col("unit"), start, end)


def _four_quarters(quarters: pl.DataFrame) -> pl.DataFrame:
    """Return the sums of four quarters of which each begins on the day after the one before."""
    cells = quarters.select(*_OF_CELL).unique("key")
    same = ["filer", "concept", "unit"]
    chain = cells.rename({"key": "key_1"})
    for nth in (2, 3, 4):
        before = cells.select(
            *same, "start", pl.col("end").dt.offset_by("1d").alias("next"), pl.col("key").alias(f"key_{nth}")
        )
        chain = chain.join(before, left_on=[*same, "start"], right_on=[*same, "next"], suffix="_before")
        chain = chain.drop("start").rename({"start_before": "start"})
    chain = chain.filter(length().is_between(*YEAR)).with_columns(_moved(pl.col("start"), pl.col("end")).alias("key"))
    return _summed(chain, {f"key_{nth}": 1 for nth in (1, 2, 3, 4)}, quarters)


def _year_to_date(durations: pl.DataFrame, years: pl.DataFrame, better: pl.DataFrame) -> pl.DataFrame:
    """Return a year, plus the part of the next one, less the part of the year that is as long and has its start.

    `better` are versions that count instead from the first one on.
    """
    same = ["filer", "concept", "unit"]
    cells = durations.select(*_OF_CELL).unique("key").filter(length() < YEAR[0])
    year = years.select("key", *same, "start", pl.col("end").dt.offset_by("1d").alias("next")).unique("key")
    chain = (
        year.join(cells, left_on=[*same, "next"], right_on=[*same, "start"], suffix="_now")
        .join(cells.rename({"end": "end_before", "key": "key_before"}), on=[*same, "start"])
        .filter((length("next", "end") - length("start", "end_before")).abs() <= 8)
        .with_columns(pl.col("end_before").dt.offset_by("1d").alias("start"))
        .filter(length().is_between(*YEAR))
        .rename({"key": "key_year"})
        .with_columns(_moved(pl.col("start"), pl.col("end")).alias("key"))
    )
    since = better.group_by("key").agg(pl.col("at").min().alias("better_at"))
    first = durations.group_by("key").agg(pl.col("at").min().alias("now_at"))
    chain = chain.join(first, left_on="key_now", right_on="key").join(since, on="key", how="left")
    chain = chain.filter((pl.col("better_at") > pl.col("now_at")).fill_null(True))
    return _summed(chain, {"key_year": 1, "key_now": 1, "key_before": -1}, durations)


def _summed(chains: pl.DataFrame, parts: dict[str, int], versions: pl.DataFrame) -> pl.DataFrame:
    """Return the versions of sums; `parts`: column with the key of a part → sign."""
    chains = chains.with_row_index("chain")
    members = [
        chains.select("chain", cell=column, sign=pl.lit(sign, pl.Int32), required=pl.lit(True))
        for column, sign in parts.items()
    ]
    made = combine(pl.concat(members), versions).join(chains.select("chain", "key"), on="chain")
    return made.select(VERSION)


def _period_ends(described: pl.DataFrame) -> pl.DataFrame:
    """Return the ends of periods with the first report of each."""
    return described.select("filer", "end", "at", "nth").sort("nth").unique(["filer", "end"], keep="first")


def _at_ends(instants: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Return the versions of instants that are ends of periods, from the time at which this is known."""
    key = pl.col("key")
    joined = instants.with_columns(filer_of(key).alias("filer"), end_of(key).alias("end")).join(
        ends.rename({"at": "end_at", "nth": "end_nth"}), on=["filer", "end"]
    )
    later = pl.col("end_at") > pl.col("at")
    return (
        joined.sort("key", "at", "nth")
        .with_columns(
            pl.when(later).then("end_at").otherwise("at").alias("at"),
            pl.when(later).then("end_nth").otherwise("nth").alias("nth"),
        )
        .unique(["key", "at"], keep="last", maintain_order=True)
        .select(VERSION)
    )


def _stream(versions: pl.DataFrame, rank: int = 0) -> pl.DataFrame:
    """Return the versions of periods as candidates of their slots; at equal rank the one that changed last counts."""
    key = pl.col("key")
    return versions.select(
        slot_key(filer_of(key), concept_of(key), end_of(key)).alias("key"),
        *VERSION[1:],
        key.alias("member"),
        pl.lit(rank, pl.UInt8).alias("rank"),
        pl.lit(None, pl.String).alias("reason"),
    )


def _reason(adding: list[int], reason: str) -> pl.Expr:
    other = pl.lit(reasons.NOT_ADDITIVE)
    return pl.when(concept_of(pl.col("key")).is_in(adding)).then(pl.lit(reason)).otherwise(other)


def _nulls(versions: pl.DataFrame, reason: pl.Expr) -> pl.DataFrame:
    """Return nulls at the ends of periods, which count until there is a value."""
    key = pl.col("key")
    nulls = versions.select(
        slot_key(filer_of(key), concept_of(key), end_of(key)).alias("key"),
        "at",
        "nth",
        pl.lit(None, pl.Float64).alias("value"),
        pl.lit(None, pl.List(pl.Int32)).alias("facts"),
        pl.lit(0, pl.UInt64).alias("member"),
        pl.lit(_RANK_OF_NULLS, pl.UInt8).alias("rank"),
        reason.alias("reason"),
    )
    return nulls.sort("nth").unique("key", keep="first")


def _stale(durations: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Return nulls at ends of periods without the concepts that the filer reported within 400 days before."""
    own = (
        durations.sort("nth")
        .unique(["filer", "concept", "end"], keep="first")
        .select("filer", "concept", "end", "at", "nth")
    )
    by_then = own.select("filer", "concept", "end", known="at")
    without = (
        own.select("filer", "concept")
        .unique()
        .join(ends, on="filer")
        .join(by_then, on=["filer", "concept", "end"], how="left")
        .filter((pl.col("known") > pl.col("at")).fill_null(True))
        .join(own, on=["filer", "concept"], suffix="_own")
        .filter(length("end_own", "end").is_between(1, STALE_DAYS))
        .with_columns(pl.max_horizontal("at", "at_own").alias("at"), pl.max_horizontal("nth", "nth_own").alias("nth"))
    )
    key = slot_key(pl.col("filer"), pl.col("concept"), pl.col("end"))
    return _nulls(without.select(key.alias("key"), "at", "nth"), pl.lit(reasons.STALE))


def _absent(sheets: pl.DataFrame, expected: list[int]) -> pl.DataFrame:
    """Return nulls of the concepts that each balance sheet should have."""
    each = sheets.join(pl.DataFrame({"concept": expected}, schema={"concept": pl.UInt64}), how="cross")
    key = slot_key(pl.col("filer"), pl.col("concept"), pl.col("end"))
    return _nulls(each.select(key.alias("key"), "at", "nth"), pl.lit(reasons.NO_TOTAL))


def _chosen(candidates: pl.DataFrame) -> pl.DataFrame:
    """Return the versions of the slots."""
    order = [pl.col("rank"), -pl.col("at").dt.epoch("us"), pl.col("member")]
    best = resolve(candidates.select(_SLOT), order, ("rank", "member"))
    return changes(best).rename({"member": "cell"}).drop("rank")
