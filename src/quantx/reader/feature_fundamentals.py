"""The rows of features of fundamentals: on each bar's session, the values that were public before its close."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quantx.core.features.compute import compute_rows
from quantx.core.features.feature import Feature
from quantx.core.fundamentals.ratio_fields import MARKET_CAP, needs_prices
from quantx.core.fundamentals.ratios import market_cap
from quantx.reader.bar_request import BarRequest
from quantx.reader.concept_panels import ConceptPanelRequest
from quantx.reader.filers import FilerRequest
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.public_times import with_public_at
from quantx.reader.ratio_panels import RatioPanels, with_shares
from quantx.reader.symbol_history import SymbolRequest

_BARS = ("symbol", "date", "close", "currency", "source", "known_from")


class FundamentalFeatures(RatioPanels):
    """Features whose kernels take values of fundamentals."""

    def _fundamental_rows(
        self,
        features: Sequence[Feature],
        requests: Sequence[SymbolRequest],
        *,
        first: date | None = None,
        last: date | None = None,
        moment: PointInTime = NOW,
    ) -> pl.DataFrame:
        """Return symbol (as requested), date, the features, source, public_at and known_from, sorted.

        There is a row for each bar with any value. A fact counts from the first close after it was public, so that
        `public_at` is that of the bar.
        """
        bars = self._bars_of_features(requests, first, last, moment)
        days = bars["date"].unique().sort()
        filers = [FilerRequest(each, self._filers_of(each, None)) for each in requests]
        wanted = ConceptPanelRequest(
            fields=(), requests=[f for f in filers if f.filers], first=first, last=last, moment=moment, source=None
        )
        rows = bars.select(*_BARS[:2], *(pl.lit(None, pl.Float64).alias(f.name) for f in features), *_BARS[4:]).clear()
        if wanted.requests and days.len():
            names = [each.name for each in features]
            _, inputs = self._ratio_inputs(wanted, names, days)
            if needs_prices(names):
                inputs = with_shares(inputs, self._actions(requests, None, moment, None))
            frame = bars.join(inputs, on=["symbol", "date"], how="inner", maintain_order="left")
            if needs_prices(names):
                frame = frame.with_columns(
                    market_cap("close", "shares").alias(MARKET_CAP), pl.col("currency").alias(f"{MARKET_CAP}__unit")
                )
            values = compute_rows(features, frame).with_columns(frame["source"], frame["known_from"])
            rows = values.filter(pl.any_horizontal(pl.col(each.name).is_not_null() for each in features))
        return with_public_at(rows, self._sessions)

    def _bars_of_features(
        self, requests: Sequence[SymbolRequest], first: date | None, last: date | None, moment: PointInTime
    ) -> pl.DataFrame:
        request = BarRequest.parse(
            [each.symbol for each in requests],
            first,
            last,
            as_of=moment.as_of,
            public_by=moment.public_by,
            columns=_BARS,
        )
        return self._traded_of(request, requests).select(_BARS)
