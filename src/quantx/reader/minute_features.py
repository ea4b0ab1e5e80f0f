"""Values of minute features: computed from the minutes of the requested sessions, since each session begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature
from quantx.reader.bar_request import BarRequest
from quantx.reader.bars import BarQueries
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.symbol_history import SymbolRequest

_COLUMNS = ("symbol", "date", "time", "open", "high", "low", "close", "volume", "source", "known_from")
_END = timedelta(minutes=1)  # a bar is public with the end of its minute


class MinuteFeatures(BarQueries):
    """Minutes, and the features of their sessions."""

    def _minute_bars(
        self,
        requests: Sequence[SymbolRequest],
        first: date | None,
        last: date | None,
        moment: PointInTime = NOW,
    ) -> pl.DataFrame:
        """Return the minutes of regular sessions as traded, by requested symbol, sorted; their factors are 1."""
        request = BarRequest.parse(
            [each.symbol for each in requests],
            first,
            last,
            timeframe="1m",
            as_of=moment.as_of,
            public_by=moment.public_by,
            columns=_COLUMNS,
        )
        one = pl.lit(1.0)
        rows = self._traded_of(request, requests).select(_COLUMNS)
        return rows.with_columns(one.alias("split_factor"), one.alias("total_factor"))

    def _minute_rows(
        self,
        features: Sequence[Feature],
        requests: Sequence[SymbolRequest],
        first: date | None,
        last: date | None,
        moment: PointInTime = NOW,
    ) -> pl.DataFrame:
        """Return symbol, date, time, features, source, public_at and known_from by requested symbol, sorted."""
        bars = self._minute_bars(requests, first, last, moment)
        rows = compute(features, bars).with_columns(bars["source"], (pl.col("time") + _END).alias("public_at"))
        return rows.with_columns(bars["known_from"])
