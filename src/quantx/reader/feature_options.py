"""The rows of features of options: on each bar's session, the chain of its underlying at the session's end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from quantx.core.features.compute import compute_rows
from quantx.core.features.feature import Feature
from quantx.core.features.options import MEASURES, TERMS
from quantx.core.option_tables import OPTIONS_OHLCV_1D, OPTIONS_OPEN_INTEREST, OPTIONS_QUOTES_1D, OPTIONS_QUOTES_1M
from quantx.core.options.roots import is_adjusted
from quantx.core.symbols import US
from quantx.core.table import INSTANT
from quantx.extras import extra
from quantx.reader.feature_fundamentals import FundamentalFeatures
from quantx.reader.options.moments import ChainMoment
from quantx.reader.options.queries import OptionQueries
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.public_times import with_public_at
from quantx.reader.selection import Selection
from quantx.reader.symbol_history import SymbolRequest

_TABLES = (OPTIONS_QUOTES_1M, OPTIONS_QUOTES_1D, OPTIONS_OHLCV_1D, OPTIONS_OPEN_INTEREST)
_INTEREST_AGE = timedelta(days=10)  # older open interest is not the newest one, but a gap


class OptionFeatures(OptionQueries, FundamentalFeatures):
    """Features whose kernels take measures of chains."""

    def _option_rows(
        self,
        features: Sequence[Feature],
        requests: Sequence[SymbolRequest],
        *,
        first: date | None = None,
        last: date | None = None,
        moment: PointInTime = NOW,
    ) -> pl.DataFrame:
        """Return symbol (as requested), date, the features, source, public_at and known_from, sorted.

        There is a row for each bar with any value. Of several vendors of options, the first by name counts. The chain
        is that of the session's last minute, or of the daily quotes where there are no minutes.
        """
        known = {name for table in _TABLES for name in self._underlyings_in(table)}
        chosen = [each for each in requests if known.intersection(self._securities().stored_symbols([each]))]
        bars = self._bars_of_features(chosen, first, last, moment)
        bars = bars.filter(self._may_have_options()).join(
            self._sessions.of(US.calendar), on="date", how="semi", maintain_order="left"
        )
        found = [self._measures(symbol, day, moment) for symbol, day in bars.select("symbol", "date").iter_rows()]
        schema: dict[str, pl.DataType | type[pl.DataType]] = {**dict.fromkeys(MEASURES, pl.Float64), "__known": INSTANT}
        frame = bars.with_columns(pl.DataFrame(found, schema=schema, orient="row").get_columns())
        values = compute_rows(features, frame).with_columns(
            frame["source"], frame.select(pl.max_horizontal("known_from", "__known").alias("known_from"))["known_from"]
        )
        rows = values.filter(pl.any_horizontal(pl.col(each.name).is_not_null() for each in features))
        return with_public_at(rows, self._sessions)

    def _may_have_options(self) -> pl.Expr:
        """Return whether a bar is of a day that a data file of options has, or of the ones after it."""
        versions = [self._stored.version(table) for table in _TABLES]
        spans = {(f.first_day, f.last_day) for version in versions if version is not None for f in version.files}
        near = [pl.col("date").is_between(a, b + _INTEREST_AGE) for a, b in spans if a is not None and b is not None]
        return pl.any_horizontal(near) if near else pl.lit(False)

    def _measures(self, symbol: str, day: date, moment: PointInTime) -> dict[str, Any]:
        """Return MEASURES of one session, as far as there are any, and when this system knew the last input."""
        close = self._instant(ChainMoment(day, None))
        quotes = _of_one(self._quotes_at(symbol, ChainMoment(day, None), moment, None))
        on_day = Selection().on([symbol]).between(day, day)
        traded = _of_one(self._known(OPTIONS_OHLCV_1D, on_day, moment))
        interest = _of_one(self._newest_interest(symbol, day, close, moment))
        found = {**_sums(traded, "volume", "volume"), **_sums(interest, "open_interest", "interest")}
        clocks = [rows["known_from"].max() for rows in (quotes, traded, interest) if rows.height]
        return {**found, **self._volatilities(quotes, close), "__known": max(clocks, default=None)}  # type: ignore[type-var]

    def _volatilities(self, quotes: pl.DataFrame, close: datetime) -> dict[str, float | None]:
        if quotes.is_empty():
            return {}
        with extra("local", "the volatilities of a chain"):
            from quantx.core.options.greeks import with_greeks  # loads NumPy and the calendars
            from quantx.core.options.surface import at_term, smiles

            surface = smiles(with_greeks(self._with_terms(quotes, None), close))
        return {f"{c}_{days}": at_term(surface, c, days) for c in ("atm", "put_wing", "call_wing") for days in TERMS}

    def _newest_interest(self, symbol: str, day: date, close: datetime, moment: PointInTime) -> pl.DataFrame:
        """Return the open interest of the newest session among those that were public at the close of a day."""
        before = Selection().on([symbol]).between(day - _INTEREST_AGE, day)
        rows = self._known(OPTIONS_OPEN_INTEREST, before, moment).filter(pl.col("public_at") <= close)
        return rows.filter(pl.col("date") == pl.col("date").max())


def _of_one(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the first vendor, without roots whose deliverable is adjusted."""
    adjusted = [root for root in rows["root"].unique() if is_adjusted(root)]
    return rows.filter((pl.col("source") == pl.col("source").min()) & ~pl.col("root").is_in(adjusted))


def _sums(rows: pl.DataFrame, column: str, name: str) -> dict[str, float]:
    if rows.is_empty():
        return {}
    return {
        f"{side}_{name}": float(rows.filter(right=right)[column].sum()) for side, right in (("put", "P"), ("call", "C"))
    }
