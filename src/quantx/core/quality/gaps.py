"""Find missing sessions between the first and the last bar of series, for all series of a vendor at once.

A market-wide gap is a session that most series of an exchange miss: the vendor or the calendar is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

import polars as pl

from quantx.core.calendars import expected_sessions
from quantx.core.quality.rule import Rule
from quantx.core.symbols import venue_of

MISSING, MARKET_MISSING = "missing_sessions", "market_sessions_missing"  # rule ids

_FEW = 5  # the fewest series that must miss a session of the whole market
_MOST = 0.5  # of the series of an exchange
_PLACES = 2**32  # more than any calendar has

MARKET_RULES = (
    Rule(
        MARKET_MISSING,
        "warn",
        "bars_1d,bars_1d_adjusted,bars_1m",
        meaning=f"a session of the calendar is missing for most series of the exchange (of {_FEW} or more)",
        why="an outage of the vendor, or a closure missing in the calendar, is one fact, not one per symbol",
        reference="Quandl WIKI 2017-11-08: in no file; Yahoo 2012-03-19: missing for 19 of 30 shares of Hong Kong",
        broken=pl.col("missing") >= pl.max_horizontal(pl.lit(_FEW), pl.col("expected") * _MOST),
    ),
)


def spans_of(bars: pl.LazyFrame) -> pl.LazyFrame:
    """Return each symbol's first and last date, its bars and the sum of their dates (days since 1970)."""
    days = pl.col("date").cast(pl.Int32).cast(pl.Int64)
    return bars.group_by("symbol").agg(
        pl.col("date").min().alias("first"),
        pl.col("date").max().alias("last"),
        pl.len().cast(pl.Int64).alias("bars"),
        days.sum().alias("days"),
    )


def symbols_with_gaps(spans: pl.DataFrame) -> list[str]:
    """Return the symbols with a missing session, or a bar without a session, between their first and last bar.

    The number of bars and the sum of their dates decide, so that the bars of complete series are not read again.
    """
    placed = _with_places(spans)
    odd = (pl.col("bars") != pl.col("end") - pl.col("start")) | (pl.col("days") != pl.col("days_due"))
    return placed.filter(odd.fill_null(True))["symbol"].to_list()


