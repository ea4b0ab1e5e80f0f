"""Panels of ratios: fundamentals and prices that were public before each close, in one formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from quantx.core.fundamentals.ratio_fields import COUNTS, MARKET_CAP, RATIOS, concepts_of, needs_prices
from quantx.core.fundamentals.ratios import fresh, market_cap, same_currency
from quantx.core.fundamentals.share_basis import held_shares
from quantx.reader.bars import BarQueries
from quantx.reader.concept_panels import ConceptField, ConceptPanelRequest, ConceptPanels
from quantx.reader.panel_request import PanelRequest


class RatioPanels(BarQueries, ConceptPanels):
    """Columns of panels with ratios."""

    def _ratio_columns(
        self, request: PanelRequest, of_concepts: ConceptPanelRequest, names: Sequence[str], days: pl.Series | None
    ) -> tuple[pl.Series, dict[str, list[pl.Series]]]:
        """Return the days, and by ratio a column per symbol; `days` None: the sessions of the exchanges."""
        days, frame = self._ratio_inputs(of_concepts, names, days)
        symbols = [each.symbol for each in of_concepts.in_order]
        if needs_prices(names):
            frame = self._with_market_cap(frame, request)
        found = {}
        for name in names:
            takes = RATIOS[name].takes
            units = [f"{field}__unit" for field in takes if f"{field}__unit" in frame.columns]
            value = pl.col(name) if name == MARKET_CAP else same_currency(RATIOS[name].formula(*takes), *units)
            series = frame.select(value.alias(name)).to_series()
            found[name] = [series.slice(n * days.len(), days.len()).alias(symbol) for n, symbol in enumerate(symbols)]
        return days, found

    def _ratio_inputs(
        self, of_concepts: ConceptPanelRequest, names: Sequence[str], days: pl.Series | None
    ) -> tuple[pl.Series, pl.DataFrame]:
        """Return the days, and a row per symbol and day with the values that ratios are made of, besides prices.

        Columns: symbol, date, and each value as in revenue_ttm, with __unit, __end and __filed; null where it is stale.
        """
        inputs = concepts_of(names)
        fields = [field for name in inputs if (field := ConceptField.parse(name)) is not None]
        wanted = replace(of_concepts, fields=fields)
        days, columns = self._concept_columns(wanted, days, ("unit", "end", "filed"))
        symbols = [each.symbol for each in of_concepts.in_order]
        frame = pl.DataFrame({"symbol": symbols}, schema={"symbol": pl.String}).join(days.to_frame(), how="cross")
        frame = frame.hstack([pl.concat(parts).alias(name) for name, parts in columns.items()] if symbols else [])
        return days, frame.with_columns(fresh(name, f"{name}__end", "date").alias(name) for name in inputs)

    def _with_market_cap(self, frame: pl.DataFrame, request: PanelRequest) -> pl.DataFrame:
        """Add the market capitalization: as-traded close × shares of the same day, and its currency."""
        bars = replace(request.of_bars(["close", "currency"]), adjust="none")
        requests, rows = self._read_bars(bars)
        self._check_rows(bars, requests, rows)
        prices = rows.select("symbol", "date", "close", pl.col("currency").alias(f"{MARKET_CAP}__unit"))
        frame = with_shares(frame, self._actions(requests, None, bars.moment, None))
        priced = frame.join(prices, on=["symbol", "date"], how="left", maintain_order="left")
        return priced.with_columns(market_cap("close", "shares").alias(MARKET_CAP))


def with_shares(frame: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Add `shares`: the newest public count, in the shares of the row's day."""
    cover, balance = COUNTS
    counted = pl.when(pl.col(cover).is_not_null())
    counts = frame.select(
        "symbol",
        "date",
        counted.then(pl.col(cover)).otherwise(balance).alias("value"),
        counted.then(pl.col(f"{cover}__filed")).otherwise(f"{balance}__filed").alias("filed"),
    )
    return frame.with_columns(held_shares(counts, actions).alias("shares"))
