"""Judge the series of daily bars that have changed since the last inspection; the verdicts on all others stand.

A file of a table never changes. So only the years with other files are read, and the last two years, in which new bars
are judged; a digest of each series' year shows which series have other rows. A series whose new bars are quiet keeps
its verdicts (see `carried_series`); every other one is read and judged as a whole. The result equals that of
`validate_series` over the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import polars as pl
from ulid import ULID

from quantx.core.quality.calendar_days import calendars_of
from quantx.core.quality.carried_series import ZONE, next_judgement, quiet_ends, years_at_end
from quantx.core.quality.market_moves import BLOCK, LEAST_SYMBOLS, market_of, returns_of
from quantx.core.quality.series_features import series_features, with_neighbours
from quantx.core.quality.series_rules import LAG_RULES, violations_of
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D_ADJUSTED, QUARANTINE
from quantx.lake.protocol import CuratedTable, Tables
from quantx.pipeline.inspecting.judged_series import JudgedSeries, Part

BARS = ("symbol", "date", "open", "high", "low", "close", "volume", "currency")
EVENTS = ("symbol", "ex_date", "kind", "value", "reference_close", "currency")
_KEY = ["source", "symbol"]
_AT_ONCE = 400  # whole series: 1.5 million bars over 15 years
_ENDS_AT_ONCE = 2_000  # ends of series: 800,000 bars
_ENDS = timedelta(days=600)  # a year of bars for the lag rules, and one that ends in it
_SETTLING = timedelta(days=100)  # from the first day of the ends, until the returns of all witnesses are known
_WITNESSES = 100  # of each calendar
_LAG = [rule.id for rule in LAG_RULES]


@dataclass(frozen=True)
class JudgedNow:
    """The record after a judgement, the judged series (source, symbol), and the number of bars that were judged."""

    record: JudgedSeries
    series: pl.DataFrame
    bars: int


def judge_changed(tables: Tables, table: Table, before: JudgedSeries) -> JudgedNow:
    """Judge what has changed in a table of daily bars since the record `before`."""
    return _Judgement(tables, table, before).run()


class _Judgement:
    """One judgement of a table."""

    def __init__(self, tables: Tables, table: Table, before: JudgedSeries) -> None:
        self._table, self._before = table, before
        self._stored = tables[table.name]
        self._events = _read(tables[ACTIONS.name], ["source", *EVENTS])
        rejected = (pl.col("dataset") == table.name) & pl.col("date").is_not_null()
        self._rejected = _read(tables[QUARANTINE.name], [*_KEY, "date"], rejected).unique()
        newest = before.series["last"].max()
        self._since = newest - _ENDS if isinstance(newest, date) else date.max  # the first day of the ends
        self._market: pl.DataFrame | None = None
        self._bars = 0

    def run(self) -> JudgedNow:
        """Find the changed series, judge their ends or the whole, and return the record."""
        before, files = self._before, {part: sorted(paths) for part, paths in self._stored.parts().items()}
        changed = [part for part in files.keys() | before.parts.keys() if files.get(part) != before.parts.get(part)]
        if not changed and self._has_evidence(before.series):
            return JudgedNow(before, before.series.select(_KEY).clear(), 0)
        same = before.years.filter(~_within(changed))
        now, seen, ends = [same], [same], [self._table.empty().select("source", "year", *BARS)]
        for part in sorted(files):
            if part not in changed and part[1] < self._since.year:
                continue
            rows = self._part(part, None if part in changed else self._since)
            if part in changed:
                now.append(_digests(rows))
                seen.append(_digests(self._judged_before(rows)))
            ends.append(rows.filter(pl.col("date") >= self._since))
        years, recent = pl.concat(now), pl.concat(ends)
        series = years.group_by(_KEY).agg(pl.col("rows").sum().alias("bars"))
        series = self._with_evidence(series)
        self._market = self._market_now(years, recent)
        whole, ended = self._sorted_out(series, years, pl.concat(seen), recent)
        judged = [each for source, some in _slices(whole, _AT_ONCE) for each in [self._whole(source, some)]]
        record = _joined(before, series, judged, ended)
        market = before.market.clear() if self._market is None else self._market
        record = replace(record, parts=files, years=years, market=market)
        return JudgedNow(record, pl.concat([whole, ended.series.select(_KEY)]), self._bars)

    def _judged_before(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows up to the last judged day of their series."""
        last = self._before.series.select(*_KEY, "last")
        return rows.join(last, on=_KEY).filter(pl.col("date") <= pl.col("last")).drop("last")

    def _sorted_out(
        self, series: pl.DataFrame, years: pl.DataFrame, seen: pl.DataFrame, recent: pl.DataFrame
    ) -> tuple[pl.DataFrame, _Ended]:
        """Return the series to judge as a whole, and those whose ends were judged.

        `seen` are the digests of the rows that were judged before, as they are now.
        """
        before = self._before
        touched = _differing(years, before.years)
        known = series.join(before.series, on=_KEY, how="inner", suffix="_before")
        new = series.join(before.series, on=_KEY, how="anti").select(_KEY)
        rewritten = _differing(seen, before.years).join(known, on=_KEY, how="semi")
        other = known.filter(pl.col("evidence") != pl.col("evidence_before")).select(_KEY)
        due = known.filter(pl.col("bars") >= pl.col("again_at")).join(touched, on=_KEY, how="semi").select(_KEY)
        moved, deep = self._moved(known)
        whole = pl.concat([new, rewritten, other, due, *([moved] if deep else [])]).unique()
        maybe = pl.concat([touched, moved]).unique().join(known, on=_KEY, how="semi")
        maybe = maybe.join(whole, on=_KEY, how="anti")
        ended = self._ends(maybe, known, recent)
        rest = maybe.join(ended.series, on=_KEY, how="anti")
        return pl.concat([whole, rest]).sort(_KEY), ended

    def _market_now(self, years: pl.DataFrame, recent: pl.DataFrame) -> pl.DataFrame | None:
        """Return the market of today; earlier days are those of the record where no witness has other bars there."""
        before = self._before
        symbols = years["symbol"].unique().sort()
        witnesses = witnesses_of(symbols)
        if not witnesses:
            return None
        own = pl.col("symbol").is_in(witnesses)
        cut = min(self._since, date.max - _SETTLING) + _SETTLING
        old = pl.col("year") <= cut.year  # none that gets new bars: the newest judged one is 500 days after the cut
        if (
            not symbols.equals(before.years["symbol"].unique().sort())
            or _differing(years.filter(own, old), before.years.filter(own, old)).height
            or self._begin_late(years.filter(own), recent.filter(own), cut)
        ):
            bars = _read(self._stored, ["source", "symbol", "date", "close"], own)
            return market_of(returns_of(_first_source(bars)))
        market = market_of(returns_of(_first_source(recent.filter(own))))
        kept = before.market.filter(pl.col("date") < cut)
        return pl.concat([kept, market.filter(pl.col("date") >= cut)]).sort("calendar", "date")

    def _begin_late(self, years: pl.DataFrame, recent: pl.DataFrame, cut: date) -> bool:
        """Return whether a witness has earlier bars, and its next ones only after `cut`: that return is not known."""
        held = recent.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.len().cast(pl.Int64).alias("held"))
        rows = years.group_by("symbol").agg(pl.col("rows").sum())
        return (
            not held.join(rows, on="symbol").filter(pl.col("first") >= cut, pl.col("rows") > pl.col("held")).is_empty()
        )

    def _moved(self, known: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
        """Return the series with days of which the market's move is another one now, and whether these lie deep."""
        now = self._before.market.clear() if self._market is None else self._market
        both = now.join(self._before.market, on=["calendar", "date"], how="full", coalesce=True, suffix="_before")
        other = both.filter(pl.col("move").ne_missing(pl.col("move_before")))
        if other.is_empty():
            return known.select(_KEY).clear(), False
        days = both["date"].unique().sort()
        earliest = other["date"].min()
        assert isinstance(earliest, date)
        first = int(days.search_sorted(earliest))
        since: date = days[max(0, first - 1)]  # the day before is compared with that of the market after it
        return known.filter(pl.col("last") >= since).select(_KEY), first < len(days) - ZONE // 2

    def _ends(self, series: pl.DataFrame, known: pl.DataFrame, ends: pl.DataFrame) -> _Ended:
        """Judge the ends of series; those that are not quiet, or reach too far back, are not in the result."""
        done = [_Ended.none()]
        for source, some in _slices(series, _ENDS_AT_ONCE):
            bars = ends.filter(pl.col("source") == source, pl.col("symbol").is_in(some)).sort("symbol", "date")
            if bars.is_empty():
                continue
            done.append(self._ends_of(source, bars.select(BARS), known.filter(pl.col("source") == source)))
        return _Ended(*(pl.concat([getattr(each, name) for each in done]) for name in ("series", "since", "lagged")))

    def _ends_of(self, source: str, bars: pl.DataFrame, known: pl.DataFrame) -> _Ended:
        events = self._events_of(source)
        applied = events.filter(pl.col("kind") != "split") if self._table is BARS_1D_ADJUSTED else events
        rows = with_neighbours(bars, applied)
        held = rows.group_by("symbol").agg(pl.len().cast(pl.Int64).alias("held"), pl.col("date").last().alias("newest"))
        counts = held.join(known, on="symbol").with_columns(before=pl.col("bars") - pl.col("held"))
        first = pl.when(pl.col("before") > 0).then(pl.col("before") // BLOCK + 1).otherwise(0)
        quiet = counts.filter(
            pl.col("symbol").is_in(quiet_ends(rows).implode()),
            pl.max_horizontal(pl.col("bars_before") - ZONE, 0) // BLOCK >= first,
        )
        rows = rows.filter(pl.col("symbol").is_in(quiet["symbol"].implode()))
        since, lagged = years_at_end(rows, self._market, quiet.select("symbol", "before"))
        self._bars += rows.height
        kept = quiet.join(since, on="symbol", how="semi")
        named, last = pl.lit(source).alias("source"), pl.col("newest").alias("last")
        return _Ended(
            kept.select(named, "symbol", "bars", last, "again_at", "evidence", "whole"),
            since.select(pl.lit(source).alias("source"), "symbol", "since"),
            lagged.select(pl.lit(source).alias("source"), pl.all()),
        )

    def _whole(self, source: str, symbols: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Judge whole series; return their facts, as in the record but without evidence, and their violations."""
        some = pl.col("symbol").is_in(symbols)
        rejected = self._rejected.filter(some, pl.col("source") == source).drop("source")
        bars = _read(self._stored, BARS, (pl.col("source") == source) & some)
        self._bars += bars.height
        features = series_features(
            bars,
            self._events_of(source).filter(some),
            rejected=rejected,
            adjusted=self._table is BARS_1D_ADJUSTED,
            market=self._market,
        )
        violations, named = violations_of(features, rejected), pl.lit(source).alias("source")
        return next_judgement(features.bars, violations).select(named, pl.all()), violations.select(named, pl.all())

    def _events_of(self, source: str) -> pl.DataFrame:
        return self._events.filter(pl.col("source") == source).drop("source")

    def _has_evidence(self, judged: pl.DataFrame) -> bool:
        """Return whether the events and rejected rows of these judged series are the same now."""
        return self._with_evidence(judged.drop("evidence"))["evidence"].equals(judged["evidence"])

    def _with_evidence(self, series: pl.DataFrame) -> pl.DataFrame:
        """Add `evidence`: a digest of each series' events and rejected rows."""
        parts = [
            rows.unique().select(*_KEY, digest=pl.struct(pl.all(), pl.lit(name)).hash())
            for name, rows in (("event", self._events), ("rejected", self._rejected))
        ]
        digests = pl.concat(parts).group_by(_KEY).agg(pl.col("digest").bitwise_xor().alias("evidence"))
        dated = series.join(digests, on=_KEY, how="left", maintain_order="left")
        return dated.with_columns(pl.col("evidence").fill_null(0))

    def _part(self, part: Part, since: date | None) -> pl.DataFrame:
        """Return the bars of a source and year (from `since` on)."""
        source, year = part
        where = (pl.col("source") == source) & (pl.col("year") == year)
        where = where if since is None else where & (pl.col("date") >= since)
        return _read(self._stored, ["source", "year", *BARS], where)


@dataclass(frozen=True)
class _Ended:
    """Series whose ends were judged: their facts, and the violations of the lag rules since a day of each."""

    series: pl.DataFrame
    since: pl.DataFrame
    lagged: pl.DataFrame

    @classmethod
    def none(cls) -> _Ended:
        empty = JudgedSeries()
        since = pl.DataFrame(schema={"source": pl.String, "symbol": pl.String, "since": pl.Date})
        return cls(empty.series, since, empty.violations)


def _joined(
    before: JudgedSeries,
    series: pl.DataFrame,
    whole: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    ended: _Ended,
) -> JudgedSeries:
    """Return the record with the series that were judged as a whole and those whose ends were judged."""
    evidence = series.select(*_KEY, "evidence")
    # An id of this judgement: what was derived from an earlier one of the series is out of date.
    facts = [f.join(evidence, on=_KEY, how="left").with_columns(whole=pl.lit(str(ULID()))) for f, _ in whole]
    judged = pl.concat([before.series.clear(), *(f.select(before.series.columns) for f in facts)])
    kept = before.series.join(pl.concat([judged, ended.series]), on=_KEY, how="anti").join(series, on=_KEY, how="semi")
    old = before.violations.join(judged, on=_KEY, how="anti").join(series, on=_KEY, how="semi")
    old = old.join(ended.since, on=_KEY, how="left")
    again = pl.col("rule").is_in(_LAG) & (pl.col("first_day") >= pl.col("since"))
    old = old.filter(~again.fill_null(False)).drop("since")
    violations = pl.concat([old, ended.lagged, *(v.select(old.columns) for _, v in whole)])
    return replace(
        before,
        series=pl.concat([kept, judged, ended.series]),
        violations=violations.sort(*_KEY, "first_day", "rule", "last_day"),
    )


def witnesses_of(symbols: pl.Series) -> list[str]:
    """Return the symbols whose median return is their market's, of calendars with enough of these symbols.

    Of many symbols some are read, evenly spread over the names: a median of a hundred is as good as that of all.
    """
    counted = (
        calendars_of(symbols)
        .drop_nulls()
        .with_columns(place=pl.int_range(pl.len()).over("calendar"), count=pl.len().over("calendar"))
    )
    each = (pl.col("count") / _WITNESSES).ceil().cast(pl.Int64)
    return counted.filter(pl.col("count") >= LEAST_SYMBOLS, pl.col("place") % each == 0)["symbol"].to_list()


def _first_source(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.sort("source").unique(["symbol", "date"], keep="first")


def _within(parts: Sequence[Part]) -> pl.Expr:
    """Return whether a row's source and year are among these."""
    named = [f"{source} {year}" for source, year in parts]
    return pl.concat_str("source", pl.col("year").cast(pl.String), separator=" ").is_in(named)


def _digests(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the number of rows of each series and year, with a digest that does not depend on their order."""
    hashed = rows.select("source", "year", "symbol", digest=pl.struct(BARS).hash())
    return hashed.group_by("source", "year", "symbol").agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col("digest").bitwise_xor()
    )


def _differing(now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Return the series (source, symbol) of which a year differs."""
    on = ["source", "year", "symbol"]
    both = now.join(before, on=on, how="full", coalesce=True, suffix="_before")
    return both.filter(pl.col("digest").ne_missing(pl.col("digest_before"))).select(_KEY).unique()


def _slices(series: pl.DataFrame, most: int) -> Iterator[tuple[str, list[str]]]:
    for (source,), part in series.sort(_KEY).group_by("source", maintain_order=True):
        for some in part.iter_slices(most):
            yield str(source), some["symbol"].to_list()


def _read(stored: CuratedTable, columns: Sequence[str], where: pl.Expr | None = None) -> pl.DataFrame:
    rows = stored.scan() if where is None else stored.scan().filter(where)
    return stored.collect(rows.select(columns))
