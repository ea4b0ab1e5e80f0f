"""Sessions that series lack between their first and their last bar: all series of a vendor at once, and pure.

A market-wide hole is one that most series of an exchange have in common: then the vendor, or the calendar, is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache

import polars as pl

from quantx.core.calendars import held_sessions
from quantx.core.quality.rule import Rule
from quantx.core.symbols import venue_of

MISSING, MARKET_MISSING = "missing_sessions", "market_sessions_missing"  # the rules of findings

_FEW = 5  # so many series must lack a session before it is the market's
_MOST = 0.5  # of the series of an exchange
_PLACES = 2**32  # more than any calendar has

MARKET_RULES = (
    Rule(
        MARKET_MISSING,
        "warn",
        "bars_1d,bars_1d_adjusted,bars_1m",
        f"a session that the calendar has is there for most series of the exchange (of {_FEW} or more)",
        "a vendor's outage, or a closure that the calendar lacks, is one fact and not one for each symbol",
        "Quandl WIKI 2017-11-08: in no file; Yahoo 2012-03-19: missing for 19 of 30 shares of Hong Kong",
        pl.col("missing") >= pl.max_horizontal(pl.lit(_FEW), pl.col("expected") * _MOST),
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


def with_holes(spans: pl.DataFrame) -> list[str]:
    """Return the symbols whose bars are not those of the sessions from the first to the last.

    Told by their number and the sum of their dates, so that no bar has to be looked at again of those without holes.
    """
    placed = _with_places(spans)
    odd = (pl.col("bars") != pl.col("end") - pl.col("start")) | (pl.col("days") != pl.col("days_due"))
    return placed.filter(odd.fill_null(True))["symbol"].to_list()


def missing_sessions(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions (symbol, date) between each symbol's first and last bar that `bars` (symbol, date) lacks."""
    found = [pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date})]
    for code, symbols in _by_exchange(bars["symbol"].unique()):
        sessions, names = _sessions(code), pl.DataFrame({"symbol": symbols}).with_row_index("name")
        # One number per symbol and session: millions of rows are sorted and compared without their texts.
        placed = bars.lazy().join(names.lazy(), on="symbol").join(sessions.lazy(), on="date")
        keys = placed.select(key=pl.col("name").cast(pl.Int64) * _PLACES + pl.col("place")).collect()["key"].sort()
        holes = pl.DataFrame({"start": keys.shift() + 1, "end": keys}).filter(
            pl.col("end") > pl.col("start"), pl.col("end") // _PLACES == pl.col("start") // _PLACES
        )
        lacking = holes.select(key=pl.int_ranges("start", "end").explode())
        lacking = lacking.select(name=(pl.col("key") // _PLACES).cast(pl.UInt32), place=pl.col("key") % _PLACES)
        found.append(lacking.join(names, on="name").join(sessions, on="place").select("symbol", "date"))
    return pl.concat(found).sort("symbol", "date")


def only_sessions(days: pl.DataFrame) -> pl.DataFrame:
    """Keep the days (symbol, date) on which the symbol's exchange trades."""
    parts = [
        days.filter(pl.col("symbol").is_in(symbols)).join(_sessions(code), on="date", how="semi")
        for code, symbols in _by_exchange(days["symbol"].unique())
    ]
    return pl.concat([days.clear(), *parts])


def market_wide(missing: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Return the holes (calendar, date, missing, expected) that most series of an exchange have in common.

    `missing` has symbol and date; `expected` are the series whose `spans` (symbol, first, last) hold the date.
    """
    found = [pl.DataFrame(schema={"calendar": pl.String, "date": pl.Date, "missing": pl.Int64, "expected": pl.Int64})]
    for code, symbols in _by_exchange(spans["symbol"].unique()):
        here = spans.filter(pl.col("symbol").is_in(symbols))
        lacked = missing.filter(pl.col("symbol").is_in(symbols)).group_by("date").len("missing").sort("date")
        begun = here["first"].sort().search_sorted(lacked["date"], side="right")
        ended = here["last"].sort().search_sorted(lacked["date"], side="left")
        counted = lacked.select(
            pl.lit(code).alias("calendar"),
            "date",
            pl.col("missing").cast(pl.Int64),
            (begun.cast(pl.Int64) - ended.cast(pl.Int64)).alias("expected"),
        )
        found.append(counted.filter(MARKET_RULES[0].broken))
    return pl.concat(found)


def in_windows(sessions: pl.DataFrame, by: Collection[str] = ("symbol",)) -> pl.DataFrame:
    """Return sessions (symbol, date, and what else `by` names) as windows: `by`, first, last, sessions.

    What lies between two sessions of a window is no session of the symbol's exchange.
    """
    keys, found = list(by), []
    for code, symbols in _by_exchange(sessions["symbol"].unique()):
        placed = sessions.filter(pl.col("symbol").is_in(symbols)).join(_sessions(code), on="date").sort(*keys, "date")
        run = pl.col("place") - pl.int_range(pl.len()).over(keys)
        found.append(
            placed.group_by(*keys, run.alias("run"), maintain_order=True)
            .agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"), pl.len().alias("sessions"))
            .drop("run")
        )
    empty = sessions.clear().select(*keys, first="date", last="date", sessions=pl.lit(0, pl.UInt32))
    return pl.concat([empty, *found]).sort(*keys, "first")


def exchange_of(symbols: pl.Series) -> pl.DataFrame:
    """Return the exchange (symbol, calendar) of each of these symbols."""
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
    """Return the sessions (date, place) of an exchange, with the sum of the dates before each in `sum_before`."""
    dates = pl.Series("date", held_sessions(code), pl.Date)
    frame = pl.DataFrame({"date": dates, "place": pl.int_range(len(dates), eager=True)})
    days = pl.col("date").cast(pl.Int32).cast(pl.Int64)
    return frame.with_columns(sum_before=days.cum_sum() - days, sum_with=days.cum_sum())


def _with_places(spans: pl.DataFrame) -> pl.DataFrame:
    """Add `start` and `end`, the places of the first session and after the last one, and `days_due` between them."""
    found = []
    for code, symbols in _by_exchange(spans["symbol"].unique()):
        here, sessions = spans.filter(pl.col("symbol").is_in(symbols)), _sessions(code)
        first = sessions.select("date", start="place", before="sum_before")
        last = sessions.select("date", end=pl.col("place") + 1, through="sum_with")
        here = here.join(first, left_on="first", right_on="date", how="left")
        here = here.join(last, left_on="last", right_on="date", how="left")
        found.append(here.with_columns(days_due=pl.col("through") - pl.col("before")))
    return pl.concat(found) if found else spans.with_columns(start=0, end=0, days_due=0)
