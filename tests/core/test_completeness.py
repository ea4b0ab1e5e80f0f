"""What is expected of each member, and what is there: the rules by example, and against a slow count of days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.completeness import Completeness, completeness, days_of, held_days
from quantx.core.tables import SYMBOL_HISTORY, UNIVERSE_MEMBERS

NOW = datetime(2024, 1, 12, 23, tzinfo=UTC)  # a Friday, after New York's close; sessions 2, 3, 4, 5, 8, 9, 10, 11, 12
SETTLED = calendar("XNYS").sessions(date(2024, 1, 2), date(2024, 1, 12))

Bar = tuple[str, str, date]  # source, symbol, date
Member = tuple[str, str, date | None, date | None]  # universe, symbol, from, to
Naming = tuple[str, str, date | None, date | None]  # instrument, symbol, from, to


def jan(day: int, month: int = 1) -> date:
    return date(2024, month, day)


def bars(symbol: str, days: Sequence[date], source: str = "yahoo") -> list[Bar]:
    return [(source, symbol, day) for day in days]


def of(
    bars: Sequence[Bar], members: Sequence[Member] = (), history: Sequence[Naming] = (), now: datetime = NOW
) -> Completeness:
    rows = pl.DataFrame(bars, schema={"source": pl.String, "symbol": pl.String, "date": pl.Date}, orient="row")
    listed = [(u, "phase_1", s, "hk" if s.endswith(".HK") else "us", None, a, b, now) for u, s, a, b in members]
    named = [(i, s, a, b, None, now) for i, s, a, b in history]
    return completeness(
        held_days(rows.lazy()).collect(),
        pl.DataFrame(listed, schema=dict(UNIVERSE_MEMBERS.schema), orient="row"),
        pl.DataFrame(named, schema=dict(SYMBOL_HISTORY.schema), orient="row"),
        now,
    )


def counts(found: Completeness) -> dict[tuple[str | None, int], tuple[int, int]]:
    """Expected and present by universe and month."""
    rows = found.by_month().select("universe", "month", "expected", "present").iter_rows()
    return {(universe, month): (expected, present) for universe, month, expected, present in rows}


MEMBER = ("u", "AAA", None, None)

CASES: dict[str, tuple[list[Bar], list[Member], tuple[int, int]]] = {
    # name: bars, members → expected and present in January
    "all is there": (bars("AAA", SETTLED), [MEMBER], (9, 9)),
    "one session is missing": (bars("AAA", [d for d in SETTLED if d.day != 8]), [MEMBER], (9, 8)),
    "nothing is expected before the first bar": (bars("AAA", SETTLED[4:]), [MEMBER], (5, 5)),
    "nothing is expected before the joining": (bars("AAA", SETTLED), [("u", "AAA", jan(6), None)], (5, 5)),
    "nothing is expected after the leaving": (bars("AAA", SETTLED), [("u", "AAA", None, jan(7))], (4, 4)),
    "the end is missing": (bars("AAA", SETTLED[:5]), [MEMBER], (9, 5)),
    "two vendors count once": (bars("AAA", SETTLED) + bars("AAA", SETTLED[3:], "alpaca"), [MEMBER], (9, 9)),
    "what one vendor lacks another has": (
        bars("AAA", SETTLED[:5]) + bars("AAA", SETTLED[5:], "alpaca"),
        [MEMBER],
        (9, 9),
    ),
    "a bar on a day without session does not count": (
        bars("AAA", [*SETTLED[:3], *SETTLED[4:], jan(6)]),
        [MEMBER],
        (9, 8),
    ),
    "members are added up": (
        bars("AAA", SETTLED) + bars("BBB", SETTLED[1:3]),
        [MEMBER, ("u", "BBB", None, None)],
        (9 + 8, 9 + 2),
    ),
    "a member twice": (
        bars("AAA", SETTLED),
        [("u", "AAA", None, jan(3)), ("u", "AAA", jan(9), jan(10))],
        (2 + 2, 2 + 2),
    ),
}


@pytest.mark.parametrize(("bars", "members", "expected"), CASES.values(), ids=CASES)
def test_what_is_expected_and_what_is_there(bars: list[Bar], members: list[Member], expected: tuple[int, int]) -> None:
    assert counts(of(bars, members)) == {("u", 202401): expected}


def test_a_member_without_any_bar_is_known_and_nothing_is_expected_of_it() -> None:
    found = of([], [MEMBER])
    assert found.by_month().is_empty()
    assert found.spans.select("symbol", "member", "newest", "first").rows() == [("AAA", True, None, None)]


def test_the_running_session_is_not_expected_yet() -> None:
    noon = datetime(2024, 1, 12, 17, tzinfo=UTC)
    assert counts(of(bars("AAA", SETTLED[:8]), [MEMBER], now=noon)) == {("u", 202401): (8, 8)}


def test_each_market_has_its_own_calendar() -> None:
    new_year = [date(2023, 12, 29), jan(2)]
    found = of(
        bars("AAA", new_year) + bars("0700.HK", new_year), [("u", "AAA", None, jan(3)), ("u", "0700.HK", None, jan(3))]
    )
    assert {
        row["market"]: row["expected"] for row in found.by_month().filter(pl.col("month") == 202401).to_dicts()
    } == {
        "us": 2,
        "hk": 2,
    }
    eve = of(
        bars("0700.HK", [date(2024, 2, 8)]), [("u", "0700.HK", None, None)], now=datetime(2024, 2, 15, 23, tzinfo=UTC)
    )
    assert counts(eve) == {("u", 202402): (4, 1)}  # 8, 9, 14, 15: the lunar new year between


def test_symbols_in_no_universe_are_expected_from_their_first_bar() -> None:
    assert counts(of(bars("AAA", SETTLED[2:6]) + bars("BBB", SETTLED), [("u", "BBB", None, None)])) == {
        (None, 202401): (7, 4),
        ("u", 202401): (9, 9),
    }


def test_the_history_under_an_old_symbol_counts_for_the_new_one() -> None:
    renamed = [("us.1", "FB", None, jan(7)), ("us.1", "META", jan(8), None)]
    found = of(bars("FB", SETTLED[:4]) + bars("META", SETTLED[4:]), [("u", "META", None, None)], renamed)
    assert counts(found) == {("u", 202401): (9, 9)}
    whole = of(bars("META", SETTLED), [("u", "FB", None, jan(7)), ("u", "META", jan(8), None)], renamed)
    assert counts(whole) == {("u", 202401): (9, 9)}


def test_a_security_that_has_ended_is_not_expected_any_more() -> None:
    ended = [("us.1", "AAA", None, jan(5))]
    found = of(bars("AAA", SETTLED[:4]), [MEMBER], ended)
    assert counts(found) == {("u", 202401): (4, 4)}
    assert found.spans["last"].to_list() == [jan(5)]


def test_of_two_securities_with_one_symbol_it_is_the_one_of_the_membership() -> None:
    reused = [("us.1", "AAA", None, jan(3)), ("us.2", "AAA", jan(9), None)]
    found = of(bars("AAA", SETTLED), [("u", "AAA", None, jan(3)), ("v", "AAA", jan(4), None)], reused)
    assert counts(found) == {("u", 202401): (2, 2), ("v", 202401): (4, 4)}


def test_symbols_tell_their_gaps() -> None:
    days = calendar("XNYS").sessions(date(2023, 11, 1), date(2024, 1, 12))
    kept = [d for d in days if d not in (date(2023, 11, 15), date(2023, 12, 5))]
    (row,) = of(bars("AAA", kept), [MEMBER]).by_symbol().to_dicts()
    assert (row["expected"] - row["present"], row["lacks_from"], row["lacks_to"]) == (2, 202311, 202312)


day = st.dates(date(2023, 11, 20), date(2024, 1, 20))
symbol = st.sampled_from(["AAA", "BBB", "0700.HK"])


@given(
    st.lists(st.tuples(st.sampled_from(["yahoo", "alpaca"]), symbol, day), max_size=60, unique=True),
    st.lists(st.tuples(st.sampled_from("uv"), symbol, st.none() | day, st.none() | day), max_size=6),
    st.integers(0, 60 * 24),
)
def test_it_is_what_a_count_day_by_day_gives(rows: list[Bar], members: list[Member], hours: int) -> None:
    now = datetime(2023, 11, 20, tzinfo=UTC) + timedelta(hours=hours)
    found = of(rows, members, now=now)
    expected: dict[tuple[str | None, int], tuple[int, int]] = {}
    named = {m[1] for m in members}
    for universe, name, start, end in [*members, *((None, s, None, None) for s in {b[1] for b in rows} - named)]:
        own = {d for _, s, d in rows if s == name}
        if not own:
            continue
        known = calendar("XHKG" if name.endswith(".HK") else "XNYS")
        settled = [
            d for d in known.sessions(min(own), date(2024, 2, 1)) if known.close_of(d) + timedelta(minutes=30) <= now
        ]
        for d in settled:
            if (start is None or d >= start) and (end is None or d <= end):
                key = (universe, d.year * 100 + d.month)
                before = expected.get(key, (0, 0))
                expected[key] = (before[0] + 1, before[1] + (d in own))
    summed: dict[tuple[str | None, int], tuple[int, int]] = {}
    for row in found.by_month().to_dicts():  # by market, too
        a, b = summed.get((row["universe"], row["month"]), (0, 0))
        summed[row["universe"], row["month"]] = (a + row["expected"], b + row["present"])
    assert summed == expected


def test_the_days_of_bars_are_found_again_in_their_bits() -> None:
    days = [date(2024, 2, 1), date(2024, 2, 29), date(2024, 3, 1), date(2023, 12, 31), date(2023, 2, 28)]
    bars = pl.DataFrame({"source": "a", "symbol": ["X", "X", "Y", "X", "X"], "date": days})
    held = held_days(bars.lazy()).collect()
    found = days_of(held).sort("symbol", "date")
    assert found.equals(bars.select("symbol", "date").sort("symbol", "date"))
    assert held.select("bars", pl.col("ordinals")).sum().row(0) == (
        5,
        sum((day - date(1970, 1, 1)).days for day in days),
    )
