"""Queries of features: stored rows where there are any with the present definitions, computed ones otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quantx.core.adjustment import with_adjustments
from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.prices import ADJUSTMENTS, Adjust
from quantx.core.table import Table
from quantx.core.tables import BARS_1D
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, Symbols, to_date, to_days, to_names
from quantx.reader.feature_changes import EVERYTHING, FeatureChanges
from quantx.reader.feature_names import ChosenFeatures, chosen_features
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state
from quantx.reader.symbol_history import SymbolRequest
from quantx.reader.universes import Members, UniverseQueries

_CLOCKS = ("public_at", "known_from")


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """Which rows of features a query shows."""

    requests: Sequence[SymbolRequest]
    first: date | None
    last: date | None
    moment: PointInTime
    members: Members | None  # only on the days of their membership


class FeatureQueries(FeatureChanges, UniverseQueries):
    """Values of declared features."""

    @one_state
    def features(
        self,
        names: str | Sequence[str],
        symbols: Symbols | None = None,
        universe: str | None = None,
        start: Day | None = None,
        end: Day | None = None,
        *,
        public_by: Day | None = None,
        as_of: Day | None = None,
        adjust: Adjust = "none",
        base: Day | None = None,
        timeframe: str = "1d",
        members_only: bool = False,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return features, a row per symbol and session, sorted: symbol, date, the features, public_at, known_from.

        `names`: a set, as in "technical", features as in "technical.rsi_14", or names that only one set has. A value is
        null in the warm-up and where it is not defined, never NaN. `public_at` (UTC) is when the last input of the row
        was public, `known_from` when this system knew it.

        The symbols are `symbols`, or all members of `universe` between start and end; `members_only` keeps the rows of
        days of membership. `public_by` gives the rows that were public in the world, also after a backfill of today;
        `as_of` gives them as this system knew them. Features in prices or shares are as traded on their day; `adjust`
        ("none", "split", "total") and `base` adjust them as `bars` does.

        Rows are those that `quantx features build` has stored, where they have the present definitions, and are
        computed from the bars otherwise. Warns and raises as `bars` does; ConfigError for an unknown feature.
        """
        chosen = chosen_features(names)
        if adjust not in ADJUSTMENTS:
            raise ConfigError(f"adjust={adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
        if wrong := [c.feature_set.name for c in chosen if c.feature_set.timeframe != timeframe]:
            raise ConfigError(f"the features of {wrong[0]} are not of timeframe={timeframe!r}")
        request = self._feature_request(symbols, universe, start, end, PointInTime.parse(as_of, public_by), on)
        parts = [self._features_of(each, request, members_only=members_only) for each in chosen]
        rows = _joined(parts)
        present = set(rows["symbol"].unique())
        self._check_bars(BARS_1D, request.requests, present, moment=request.moment)
        if adjust != "none":
            rows = self._adjusted_features(rows, chosen, request, adjust, to_date(base))
        return rows.select("symbol", "date", *(c for each in chosen for c in each.columns.values()), *_CLOCKS)

    def _feature_request(
        self,
        symbols: Symbols | None,
        universe: str | None,
        start: Day | None,
        end: Day | None,
        moment: PointInTime,
        on: On | None,
    ) -> FeatureRequest:
        """Return the securities of a query, and the days on which they are shown."""
        if (universe is None) == (symbols is None):
            raise ConfigError("features need either symbols or a universe")
        first, last = to_date(start), to_date(end)
        if first is not None and last is not None and first > last:
            raise ConfigError(f"the start {first} lies after the end {last}")
        members = None
        if universe is not None:
            members = self._members_between(universe, first, last, moment)
            self._check_reach(universe, first, moment)
        names: Symbols = list(members.on) if members is not None else symbols or ()
        listed = to_names(names)
        days = to_days(listed, on if members is None else members.on)
        requests = self._securities().requests(listed, first, last, days)
        return FeatureRequest(requests=requests, first=first, last=last, moment=moment, members=members)

    def _features_of(self, chosen: ChosenFeatures, request: FeatureRequest, *, members_only: bool) -> pl.DataFrame:
        """Return the rows of the features of one set by requested symbol: stored ones, and computed ones."""
        stale = self._stale_days(chosen.feature_set, request)
        stored = [each for each in request.requests if stale.get(each) != EVERYTHING]
        computed = [each for each in request.requests if (day := stale.get(each)) and _reaches(request.last, day)]
        parts = [self._stored_features(chosen, stored, request)] if stored or not computed else []
        if computed:
            firsts = {each.symbol: stale[each] for each in computed}
            if parts:
                parts[0] = parts[0].filter(pl.col("date") < _first_of(firsts, date.max))
            rows = self._computed_features(chosen.features, computed, request)
            parts.append(rows.filter(pl.col("date") >= _first_of(firsts, EVERYTHING)))
        found = pl.concat(parts)
        if members_only and request.members is not None:
            found = request.members.rows_of_members(found)
        return found.rename({name: column for name, column in chosen.columns.items() if name != column})

    def _stale_days(self, feature_set: FeatureSet, request: FeatureRequest) -> dict[SymbolRequest, date]:
        """Return the day by security from which stored rows do not answer a query.

        With `as_of` the stored rows are those that were known, from the first build with the present definitions on.
        """
        requests, as_of = request.requests, request.moment.as_of
        version = self._stored.version(table_of(feature_set))
        record = None if version is None else BuildRecord.of(version.properties)
        if record is None or record.definition != feature_set.hash or (as_of and as_of < record.since):
            return dict.fromkeys(requests, EVERYTHING)
        stale: dict[SymbolRequest, date] = {}
        if as_of is None:
            changes = self._changes_since(feature_set, record) if self._is_whole(feature_set, record) else None
            if changes is None:
                return dict.fromkeys(requests, EVERYTHING)
            if changes:
                found = ((each, self._first_stale(each, changes)) for each in requests)
                stale = {each: day for each, day in found if day is not None}
        if record.symbols is not None:
            built, securities = set(record.symbols), self._securities()
            others = [each for each in requests if built.isdisjoint(securities.stored_symbols([each]))]
            stale |= dict.fromkeys(others, EVERYTHING)
        return stale

    def _is_whole(self, feature_set: FeatureSet, record: BuildRecord) -> bool:
        """Return whether a feature table has all rows of its last build: a repair may have removed a damaged file."""
        return self._rows_in(table_of(feature_set)) == record.rows

    def _rows_in(self, table: Table) -> int:
        """Return the number of rows of a table."""
        version = self._stored.version(table)
        return 0 if version is None else sum(file.rows for file in version.files)

    def _stored_features(
        self, chosen: ChosenFeatures, requests: Sequence[SymbolRequest], request: FeatureRequest
    ) -> pl.DataFrame:
        """Return stored rows by requested symbol."""
        table, names = table_of(chosen.feature_set), [each.name for each in chosen.features]
        symbols = self._securities().stored_symbols(requests)
        wanted = Selection.of(symbols).between(request.first, request.last)
        columns = list(dict.fromkeys(["symbol", "date", *names, *_CLOCKS, *table.key]))
        rows = self._known(table, wanted, request.moment, columns)
        rows = self._securities().rows_of_day(rows, requests, "date")
        return rows.select("symbol", "date", *names, *_CLOCKS).sort("symbol", "date")

    def _computed_features(
        self, features: Sequence[Feature], requests: Sequence[SymbolRequest], request: FeatureRequest
    ) -> pl.DataFrame:
        """Return rows that are computed from all bars of the securities by requested symbol."""
        bars = self._feature_bars(requests, last=request.last, moment=request.moment)
        rows = self._feature_rows(bars, compute(features, bars))
        if request.first is not None:
            rows = rows.filter(pl.col("date") >= request.first)
        return rows.select("symbol", "date", *(each.name for each in features), *_CLOCKS)

    def _adjusted_features(
        self,
        rows: pl.DataFrame,
        chosen: Sequence[ChosenFeatures],
        request: FeatureRequest,
        adjust: Adjust,
        base: date | None,
    ) -> pl.DataFrame:
        """Return the rows with prices and shares adjusted as bars are."""
        steps = self._steps(request.requests, None, request.moment, base)
        split = pl.col("__split")
        price = pl.col("__dividend") / split if adjust == "total" else 1 / split
        factors: Mapping[str, pl.Expr] = {"price": price, "shares": split}
        columns = [
            (pl.col(each.columns[f.name]) * factors[f.unit]).alias(each.columns[f.name])
            for each in chosen
            for f in each.features
            if f.unit in factors
        ]
        return with_adjustments(rows, steps).with_columns(columns)


def _joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of several sets side by side; a row is public, and known, with the last of its values."""
    rows = parts[0]
    for part in parts[1:]:
        both = rows.join(part, on=["symbol", "date"], how="full", coalesce=True, suffix="__other")
        rows = both.with_columns(pl.max_horizontal(c, f"{c}__other").alias(c) for c in _CLOCKS)
        rows = rows.drop(f"{c}__other" for c in _CLOCKS)
    return rows.sort("symbol", "date")


def _reaches(last: date | None, day: date) -> bool:
    """Return whether a query up to `last` shows rows from a day on."""
    return last is None or last >= day


def _first_of(firsts: Mapping[str, date], others: date) -> pl.Expr:
    """Return the day of each row's symbol."""
    return pl.col("symbol").replace_strict(firsts, default=others, return_dtype=pl.Date)
