"""Queries about feature sets: what is declared, and what of it is stored."""

from __future__ import annotations

import polars as pl

from quantx.core.features.feature import FeatureSet
from quantx.core.features.sets import SETS
from quantx.core.features.tables import table_of
from quantx.core.table import INSTANT
from quantx.reader.feature_changes import inputs_of
from quantx.reader.features import FeatureQueries
from quantx.reader.stored import one_state

_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "set": pl.String,
    "title": pl.String,
    "timeframe": pl.String,
    "features": pl.Int64,
    "definition": pl.String,
    "state": pl.String,
    "rows": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
    "built_at": INSTANT,
    "kernels": pl.String,
}


class FeatureSetQueries(FeatureQueries):
    """The feature sets of the registry, and their tables."""

    @one_state
    def feature_sets(self) -> pl.DataFrame:
        """Return a row per feature set: what is declared, and what of it is stored.

        Columns: set, title, timeframe, features (count), definition (hash), state, rows, first, last, built_at,
        kernels. `state` is stored, inputs changed (an input has a newer version), another definition, or not stored.
        `first` and `last` are days; `built_at` (UTC) is the last commit, `kernels` the libraries that computed.
        """
        return pl.DataFrame([self._set_facts(each) for each in SETS.values()], schema=_SCHEMA)

    def _set_facts(self, feature_set: FeatureSet) -> dict[str, object]:
        version, record = self._stored.version(table_of(feature_set)), self._record_of(feature_set)
        files = () if version is None else version.files
        declared = {
            "set": feature_set.name,
            "title": feature_set.title,
            "timeframe": feature_set.timeframe,
            "features": len(feature_set.features),
            "definition": feature_set.hash,
            "state": "not stored",
        }
        if record is None:
            return declared
        current = record.inputs == self._table_versions(inputs_of(feature_set)) and self._is_whole(feature_set, record)
        state = "stored" if current else "inputs changed"
        return {
            **declared,
            "state": state if record.definition == feature_set.hash else "another definition",
            "rows": sum(file.rows for file in files),
            "first": min((f.first_day for f in files if f.first_day is not None), default=None),
            "last": max((f.last_day for f in files if f.last_day is not None), default=None),
            "built_at": record.at,
            "kernels": ", ".join(f"{name} {number}" for name, number in record.kernels.items()),
        }
