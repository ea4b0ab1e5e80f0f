"""Within which hours the exchanges' minutes lie."""

from __future__ import annotations

import csv
import io
import lzma
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.hours import HOURS, trading_hours
from quantx.core.symbols import US, VENUES_BY_SUFFIX

from ..market_data import either


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours_of(code: str, day: str) -> dict[str, datetime]:
    (row,) = trading_hours(code).filter(pl.col("date") == date.fromisoformat(day)).to_dicts()
    return row


@pytest.mark.parametrize("code", sorted({v.calendar for v in (US, *VENUES_BY_SUFFIX.values())}))
def test_every_session_of_every_exchange_has_hours(code: str) -> None:
    hours = trading_hours(code)
    assert dict(hours.schema) == HOURS
    assert hours["date"].to_list() == list(calendar(code).days)
    assert hours.filter(pl.col("first_time") > pl.col("open_time")).is_empty()
    assert hours.filter(pl.col("end_time") < pl.col("close_time")).is_empty()
    assert hours.drop("break_start", "break_end").null_count().sum_horizontal().item() == 0


@pytest.mark.parametrize(
    ("day", "first", "end"),
    [
        ("2024-03-08", "2024-03-08T09:00", "2024-03-09T01:00"),  # the last session in winter time
        ("2024-03-11", "2024-03-11T08:00", "2024-03-12T00:00"),  # the first one in summer time
        ("2024-11-01", "2024-11-01T08:00", "2024-11-02T00:00"),
        ("2024-11-04", "2024-11-04T09:00", "2024-11-05T01:00"),
        ("2015-12-24", "2015-12-24T09:00", "2015-12-25T01:00"),  # a half day
    ],
)
def test_new_york_trades_from_four_to_eight_by_its_own_clock(day: str, first: str, end: str) -> None:
    hours = hours_of("XNYS", day)
    assert (hours["first_time"], hours["end_time"]) == (at(first), at(end))


def test_elsewhere_there_is_the_session_and_its_closing_auction() -> None:
    hours = hours_of("XLON", "2024-07-01")
    assert (hours["first_time"], hours["end_time"]) == (at("2024-07-01T07:00"), at("2024-07-01T15:45"))


@pytest.mark.parametrize("code", ["XHKG", "XTKS"])
def test_lunch_breaks_are_the_recorded_ones(market_data: Path, code: str) -> None:
    path = market_data / "known_answers" / "exchange_calendars" / f"{code.lower()}.csv.xz"
    rows = list(csv.DictReader(io.StringIO(lzma.decompress(path.read_bytes()).decode())))
    known = {
        date.fromisoformat(r[""][:10]): tuple(at(r[c][:19]) if r[c] else None for c in ("break_start", "break_end"))
        for r in rows
    }
    hours = trading_hours(code)
    found = {d: (b, e) for d, b, e in hours.select("date", "break_start", "break_end").iter_rows() if d in known}
    assert found == known
    assert sum(b is not None for b, _ in known.values()) > either(1000, 150)


def test_there_is_no_lunch_in_new_york() -> None:
    assert trading_hours("XNYS")["break_start"].null_count() == trading_hours("XNYS").height
