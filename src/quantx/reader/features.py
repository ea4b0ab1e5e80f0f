"""Queries of features: stored rows where there are any with the present definitions, computed ones otherwise."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import polars as pl

from quantx.core.adjustment import with_adjustments
from quantx.core.prices import ADJUSTMENTS, Adjust
from quantx.core.tables import BARS_1D, BARS_1M
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, Symbols, to_date, to_days, to_names
from quantx.reader.feature_changes import EVERYTHING
from quantx.reader.feature_cross_section import CrossSections
from quantx.reader.feature_names import ChosenFeatures, chosen_features
from quantx.reader.feature_request import CLOCKS, FeatureRequest, joined
from quantx.reader.feature_store import StoredFeatures
from quantx.reader.feature_values import LABEL_END, FeatureValues, kind_of
from quantx.reader.known_names import names_in, warn_user
from quantx.reader.minute_features import MinuteFeatures
from quantx.reader.point_in_time import PointInTime
from quantx.reader.stored import one_state
from quantx.reader.universes import UniverseQueries


class FeatureQueries(StoredFeatures, FeatureValues, CrossSections, MinuteFeatures, UniverseQueries):
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
        stored: bool = True,
    ) -> pl.DataFrame:
        """Return features, a row per symbol and session, sorted: symbol, date, the features, public_at, known_from.

        `names`: a set, as in "technical", features as in "technical.rsi_14", or names that only one set has. A value is
        null in the warm-up and where it is not defined, never NaN. `public_at` (UTC) is when the last input of the row
        was public, `known_from` when this system knew it. Labels also have `label_end`, the session of their last bar.

        The symbols are `symbols`, or all members of `universe` between start and end; `members_only` keeps the rows of
        days of membership; a cross-section needs a universe, and has only these. `public_by` gives the rows that were
        public in the world, also after a backfill of today; `as_of` gives them as this system knew them. Features in
        prices or shares are as traded on their day; `adjust` ("none", "split", "total") and `base` adjust them as
        `bars` does.

        With `timeframe="1m"` rows also have `time`, and are always computed: a session needs only its own minutes. What
        a build has stored of minutes is read with SQL and `scan`, as the table minute_1m.

        Rows are those that `quantx features build` has stored, where they have the present definitions, and are
        computed otherwise; with `stored=False` all rows are computed. Warns and raises as `bars` does; ConfigError for
        an unknown feature.
        """
        chosen = chosen_features(names, timeframe)
        if adjust not in ADJUSTMENTS:
            raise ConfigError(f"adjust={adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
        if wrong := [c.feature_set.name for c in chosen if c.feature_set.timeframe != timeframe]:
            raise ConfigError(f"the features of {wrong[0]} are not of timeframe={timeframe!r}")
        request = self._feature_request(symbols, universe, start, end, PointInTime.parse(as_of, public_by), on)
        request = replace(request, stored=stored)
        if timeframe == "1m":
            return self._features_of_minutes(chosen, request, members_only=members_only)
        rows = joined([self._features_of(each, request, members_only=members_only) for each in chosen])
        self._check_rows_of_features(chosen, request, set(rows["symbol"].unique()))
        if adjust != "none":
            rows = self._adjusted_features(rows, chosen, request, adjust, to_date(base))
        ends = [LABEL_END] if LABEL_END in rows.columns else []
        return rows.select("symbol", "date", *(c for each in chosen for c in each.columns.values()), *ends, *CLOCKS)

    def _features_of_minutes(
        self, chosen: Sequence[ChosenFeatures], request: FeatureRequest, *, members_only: bool
    ) -> pl.DataFrame:
        """Return features of minutes: ratios, which no adjustment changes; see `features`."""
        columns = {f.name: each.columns[f.name] for each in chosen for f in each.features}
        features = [f for each in chosen for f in each.features]
        rows = self._minute_rows(features, request.requests, request.first, request.last, request.moment)
        self._check_bars(BARS_1M, request.requests, set(rows["symbol"].unique()), moment=request.moment)
        if members_only and request.members is not None:
            rows = request.members.rows_of_members(rows)
        return rows.rename(columns).select("symbol", "date", "time", *columns.values(), *CLOCKS)

    def _check_rows_of_features(
        self, chosen: Sequence[ChosenFeatures], request: FeatureRequest, present: Collection[str]
    ) -> None:
        """Warn of symbols without rows, or raise NotInLake, as `bars` does; of fundamentals, facts may be missing."""
        kinds = {kind_of(each.features) for each in chosen}
        if kinds not in ({"fundamental"}, {"option"}):
            self._check_bars(BARS_1D, request.requests, present, moment=request.moment)
            return
        absent = [each for each in request.requests if each.symbol not in present]
        if absent:
            self._check_known([each for each in absent if each.instrument is None])
            names = [each.symbol for each in absent]
            if kinds == {"option"}:
                warn_user(f"no features of options of {names_in(names)}: no bars of them have a chain", names)
                return
            warn_user(
                f"no fundamental features of {names_in(names)}: no bars of them have facts that were public"
                " then; `quantx fundamentals update` fetches facts",
                names,
            )

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
        return FeatureRequest(
            requests=requests, first=first, last=last, moment=moment, members=members, universe=universe
        )

    def _features_of(self, chosen: ChosenFeatures, request: FeatureRequest, *, members_only: bool) -> pl.DataFrame:
        """Return the rows of the features of one set by requested symbol: stored ones, and computed ones."""
        if kind_of(chosen.features) == "cross_section":
            found = self._cross_section_of(chosen, request)
        else:
            found = self._by_security(chosen, request)
            if members_only and request.members is not None:
                found = request.members.rows_of_members(found)
        return found.rename({name: column for name, column in chosen.columns.items() if name != column})

    def _by_security(self, chosen: ChosenFeatures, request: FeatureRequest) -> pl.DataFrame:
        """Return stored rows up to the stale day of each security, and computed rows from it on."""
        stale = self._stale_days(chosen, request)
        stored = [each for each in request.requests if stale.get(each) != EVERYTHING]
        computed = [each for each in request.requests if (day := stale.get(each)) and _reaches(request.last, day)]
        parts = [self._stored_features(chosen, stored, request)] if stored or not computed else []
        if computed:
            firsts = {each.symbol: stale[each] for each in computed}
            if parts:
                parts[0] = parts[0].filter(pl.col("date") < _first_of(firsts, date.max))
            rows = self._computed_rows(
                chosen.features, computed, first=request.first, last=request.last, moment=request.moment
            )
            parts.append(rows.drop("source").filter(pl.col("date") >= _first_of(firsts, EVERYTHING)))
        return pl.concat(parts, how="diagonal")

    def _cross_section_of(self, chosen: ChosenFeatures, request: FeatureRequest) -> pl.DataFrame:
        """Return stored rows of the members of a universe up to its stale day, and computed rows from it on."""
        if request.members is None:
            raise ConfigError(
                f"{chosen.feature_set.name} compares members; give their universe: universe=… (--universe)"
            )
        stale = self._first_stale_day(chosen, request)
        parts = []
        if stale != EVERYTHING:
            rows = self._stored_features(chosen, request.requests, request)
            parts.append(rows if stale is None else rows.filter(pl.col("date") < stale))
        if stale is not None and _reaches(request.last, stale):
            rows = self._cross_section_rows(chosen.features, request, partial(self._features_of, members_only=True))
            parts.append(rows.drop("source").filter(pl.col("date") >= stale))
        return pl.concat(parts, how="diagonal")

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


def _reaches(last: date | None, day: date) -> bool:
    """Return whether a query up to `last` shows rows from a day on."""
    return last is None or last >= day


def _first_of(firsts: Mapping[str, date], others: date) -> pl.Expr:
    """Return the day of each row's symbol."""
    return pl.col("symbol").replace_strict(firsts, default=others, return_dtype=pl.Date)
