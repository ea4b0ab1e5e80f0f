"""The inputs of features that are functions of bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl

from quantx.core.adjustment import AdjustmentSteps, with_forward_adjustments
from quantx.core.tables import BARS_1D
from quantx.reader.bar_request import BarRequest
from quantx.reader.bars import BarQueries
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.symbol_history import SymbolRequest

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "date", *PRICES, "volume", "source", "known_from")


class FeatureInputs(BarQueries):
    """Bars with the factors by which kernels see them."""

    def _feature_bars(
        self,
        requests: Sequence[SymbolRequest],
        *,
        first: date | None = None,
        last: date | None = None,
        moment: PointInTime = NOW,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return COLUMNS as traded, split_factor and total_factor of securities by requested symbol, sorted.

        The factors are those of `quantx.core.features.feature`; the base is the first row of each symbol.
        """
        request = BarRequest.parse(
            [each.symbol for each in requests],
            first,
            last,
            source=source,
            as_of=moment.as_of,
            public_by=moment.public_by,
            columns=COLUMNS,
        )
        rows = self._traded_of(request, requests)
        return with_forward_factors(rows.select(COLUMNS), self._adjustment_steps(request, requests))

    def _security_layers(self, symbols: Iterable[str] | None = None) -> list[list[SymbolRequest]]:
        """Return every security with stored bars (of some symbols), in lists without two of one symbol.

        A security has its last symbol; one that ended may have had that of another one.
        """
        securities = self._securities()
        history = securities.history
        stored = self._symbols_in(BARS_1D) if symbols is None else symbols
        found: dict[str, SymbolRequest] = {}
        for symbol in sorted(stored):
            namings = history.namings_of(symbol)
            if not namings:
                found[symbol] = SymbolRequest(symbol, None)
            for naming in namings:
                last = history.symbols_of(naming.instrument)[-1]
                [request] = securities.requests([last.symbol], None, None, {last.symbol: last.ends})
                found[naming.instrument] = request
        layers: list[dict[str, SymbolRequest]] = []
        for each in sorted(found.values(), key=lambda each: (each.symbol, each.instrument or "")):
            free = next((layer for layer in layers if each.symbol not in layer), None)
            if free is None:
                layers.append(free := {})
            free[each.symbol] = each
        return [list(layer.values()) for layer in layers]


def with_forward_factors(bars: pl.DataFrame, steps: AdjustmentSteps) -> pl.DataFrame:
    """Add split_factor (S) and total_factor (S / D) of each date; the base lies before the first known event.

    No bit of them depends on later events or on the first row: features that compare prices, such as ADX, would decide
    a tie in another way.
    """
    factors = with_forward_adjustments(bars, steps)
    split, total = pl.col("__split"), pl.col("__split") / pl.col("__dividend")
    return factors.with_columns(split.alias("split_factor"), total.alias("total_factor")).drop("__split", "__dividend")