def missing_sessions(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions (symbol, date) without a row in `bars`, between each symbol's first and last bar."""
    parts = [pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date})]
    for code, symbols in _by_exchange(bars["symbol"].unique()):
        sessions, names = _sessions(code), pl.DataFrame({"symbol": symbols}).with_row_index("name")
        # One number per symbol and session: sorting and comparing millions of rows needs no texts.
        placed = bars.lazy().join(names.lazy(), on="symbol").join(sessions.lazy(), on="date")
        keys = placed.select(key=pl.col("name").cast(pl.Int64) * _PLACES + pl.col("place")).collect()["key"].sort()
        gaps = pl.DataFrame({"start": keys.shift() + 1, "end": keys}).filter(
            pl.col("end") > pl.col("start"), pl.col("end") // _PLACES == pl.col("start") // _PLACES
        )
        missing = gaps.select(key=pl.int_ranges("start", "end").explode())
        missing = missing.select(name=(pl.col("key") // _PLACES).cast(pl.UInt32), place=pl.col("key") % _PLACES)
        parts.append(missing.join(names, on="name").join(sessions, on="place").select("symbol", "date"))
    return pl.concat(parts).sort("symbol", "date")


def only_sessions(days: pl.DataFrame) -> pl.DataFrame:
    """Keep the days (symbol, date) on which the symbol's exchange trades."""
    parts = [
        days.filter(pl.col("symbol").is_in(symbols)).join(_sessions(code), on="date", how="semi")
        for code, symbols in _by_exchange(days["symbol"].unique())
    ]
    return pl.concat([days.clear(), *parts])


def market_wide_gaps(missing: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions (calendar, date, missing, expected) that most series of an exchange miss.

    `missing` has symbol and date; `expected` counts the series whose `spans` (symbol, first, last) include the date.
    """
    parts = [pl.DataFrame(schema={"calendar": pl.String, "date": pl.Date, "missing": pl.Int64, "expected": pl.Int64})]
    for code, symbols in _by_exchange(spans["symbol"].unique()):
        here = spans.filter(pl.col("symbol").is_in(symbols))
        by_date = missing.filter(pl.col("symbol").is_in(symbols)).group_by("date").len("missing").sort("date")
        begun = here["first"].sort().search_sorted(by_date["date"], side="right")
        ended = here["last"].sort().search_sorted(by_date["date"], side="left")
        counted = by_date.select(
            pl.lit(code).alias("calendar"),
            "date",
            pl.col("missing").cast(pl.Int64),
            (begun.cast(pl.Int64) - ended.cast(pl.Int64)).alias("expected"),
        )
        parts.append(counted.filter(MARKET_RULES[0].broken))
    return pl.concat(parts)


def to_windows(sessions: pl.DataFrame, by: Collection[str] = ("symbol",)) -> pl.DataFrame:
    """Join consecutive sessions (symbol, date, and the columns of `by`) to windows: `by`, first, last, sessions.

    Two sessions are consecutive if the symbol's exchange has no session between them.
    """
    keys, parts = list(by), []
    for code, symbols in _by_exchange(sessions["symbol"].unique()):
        placed = sessions.filter(pl.col("symbol").is_in(symbols)).join(_sessions(code), on="date").sort(*keys, "date")
        run = pl.col("place") - pl.int_range(pl.len()).over(keys)
        parts.append(
            placed.group_by(*keys, run.alias("run"), maintain_order=True)
            .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"), pl.len().alias("sessions"))
            .drop("run")
        )
    empty = sessions.clear().select(*keys, first="date", last="date", sessions=pl.lit(0, pl.UInt32))
    return pl.concat([empty, *parts]).sort(*keys, "first")


def exchange_of(symbols: pl.Series) -> pl.DataFrame:
    """Return the exchange (symbol, calendar) of each symbol."""
    names = symbols.unique().to_list()
    return pl.DataFrame(
        {"symbol": names, "calendar": [venue_of(s).calendar for s in names]},
        schema={"symbol": pl.String, "calendar": pl.String},
    )


def _by_exchange(symbols: pl.Series) -> Iterable[tuple[str, list[str]]]:
    grouped = exchange_of(symbols).group_by("calendar").agg("symbol").sort("calendar")
    return list(grouped.iter_rows())


@lru_cache(maxsize=32)
def _sessions(code: str) -> pl.DataFrame:
    """Return the expected sessions (date, place) of an exchange, and `sum_before`, the sum of the dates before each."""
    dates = pl.Series("date", expected_sessions(code), pl.Date)
    frame = pl.DataFrame({"date": dates, "place": pl.int_range(len(dates), eager=True)})
    days = pl.col("date").cast(pl.Int32).cast(pl.Int64)
    return frame.with_columns(sum_before=days.cum_sum() - days, sum_with=days.cum_sum())


def _with_places(spans: pl.DataFrame) -> pl.DataFrame:
    """Add `start` and `end` (places of the first session and after the last one) and `days_due` between them."""
    parts = []
    for code, symbols in _by_exchange(spans["symbol"].unique()):
        here, sessions = spans.filter(pl.col("symbol").is_in(symbols)), _sessions(code)
        first = sessions.select("date", start="place", before="sum_before")
        last = sessions.select("date", end=pl.col("place") + 1, through="sum_with")
        here = here.join(first, left_on="first", right_on="date", how="left")
        here = here.join(last, left_on="last", right_on="date", how="left")
        parts.append(here.with_columns(days_due=pl.col("through") - pl.col("before")))
    return pl.concat(parts) if parts else spans.with_columns(start=0, end=0, days_due=0)
