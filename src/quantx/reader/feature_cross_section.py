"""The rows of a cross-section: the members of a universe as of each date, with values of other feature sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta

import polars as pl

from quantx.core.features.compute import compute_rows
from quantx.core.features.cross_section import SECTOR
from quantx.core.features.feature import Feature
from quantx.core.tables import INSTRUMENTS
from quantx.reader.feature_names import ChosenFeatures, chosen_features
from quantx.reader.feature_request import CLOCKS, FeatureRequest, joined
from quantx.reader.handle import LakeHandle
from quantx.reader.symbol_history import SymbolRequest

_SETTLED = timedelta(days=7)  # after its date a row is public in every market
_SOURCE = "quantx"  # the values of a row come from the rows of all members
Rows = Callable[[ChosenFeatures, FeatureRequest], pl.DataFrame]  # of the members of each date


class CrossSections(LakeHandle):
    """Features that compare the members of a universe."""

    def _cross_section_rows(self, features: Sequence[Feature], request: FeatureRequest, read: Rows) -> pl.DataFrame:
        """Return symbol (as requested), date, the features, source, public_at and known_from of the members, sorted.

        `read` returns the values of another set. A row is public when the values of all members of its date are: with
        `public_by` the dates of which some values were not public yet have no rows. Sectors are those of today.
        """
        inputs = _qualified(list(dict.fromkeys(name for each in features for name in each.inputs if name != SECTOR)))
        rows = joined([read(each, request) for each in inputs])
        rows = rows.join(self._partly_public(inputs, request, rows, read), on="date", how="anti", maintain_order="left")
        sectors = self._sectors(request.requests)
        rows = rows.with_columns(
            pl.col("symbol").replace_strict(sectors, default=None, return_dtype=pl.String).alias(SECTOR),
            pl.lit(_SOURCE).alias("source"),
            *(pl.col(name).max().over("date") for name in CLOCKS),
        )
        return compute_rows(features, rows).with_columns(rows.select("source", *CLOCKS).get_columns())

    def _partly_public(
        self, inputs: Sequence[ChosenFeatures], request: FeatureRequest, public: pl.DataFrame, read: Rows
    ) -> pl.DataFrame:
        """Return the dates of public rows on which another member's row is public only after `public_by`."""
        public_by, newest = request.moment.public_by, public["date"].max()
        if public_by is None or not isinstance(newest, date):
            return public.select("date").clear()
        first = max(public_by.date() - _SETTLED, request.first or date.min)
        every = replace(request, first=first, last=newest, moment=replace(request.moment, public_by=None))
        if first > newest:
            return public.select("date").clear()
        rows = joined([read(each, every) for each in inputs])
        return rows.filter(pl.col("public_at") > public_by).select("date").unique()

    def _sectors(self, requests: Sequence[SymbolRequest]) -> Mapping[str, str]:
        """Return the sector of each requested security, as far as it is known."""
        history, known = self._securities().history, self._stored.rows(INSTRUMENTS, columns=["instrument", "sector"])
        sectors = {instrument: sector for instrument, sector in known.iter_rows() if sector is not None}
        found = {}
        for each in requests:
            namings = history.namings_of(each.symbol)
            instrument = each.instrument or (namings[-1].instrument if namings else None)
            if instrument in sectors:
                found[each.symbol] = sectors[instrument]
        return found


def _qualified(names: Sequence[str]) -> list[ChosenFeatures]:
    """Return the features of some full names, in columns of these names."""
    return [
        ChosenFeatures(
            each.feature_set, each.features, {f.name: f"{each.feature_set.name}.{f.name}" for f in each.features}
        )
        for each in chosen_features(names)
    ]
