"""The query that explains a feature's value: its formula, inputs, factors, rows, and the build that stored it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quantx.core.features.feature import CarriedMemory, Feature
from quantx.core.features.tables import table_of
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, to_date
from quantx.reader.explain.feature_value import FeatureValue
from quantx.reader.feature_changes import EVERYTHING, inputs_of
from quantx.reader.feature_names import ChosenFeatures, chosen_features
from quantx.reader.feature_request import FeatureRequest
from quantx.reader.feature_sets import FeatureSetQueries
from quantx.reader.feature_values import kind_of
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state


class FeatureExplanations(FeatureSetQueries):
    """Explanations of features."""

    @one_state
    def explain_feature(
        self,
        symbol: str,
        day: Day,
        name: str,
        *,
        universe: str | None = None,
        as_of: Day | None = None,
        public_by: Day | None = None,
    ) -> FeatureValue:
        """Explain a feature of a symbol's session, as in technical.rsi_14; a cross-section needs a universe.

        The explanation has the formula and its source, the inputs of the day as traded with the factors by which the
        kernel sees them, the rows that the value depends on, the kernels' versions, the versions of the input tables,
        and the values that builds have replaced. Raises as `features` does.
        """
        chosen, on = chosen_features(name), to_date(day)
        if len(chosen) != 1 or len(chosen[0].features) != 1 or on is None:
            raise ConfigError(f"an explanation needs one feature and a day, as in technical.rsi_14; not {name!r}")
        [one] = chosen
        moment, feature = PointInTime.parse(as_of, public_by), one.features[0]
        own = self._feature_request(symbol, None, on, on, moment, None)
        request = own if universe is None else self._feature_request(None, universe, on, on, moment, None)
        rows = self._features_of(one, request, members_only=universe is not None)
        found = rows.filter(pl.col("symbol") == own.requests[0].symbol)
        row = found.row(0, named=True) if found.height else None
        record = self._usable_record(one, request)
        stored = record is not None and self._is_stored(one, request)
        return FeatureValue(
            subject=f"{own.requests[0].symbol} {on}",
            feature=f"{one.feature_set.name}.{feature.name}",
            value=None if row is None else row[one.columns[feature.name]],
            unit=feature.unit,
            formula=feature.formula,
            formula_source=feature.source,
            definition=one.feature_set.hash,
            row=None if row is None else {name: row[name] for name in ("public_at", "known_from")},
            stored=stored,
            inputs=self._inputs_of(feature, own) if row is not None else {},
            window=self._window_of(feature, own) if row is not None else {},
            kernels=record.kernels if record is not None and stored else {},
            versions=record.inputs
            if record is not None and stored
            else self._table_versions(inputs_of(one.feature_set)),
            revisions=self._feature_revisions(one, request, own) if stored else (),
            day=on,
        )

    def _is_stored(self, chosen: ChosenFeatures, request: FeatureRequest) -> bool:
        """Return whether the row of the requested day is a stored one."""
        assert request.first is not None
        if kind_of(chosen.features) == "cross_section":
            day = self._first_stale_day(chosen, request)
        else:
            day = min(self._stale_days(chosen, request).values(), default=None)
        return day is None or (day != EVERYTHING and request.first < day)

    def _inputs_of(self, feature: Feature, request: FeatureRequest) -> Mapping[str, Any]:
        """Return the inputs of the day: of bars with their factors; of a cross-section the values of other sets."""
        if kind_of([feature]) == "cross_section":
            names = [name for name in feature.inputs if "." in name]
            rows = {name: self._features_of(chosen_features(name)[0], request, members_only=False) for name in names}
            return {name: row[name.rpartition(".")[2]][0] for name, row in rows.items() if row.height}
        bars = self._feature_bars(request.requests, last=request.last, moment=request.moment)
        wanted = [name for name in feature.inputs if name in bars.columns]
        factors = [] if feature.basis == "traded" else [f"{feature.basis}_factor"]
        shown = bars.filter(pl.col("date") == request.first).select("source", *wanted, *factors)
        found = dict(shown.row(0, named=True)) if shown.height else {}
        filed = [name for name in feature.inputs if name not in bars.columns]
        hint = f"`quantx explain {request.requests[0].symbol} DAY --concept NAME` explains each"
        return {**found, **({"of filings": f"{', '.join(filed)}; {hint}"} if filed else {})}

    def _window_of(self, feature: Feature, request: FeatureRequest) -> Mapping[str, Any]:
        """Return the rows that a value of a series depends on."""
        if feature.kind not in ("series", "label"):
            return {}
        bars = self._feature_bars(request.requests, last=None if feature.kind == "label" else request.last)
        days = bars["date"].to_list()
        if request.first not in days:
            return {}
        at = days.index(request.first)
        if feature.kind == "label":
            return {"last row that it uses": days[min(at + feature.horizon, len(days) - 1)]}
        whole = isinstance(feature.memory, CarriedMemory)
        begin = 0 if whole else max(0, at - feature.memory.count)
        why = "the whole series, with a weight that falls" if whole else "earlier ones change it by less than 1e-9"
        return {"first row": days[begin], "rows": at - begin + 1, "why": why, "base of the factors": days[0]}

    def _feature_revisions(
        self, chosen: ChosenFeatures, request: FeatureRequest, own: FeatureRequest
    ) -> list[dict[str, Any]]:
        """Return the replaced values of a row, the oldest first."""
        table, feature = table_of(chosen.feature_set), chosen.features[0]
        wanted = Selection.of(self._securities().stored_symbols(own.requests)).between(own.first, own.last)
        if request.universe is not None:
            wanted = wanted.filtered(pl.col("universe") == pl.lit(request.universe))
        rows = self._stored.rows(table.revisions, wanted)
        rows = self._securities().rows_of_day(rows, own.requests, "date").sort("known_from")
        return rows.select(pl.col(feature.name).alias("value"), "known_from", "known_to").to_dicts()
