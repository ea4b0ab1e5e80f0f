"""The tails of series: which rows a feature needs before the first one that is wanted, and sums that go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from quantx.core.features.feature import CarriedMemory, Feature

Compute = Callable[[Sequence[str], pl.DataFrame], pl.DataFrame]  # some features of bars

_GROUPS = (1, 64, 300, 1_000, 3_000)  # rows of memory; features of one group are computed over the same rows
PLACE = "__place"  # rows after the first wanted one of the symbol; negative before it


def rows_before(features: Sequence[Feature]) -> int:
    """Return the number of rows before the first wanted one from which all features are exact."""
    return max((_memory(each) for each in features), default=0)


def computed_tail(
    features: Sequence[Feature], bars: pl.DataFrame, stored: pl.DataFrame, compute: Compute
) -> pl.DataFrame:
    """Return symbol, date and the features of the rows from place 0 on.

    `bars` are those of `compute` with PLACE; each symbol has `rows_before` rows before place 0. `stored` has symbol and
    the carried features of the row at place −1, in that day's units. A carried feature without it is null everywhere.
    """
    wanted = bars.filter(pl.col(PLACE) >= 0).select("symbol", "date")
    for count, group in _grouped(features):
        rows = bars.filter(pl.col(PLACE) >= -count).drop(PLACE)
        places = bars.filter(pl.col(PLACE) >= -count)[PLACE]
        values = compute([each.name for each in group], rows).with_columns(places)
        carried = [each for each in group if isinstance(each.memory, CarriedMemory)]
        if carried:
            values = _continued(carried, values, rows, stored)
        wanted = wanted.with_columns(values.filter(pl.col(PLACE) >= 0).select(each.name for each in group))
    return wanted.select("symbol", "date", *(each.name for each in features))


def _memory(feature: Feature) -> int:
    memory = feature.memory
    return max(1, memory.rows) if isinstance(memory, CarriedMemory) else memory.count


def _grouped(features: Sequence[Feature]) -> list[tuple[int, list[Feature]]]:
    """Return features of about the same memory together, with the rows that the longest of them needs."""
    groups: dict[int, list[Feature]] = {}
    for each in features:
        count = _memory(each)
        groups.setdefault(next((limit for limit in _GROUPS if count <= limit), count), []).append(each)
    return [(rows_before(group), group) for _, group in sorted(groups.items())]


def _continued(
    features: Sequence[Feature], values: pl.DataFrame, bars: pl.DataFrame, stored: pl.DataFrame
) -> pl.DataFrame:
    """Return the values of carried features as if their recursion had gone on from the stored ones.

    In adjusted units the difference to the whole series shrinks by `decay` with each value, so that in the units of a
    day it changes with the factor of the day.
    """
    names = [each.name for each in features]
    start = stored.select("symbol", *(pl.col(name).alias(f"{name}__stored") for name in names))
    rows = values.with_columns(bars["split_factor"], bars["total_factor"])
    rows = rows.join(start, on="symbol", how="left", maintain_order="left")
    return rows.with_columns(_continued_value(each) for each in features).select(values.columns)


def _continued_value(feature: Feature) -> pl.Expr:
    assert isinstance(feature.memory, CarriedMemory), feature.name
    value, before = pl.col(feature.name), pl.col(PLACE) == -1

    def at_start(of: pl.Expr) -> pl.Expr:
        return of.filter(before).first().over("symbol")

    difference = pl.col(f"{feature.name}__stored") - at_start(value)
    steps = (value.is_not_null() & (pl.col(PLACE) >= 0)).cum_sum().over("symbol")
    scale = _scale(feature)
    if scale is not None:
        difference = difference * scale / at_start(scale)
    return value + difference * pl.lit(feature.memory.decay) ** steps


def _scale(feature: Feature) -> pl.Expr | None:
    """Return what a value in the units of a day is in proportion to; None: it has no units that change."""
    if feature.basis == "traded":
        return None
    if feature.unit == "shares":
        return pl.col("split_factor")
    if feature.unit == "price":
        return 1 / pl.col(f"{feature.basis}_factor")
    return None
