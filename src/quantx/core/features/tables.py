"""The tables of stored features: one per feature set, declared by the registry.

A row has the values of one symbol's session (of minutes: of one minute) in the as-traded units of that day, under the
symbol that the security carried on that day. `public_at` is when the last input of the row was public.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.sets import SETS
from quantx.core.table import INSTANT, Table

ZONE = "features"
TOLERANCE = 1e-9  # relative; a tail differs from the whole series in the last digits
_ROWS_PER_FILE = 400_000  # of 45 columns: 60 MB
_UNITS = {"ratio": "ratio", "price": "`currency` per share", "shares": "shares", "currency": "`currency`"}

_FIRST: Mapping[str, pl.DataType | type[pl.DataType]] = {"symbol": pl.String, "date": pl.Date}
_LAST: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,
    "public_at": INSTANT,
    "known_from": INSTANT,
}


@cache
def table_of(feature_set: FeatureSet) -> Table:
    """Return the table that stores a feature set."""
    minutes = feature_set.timeframe == "1m"
    kinds = {each.kind for each in feature_set.features}
    schema: dict[str, pl.DataType | type[pl.DataType]] = {"month" if minutes else "year": pl.Int32}
    schema |= {"universe": pl.String} if "cross_section" in kinds else {}
    schema |= {**_FIRST, **({"time": INSTANT} if minutes else {})}
    schema |= dict.fromkeys(feature_set.names, pl.Float64)
    schema |= {"label_end": pl.Date} if "label" in kinds else {}
    moment = "time" if minutes else "date"
    key = (*(["universe"] if "universe" in schema else []), "symbol", moment)
    return Table(
        feature_set.table_name,
        {**schema, **_LAST},
        partitions=("month" if minutes else "year",),
        key=key,
        sort=key,
        values=(*feature_set.names, *(["label_end"] if "label_end" in schema else []), "public_at"),
        relative_tolerance=dict.fromkeys(feature_set.names, TOLERANCE),
        rows_per_file=_ROWS_PER_FILE,
        null_is_unknown=False,  # warm-up, or no value
        zone=ZONE,
    )


FEATURE_TABLES: tuple[Table, ...] = tuple(table_of(each) for each in SETS.values())
_SETS = {each.table_name: each for each in SETS.values()}


def feature_of(table: Table, column: str) -> Feature | None:
    """Return the feature that a column of a table stores; None for the other columns."""
    feature_set = _SETS.get(table.name.removesuffix("_revisions"))
    if feature_set is None or column not in feature_set.names:
        return None
    return feature_set.features[feature_set.names.index(column)]


def unit_of(feature: Feature) -> str:
    """Return the unit of a feature's values for the dictionary of columns."""
    return _UNITS[feature.unit]
