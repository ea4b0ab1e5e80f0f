"""Missing sessions: those of a brute-force search, on invented holes and on recorded series."""

from __future__ import annotations

import lzma
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.quality.gaps import market_wide_gaps, missing_sessions, spans_of, symbols_with_gaps, to_windows
from quantx.core.symbols import venue_of

from ...market_data import either

SCHEMA = {"symbol": pl.String, "date": pl.Date}
YEAR = calendar("XNYS").sessions(date(2024, 1, 2), date(2024, 12, 31))


def bars_of(days: dict[str, list[date]]) -> pl.DataFrame:
    return pl.DataFrame([(s, d) for s, some in days.items() for d in some], schema=SCHEMA, orient="row")


def spans(bars: pl.DataFrame) -> pl.DataFrame:
    return spans_of(bars.lazy()).collect()


def searched(days: dict[str, list[date]]) -> list[tuple[str, date]]:
    return sorted(
        (symbol, day)
        for symbol, some in days.items()
        if some
        for day in calendar(venue_of(symbol).calendar).sessions(min(some), max(some))
        if day not in some
    )


a_day = st.dates(date(2023, 12, 15), date(2024, 3, 1))  # also of weekends and holidays
some_days = st.lists(a_day, unique=True, max_size=60)


@given(st.fixed_dictionaries({"AAPL": some_days, "BRK.B": some_days, "0700.HK": some_days, "7203.T": some_days}))
def test_missing_sessions_are_those_of_a_search(days: dict[str, list[date]]) -> None:
    bars = bars_of({s: [d for d in some if calendar(venue_of(s).calendar).is_session(d)] for s, some in days.items()})
    known = {s: bars.filter(symbol=s)["date"].to_list() for s in days}
    missing = missing_sessions(bars)
    assert missing.rows() == searched(known)
    assert sorted(symbols_with_gaps(spans(bars))) == sorted(set(missing["symbol"]))


@given(some_days)
def test_a_bar_on_a_day_without_a_session_hides_no_hole(days: list[date]) -> None:
    known = [d for d in days if calendar("XNYS").is_session(d)]
    whole = bars_of({"AAPL": days})
    inside = [] if not known else [d for d in calendar("XNYS").sessions(min(known), max(known)) if d not in known]
    assert missing_sessions(whole)["date"].to_list() == inside
    if inside:
        assert symbols_with_gaps(spans(whole)) == ["AAPL"]


@given(some_days)
def test_windows_hold_the_same_sessions(days: list[date]) -> None:
    sessions = calendar("XNYS")
    known = sorted(d for d in days if sessions.is_session(d))
    windows = to_windows(bars_of({"AAPL": known}))
    unfolded = [
        d for first, last in windows.select("first", "last").iter_rows() for d in sessions.sessions(first, last)
    ]
    assert unfolded == known
    assert windows["sessions"].sum() == len(known)


def test_a_closure_that_nobody_had_planned_is_no_hole() -> None:
    days = [d for d in calendar("XNYS").sessions(date(2025, 1, 2), date(2025, 1, 31)) if d != date(2025, 1, 9)]
    bars = bars_of({"AAPL": days})
    assert missing_sessions(bars).is_empty()
    assert symbols_with_gaps(spans(bars)) == []


def test_thousands_of_series_are_searched_at_once() -> None:
    """5,000 symbols over a year; every 500th bar but the ends is missing."""
    names = pl.DataFrame({"symbol": [f"A{n}" for n in range(5000)]})
    whole = names.join(pl.DataFrame({"date": YEAR}), how="cross")
    inner = pl.col("date").is_between(YEAR[1], YEAR[-2])
    gone = (pl.int_range(pl.len()) % 500 == 7) & inner
    bars = whole.filter(~gone)
    missing = missing_sessions(bars)
    expected = whole.filter(gone).sort("symbol", "date")
    assert missing.equals(expected)
    assert symbols_with_gaps(spans(whole)) == []
    assert sorted(symbols_with_gaps(spans(bars))) == sorted(set(expected["symbol"]))


