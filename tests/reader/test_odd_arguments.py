"""Arguments of a wrong kind, and at the ends of what there is: plain words, and never an error of a library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quantx.errors import ConfigError, NotInLake, QuantxError, SqlError
from quantx.reader import Lake, open_lake

ODD: dict[str, tuple[Callable[[Any], object], type[QuantxError], str]] = {
    "a frame as symbols": (lambda lake: lake.bars(pl.DataFrame({"symbol": ["AAA"]})), ConfigError, "is not a symbol"),
    "no columns": (lambda lake: lake.bars("AAA", columns=[]), ConfigError, "columns is empty"),
    "a number as columns": (lambda lake: lake.bars("AAA", columns=5), ConfigError, "columns=5 is not a text"),
    "null as a column": (lambda lake: lake.bars("AAA", columns=["close", None]), ConfigError, "columns=None"),
    "a list as the timeframe": (lambda lake: lake.bars("AAA", timeframe=["1d"]), ConfigError, "use 1d or 1m"),
    "a number as the source": (lambda lake: lake.bars("AAA", source=5), ConfigError, "source=5 is not a text"),
    "an instant before the year 1": (
        lambda lake: lake.bars("AAA", as_of="0001-01-01T00:00:00+14:00"),
        ConfigError,
        "before the year 1",
    ),
    "no field": (lambda lake: lake.panel(None, symbols="AAA"), ConfigError, "field=None is not a text"),
    "a number as the universe": (lambda lake: lake.panel(universe=5), NotInLake, "no universe 5"),
    "a part of a session": (
        lambda lake: lake.lookback(dates="2024-01-04", sessions=2.5, symbols="AAA"),
        ConfigError,
        "a whole number",
    ),
    "a frame that is none": (lambda lake: lake.resample(None, "1w"), ConfigError, "a Polars frame"),
    "a frame of pandas": (lambda lake: lake.resample(lake.bars("AAA").to_pandas(), "1w"), ConfigError, "Polars frame"),
    "texts as dates": (
        lambda lake: lake.resample(lake.bars("AAA").with_columns(pl.col("date").cast(pl.String)), "1w"),
        ConfigError,
        "the columns symbol and date",
    ),
    "no frequency": (lambda lake: lake.resample(lake.bars("AAA"), None), ConfigError, "is not a frequency"),
    "no name of a snapshot": (lambda lake: lake.snapshot(None), ConfigError, "no name of a snapshot"),
    "a long name of a snapshot": (lambda lake: lake.snapshot("x" * 200), ConfigError, "up to 64 letters"),
    "changes of an unknown symbol": (lambda lake: lake.changes("2024-01-01", "ZZZ"), NotInLake, "no symbol ZZZ"),
    "no query": (lambda lake: lake.sql(None), SqlError, "is not a query"),
    "half a character": (lambda lake: lake.sql("select '\ud800'"), SqlError, "half of a character"),
    "a text as the timeout": (lambda lake: lake.sql("select 1", timeout="x"), ConfigError, "timeout=x"),
    "deep brackets": (lambda lake: lake.sql(f"select {'(' * 3000}1{')' * 3000}"), SqlError, "nested too deeply"),
    "infinity": (lambda lake: lake.sql("select timestamp 'infinity' as t"), SqlError, "use t::VARCHAR"),
    "a late error": (lambda lake: lake.sql("select x::INT from (select 'a' as x)"), SqlError, "an error: Could not"),
    "a number as the address": (lambda lake: open_lake(5), ConfigError, "use a URL or a path"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", ODD)
def test_it_is_an_error_in_plain_words(case: str, lake: Lake) -> None:
    call, kind, text = ODD[case]
    with pytest.raises(kind) as failure:
        call(lake)
    assert text in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("source", [None, "best"])
def test_all_days_that_there_are(lake: Lake, source: str | None) -> None:
    assert lake.bars("AAA", date.min, date.max, source=source).height == 5


def test_a_lookback_reaches_back_beyond_a_long_pause(lake: Lake) -> None:
    day = "2025-06-30"
    seen = lake.lookback(dates=day, sessions=3, symbols="AAA").drop("seen_on")
    assert seen.equals(lake.panel(symbols="AAA", end=day, base=day, adjust="total").tail(3))
    assert seen["date"].max() == date(2024, 1, 4)
    assert lake.lookback(dates=[date.max], sessions=10**9, symbols="AAA").height == 5


def test_the_other_symbols_of_a_pause(lake: Lake) -> None:
    """AAA has enough sessions near the first day, so that the earlier ones of others are not needed."""
    days = [date(2024, 1, 4), date(2024, 1, 4) + timedelta(days=400)]
    assert (
        lake.lookback(dates=days, sessions=2, symbols=["AAA", "BBB"])["date"].to_list()
        == [
            date(2024, 1, 3),
            date(2024, 1, 4),
        ]
        * 2
    )
