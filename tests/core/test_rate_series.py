"""The days on which publishers issue rates, when these are public, and what a document covers."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from quantx.core.model import Window
from quantx.core.rate_series import EURO, UST, easter, target_days, treasury_days


def test_target_is_closed_on_its_holidays_and_open_on_others() -> None:
    closed = [date(2024, 1, 1), date(2024, 3, 29), date(2024, 4, 1), date(2024, 5, 1), date(2024, 12, 25),
              date(2024, 12, 26), date(2001, 12, 31), date(2024, 3, 30)]  # fmt: skip
    opened = [date(2024, 5, 9), date(2024, 10, 3), date(2024, 12, 24), date(2024, 12, 31), date(2024, 7, 4)]
    assert [day for day in closed if day in target_days(day.year)] == []
    assert [day for day in opened if day not in target_days(day.year)] == []


def test_bonds_do_not_trade_on_some_days_on_which_the_exchange_does() -> None:
    closed = [date(2024, 10, 14), date(2024, 11, 11), date(2018, 11, 12), date(1995, 1, 16), date(2024, 7, 4)]
    opened = [date(2023, 11, 10), date(2020, 3, 9), date(2024, 12, 24)]
    assert [day for day in closed if day in treasury_days(day.year)] == []
    assert [day for day in opened if day not in treasury_days(day.year)] == []


def test_easter_of_years_that_follow_other_rules() -> None:
    known = {1999: (4, 4), 2000: (4, 23), 2008: (3, 23), 2011: (4, 24), 2038: (4, 25)}
    assert {year: (easter(year).month, easter(year).day) for year in known} == known


@pytest.mark.parametrize(
    ("now", "euro", "ust"),
    [
        (datetime(2024, 4, 2, 13, 59, tzinfo=UTC), date(2024, 3, 28), date(2024, 4, 1)),  # before four in Frankfurt
        (datetime(2024, 4, 2, 14, 0, tzinfo=UTC), date(2024, 4, 2), date(2024, 4, 1)),
        (datetime(2024, 4, 2, 22, 0, tzinfo=UTC), date(2024, 4, 2), date(2024, 4, 2)),  # six in New York, summer time
        (datetime(2024, 1, 2, 22, 59, tzinfo=UTC), date(2024, 1, 2), date(2023, 12, 29)),  # winter time
        (datetime(2024, 1, 1, 23, 59, tzinfo=UTC), date(2023, 12, 29), date(2023, 12, 29)),
    ],
)
def test_the_newest_day_is_the_last_one_that_is_public(now: datetime, euro: date, ust: date) -> None:
    assert (EURO.newest(now), UST.newest(now)) == (euro, ust)


def test_a_document_covers_its_days_and_leaves_a_late_one_open() -> None:
    as_of, window = datetime(2024, 4, 3, 15, tzinfo=UTC), Window(date(2024, 3, 25), date(2024, 4, 3))
    late = EURO.coverage(window, as_of, date(2024, 4, 2))
    assert late.covered == Window(date(2024, 3, 25), date(2024, 4, 2))
    assert EURO.coverage(window, as_of, date(2024, 4, 3)).covered == window
    nothing = EURO.coverage(Window(date(2024, 4, 2), date(2024, 4, 3)), as_of, None)
    assert (nothing.covered, nothing.asked_through) == (None, date(2024, 4, 3))


def test_a_year_that_ended_is_covered_to_its_last_day() -> None:
    window = Window(date(2023, 1, 1), date(2023, 12, 31))
    assert UST.coverage(window, datetime(2024, 1, 3, tzinfo=UTC), date(2023, 12, 29)).covered == window