@pytest.mark.parametrize(("series", "lacking", "found"), [(10, 4, 0), (10, 5, 1), (11, 5, 0), (4, 4, 0), (5, 5, 1)])
def test_a_hole_is_the_market_s_where_most_of_at_least_five_have_it(series: int, lacking: int, found: int) -> None:
    hole = YEAR[50]
    days = {f"A{n}": [d for d in YEAR if n >= lacking or d != hole] for n in range(series)}
    days["LATE"] = list(YEAR[100:])  # begins after the hole, and does not count
    bars = bars_of(days)
    shared = market_wide_gaps(missing_sessions(bars), spans(bars))
    assert shared.rows() == [("XNYS", hole, lacking, series)][:found]


Files = Callable[[str], pl.DataFrame]


@pytest.fixture(scope="module")
def files(market_data: Path) -> Files:
    """Reads the days with prices of all files of a folder; `{}` is the symbol in the name of a file."""

    def read(pattern: str) -> pl.DataFrame:
        folder, _, name = pattern.rpartition("/")
        before, after = name.split("{}")
        found = []
        for path in sorted((market_data / folder).glob(f"{before}*{after}")):
            symbol = path.name.removeprefix(before).removesuffix(after)
            lines = pl.Series(lzma.decompress(path.read_bytes()).decode().splitlines())
            dates = lines.str.extract(r"^(\d{4}-\d\d-\d\d),[^,]").drop_nulls().str.to_date()
            found.append(pl.DataFrame({"symbol": symbol, "date": dates.unique()}, schema=SCHEMA))
        return pl.concat(found)

    return read


def test_recorded_series_without_defects_have_no_hole(files: Files) -> None:
    """365 symbols and 3,900 years, with the closures of September 2001 and October 2012."""
    bars = files("daily_us_yahoo_csv/sp500/{}.csv.xz")
    assert bars["symbol"].n_unique() == either(365, 6)
    assert missing_sessions(bars).is_empty()
    assert symbols_with_gaps(spans(bars)) == []


def test_the_holes_of_recorded_series_are_found(files: Files) -> None:
    bars = files("daily_us_unadjusted_with_events_quandl_wiki/{}.csv.xz")
    missing = missing_sessions(bars)
    shared = market_wide_gaps(missing, spans(bars))
    assert shared.rows() == [("XNYS", date(2017, 11, 8), either(39, 6), either(39, 6))]
    alone = missing.join(shared, on="date", how="anti").rows()
    august = [(s, date(2017, 8, 7)) for s in either(("AAPL", "ADBE", "AMZN", "CELG", "INTC"), ("QZCC",))]
    assert alone == sorted([*august, *either([("ABT", date(2017, 11, 6)), ("MA", date(2018, 2, 14))], [])])


def test_closures_that_the_calendar_lacks_are_no_holes(files: Files) -> None:
    """The typhoon Saola and the black rain of September 2023 are closures; one Monday is missing in every file."""
    bars = files("daily_hk_yfinance_download_csv/{}.csv.xz")
    missing = missing_sessions(bars)
    shared = market_wide_gaps(missing, spans(bars))
    assert [row[1] for row in shared.rows()] == [either(date(2012, 3, 19), date(2023, 10, 16))]
    assert missing.height == shared["missing"].sum() == either(19, 5)


def test_a_window_ends_where_a_session_is_there() -> None:
    week = [YEAR[0] + timedelta(n) for n in (0, 1, 6, 7)]  # from Tuesday to Wednesday, and Monday and Tuesday
    assert to_windows(bars_of({"AAPL": week})).rows() == [
        ("AAPL", date(2024, 1, 2), date(2024, 1, 3), 2),
        ("AAPL", date(2024, 1, 8), date(2024, 1, 9), 2),
    ]
