"""The features of a study: which ones its names mean, and their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import BARS, Feature, definition_hash
from quantx.core.features.sets import SETS
from quantx.core.prices import Adjust
from quantx.errors import ConfigError
from quantx.reader.arguments import did_you_mean

if TYPE_CHECKING:
    from quantx.reader.lake import Lake
    from quantx.research.study import Study


@dataclass(frozen=True)
class StudyFeatures:
    """The features of a study, by their column in its table: as in technical.rsi_14."""

    by_column: Mapping[str, Feature]

    @property
    def columns(self) -> list[str]:
        """Return the columns, in the order of the study."""
        return list(self.by_column)

    @property
    def hash(self) -> str:
        """Return the hash of their definitions."""
        return definition_hash(list(self.by_column.values()))


def chosen_features(names: Sequence[str]) -> StudyFeatures:
    """Return the features that names of sets and of features mean; ConfigError for unknown ones and for labels."""
    found: dict[str, Feature] = {}
    daily = [one for one in SETS.values() if one.timeframe == "1d"]
    every = {f"{one.name}.{each.name}": each for one in daily for each in one.features}
    for name in names:
        if name in SETS:
            matches = {f"{name}.{each.name}": each for each in SETS[name].features}
        elif name in every:
            matches = {name: every[name]}
        else:
            matches = {column: each for column, each in every.items() if each.name == name}
        if len(matches) > 1 and name not in SETS:
            raise ConfigError(f"features: {name} is in several sets; use {' or '.join(matches)}")
        if not matches:
            raise ConfigError(
                f"features: there is no feature or set {name}{did_you_mean(name, [*SETS, *every])}; the sets are"
                f" {', '.join(SETS)}, and `quantx features list` shows their features"
            )
        found |= matches
    labels = [column for column, each in found.items() if each.kind == "label"]
    if labels:
        raise ConfigError(f"features: {labels[0]} is a label: it looks into the future; a label can't be an input")
    return StudyFeatures(found)


def who_of(study: Study) -> dict[str, Any]:
    """Return the arguments of queries for the securities of a study."""
    return {"symbols": list(study.symbols)} if study.universe is None else {"universe": study.universe}


def computed_features(lake: Lake, study: Study, chosen: StudyFeatures, until: date) -> pl.DataFrame:
    """Return symbol, date and a column per feature, computed from bars up to a day as if there were none later.

    Only features of the kind `series` can be computed so; others are left out.
    """
    series = {column: each for column, each in chosen.by_column.items() if each.kind == "series"}
    read = {**who_of(study), "end": until, "as_of": study.as_of, "base": until}
    traded = _long(lake.panel(list(BARS), **read), BARS)
    of_factors: tuple[tuple[str, Adjust], ...] = (("split_factor", "split"), ("total_factor", "total"))
    for name, adjust in of_factors:
        adjusted = _long(lake.panel(["close", "open"], adjust=adjust, **read), ("close", "open"))
        factors = adjusted.select("symbol", "date", pl.col("close").alias(name))
        traded = traded.join(factors, on=["symbol", "date"], how="left", maintain_order="left")
        ratio = pl.col(name) / pl.col("close")
        traded = traded.with_columns((ratio / ratio.first().over("symbol")).alias(name))
    # Two sets may have features of one name: each set is computed by itself.
    frame = traded.select("symbol", "date")
    for one in dict.fromkeys(column.partition(".")[0] for column in series):
        own = {column: each for column, each in series.items() if column.partition(".")[0] == one}
        values = compute(list(own.values()), traded)
        frame = frame.hstack(values.select(pl.col(each.name).alias(column) for column, each in own.items()))
    return frame


def _long(panel: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a panel with a bar: symbol, date and the fields, sorted by both."""
    symbols = [name.removeprefix(f"{fields[0]}_") for name in panel.columns if name.startswith(f"{fields[0]}_")]
    parts = [
        panel.select(pl.lit(symbol).alias("symbol"), "date", *(pl.col(f"{f}_{symbol}").alias(f) for f in fields))
        for symbol in symbols
    ]
    if not parts:
        schema = {"symbol": pl.String, "date": pl.Date, **dict.fromkeys(fields, pl.Float64)}
        return pl.DataFrame(schema=schema)
    return pl.concat(parts).drop_nulls("close")
