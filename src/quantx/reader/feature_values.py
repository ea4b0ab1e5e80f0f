"""Computed rows of features: of bars, of labels, and of fundamentals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature, Kind
from quantx.core.features.labels import label_ends
from quantx.errors import ConfigError
from quantx.reader.feature_inputs import FeatureInputs
from quantx.reader.feature_options import OptionFeatures
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.public_times import with_public_at
from quantx.reader.symbol_history import SymbolRequest

LABEL_END = "label_end"


class FeatureValues(FeatureInputs, OptionFeatures):
    """Rows of features that are computed from the present tables."""

    def _computed_rows(
        self,
        features: Sequence[Feature],
        requests: Sequence[SymbolRequest],
        *,
        first: date | None = None,
        last: date | None = None,
        moment: PointInTime = NOW,
    ) -> pl.DataFrame:
        """Return symbol (as requested), date, the features, label_end (of labels), source, public_at and known_from."""
        kind = kind_of(features)
        if kind == "fundamental":
            return self._fundamental_rows(features, requests, first=first, last=last, moment=moment)
        if kind == "option":
            return self._option_rows(features, requests, first=first, last=last, moment=moment)
        if kind == "cross_section":
            raise ConfigError(
                "features of a cross-section compare members; give their universe: universe=… (--universe)"
            )
        # A label looks forward: its bars end where the world's clock stops, and not with the last row that is shown.
        bars = self._feature_bars(requests, last=None if kind == "label" else last, moment=moment)
        rows = self._feature_rows(features, bars, compute(features, bars))
        wanted = [pl.col("date") >= first] if first is not None else []
        wanted += [pl.col("date") <= last] if last is not None else []
        return rows.filter(wanted) if wanted else rows

    def _feature_rows(self, features: Sequence[Feature], bars: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return the values with the source, `public_at` and `known_from` of their bars; all have the same rows.

        A label is public with the last bar that it uses.
        """
        if bars.height != values.height:
            raise ValueError(f"{values.height} rows of features for {bars.height} bars")
        rows = values.with_columns(bars["source"], bars["known_from"])
        if kind_of(features) != "label":
            return with_public_at(rows, self._sessions)
        ends = label_ends(features, bars, values)
        used = rows.select("symbol", pl.coalesce(ends, "date").alias("date"))
        return rows.with_columns(ends, with_public_at(used, self._sessions)["public_at"])


def kind_of(features: Sequence[Feature]) -> Kind:
    """Return the kind of the features of one set."""
    return features[0].kind
