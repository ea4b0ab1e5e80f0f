"""Who carried which symbol when: laws of any consistent history, and the cases that people meet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.symbol_history import Naming, SymbolHistory, merge_history, symbols_on, with_end
from quantx.errors import ConfigError

FB = (
    Naming("us.FB.19990929", "FB", date(1999, 9, 29), date(2003, 3, 28)),
    Naming("us.FB.20120518", "FB", date(2012, 5, 18), date(2022, 6, 8)),
    Naming("us.FB.20120518", "META", date(2022, 6, 9), None),
    Naming("us.META.20210630", "META", date(2021, 6, 30), date(2022, 1, 30)),
    Naming("us.META.20210630", "METV", date(2022, 1, 31), None),
)
OLD_FB, FACEBOOK, OLD_META = "us.FB.19990929", "us.FB.20120518", "us.META.20210630"
KNOWN = SymbolHistory(FB)

RESOLVED = [
    ("FB", "1999-09-28", None),
    ("FB", "1999-09-29", OLD_FB),
    ("FB", "2003-03-29", None),
    ("FB", "2015-06-30", FACEBOOK),
    ("FB", "2022-06-08", FACEBOOK),
    ("FB", "2022-06-09", None),
    ("META", "2021-12-01", OLD_META),
    ("META", "2022-03-01", None),
    ("META", "2026-11-27", FACEBOOK),
    ("AAPL", "2026-11-27", None),
]


@pytest.mark.parametrize(("symbol", "day", "instrument"), RESOLVED)
def test_a_symbol_belongs_to_one_security_on_a_day(symbol: str, day: str, instrument: str | None) -> None:
    assert KNOWN.resolve(symbol, date.fromisoformat(day)) == instrument


ASKED: list[tuple[str, str | None, str | None, str | None, str | None]] = [
    ("META", "2015-01-01", None, None, FACEBOOK),  # who carries it now
    ("META", None, None, None, FACEBOOK),
    ("META", "2021-07-01", "2021-12-31", None, OLD_META),
    ("META", "2023-01-01", "2024-12-31", None, FACEBOOK),
    ("FB", "2000-01-01", "2002-12-31", None, OLD_FB),
    ("FB", "2013-01-01", None, None, FACEBOOK),  # nobody carries it now, and one did since then
    ("META", "2015-01-01", "2024-12-31", "2024-12-31", FACEBOOK),
    ("FB", None, None, "2001-01-02", OLD_FB),
    ("METV", "2021-07-01", "2021-12-31", None, OLD_META),  # it carried another one then, and nobody else METV
    ("AAPL", None, None, None, None),
]


@pytest.mark.parametrize(("symbol", "first", "last", "on", "instrument"), ASKED)
def test_who_is_meant_by_a_symbol(
    symbol: str, first: str | None, last: str | None, on: str | None, instrument: str | None
) -> None:
    first_day, last_day, on_day = (date.fromisoformat(d) if d else None for d in (first, last, on))
    assert KNOWN.find_instrument(symbol, first_day, last_day, on_day) == instrument


@pytest.mark.parametrize(
    ("symbol", "first", "last"),
    [("FB", None, None), ("META", "2015-01-01", "2024-12-31"), ("FB", "2005-01-01", "2006-01-01")],
)
def test_several_securities_are_never_mixed_and_the_error_says_how_to_ask(
    symbol: str, first: str | None, last: str | None
) -> None:
    with pytest.raises(ConfigError, match=r"us\.\w+\.\d+ \(.* from .* to .*\).* with on="):
        KNOWN.find_instrument(symbol, *(date.fromisoformat(d) if d else None for d in (first, last)))


@pytest.mark.parametrize(
    "namings",
    [
        (Naming("a", "X", None, date(2020, 1, 2)), Naming("b", "X", date(2020, 1, 2), None)),
        (Naming("a", "X", None, date(2020, 1, 2)), Naming("a", "Y", date(2020, 1, 1), None)),
        (Naming("a", "X", None, None), Naming("b", "X", None, None)),
        (Naming("a", "X", date(2020, 1, 2), date(2020, 1, 1)),),
    ],
)
def test_what_can_not_be_true_is_refused(namings: Sequence[Naming]) -> None:
    with pytest.raises(ConfigError, match=r"a \(X from"):
        SymbolHistory(namings)


def test_a_security_that_is_known_keeps_its_id_whatever_a_source_calls_it() -> None:
    known = SymbolHistory([Naming("us.FB.20120518", "FB", date(2012, 5, 18), None)])
    told = [
        Naming("facebook", "FB", date(2012, 5, 18), date(2022, 6, 8)),
        Naming("facebook", "META", date(2022, 6, 9), None),
        Naming("another", "FB", date(1999, 9, 29), date(2003, 3, 28)),
    ]
    after, names = merge_history(known, told)
    assert names == {"facebook": "us.FB.20120518", "another": "another"}
    assert [n.symbol for n in after.symbols_of("us.FB.20120518")] == ["FB", "META"]
    assert merge_history(after, told)[0].namings == after.namings


def test_a_source_that_takes_two_known_securities_for_one_is_refused() -> None:
    wrong = [Naming("x", "FB", date(2000, 1, 1), date(2015, 1, 1))]
    with pytest.raises(ConfigError, match="several known securities"):
        merge_history(KNOWN, wrong)
    split = [Naming("x", "FB", date(2013, 1, 1), date(2014, 1, 1)), Naming("y", "FB", date(2016, 1, 1), None)]
    with pytest.raises(ConfigError, match=r"one security, but the source has several.*: x, y"):
        merge_history(KNOWN, split)


def test_who_is_delisted_has_a_last_day() -> None:
    after, instrument = with_end(KNOWN, "METV", date(2025, 3, 3), "new")
    assert instrument == OLD_META
    assert after.symbols_of(OLD_META)[-1].last == date(2025, 3, 3)
    fresh, instrument = with_end(KNOWN, "LEH", date(2008, 9, 17), "new")
    assert (instrument, fresh.symbols_of("new")) == ("new", [Naming("new", "LEH", None, date(2008, 9, 17))])
    with pytest.raises(ConfigError, match="no security with the symbol FB can have ended"):
        with_end(KNOWN, "FB", date(2020, 1, 2), "new")  # it went on as META


def test_renamed_securities_trade_under_the_new_symbol_and_ended_ones_not() -> None:
    known, _ = with_end(KNOWN, "METV", date(2025, 3, 3), "new")
    assert symbols_on(known, ["AAPL", "FB", "META", "METV"], date(2026, 11, 27)) == ["AAPL", "META"]
    assert symbols_on(known, ["FB", "METV"], date(2022, 2, 1)) == ["FB", "METV"]


@st.composite
def histories(draw: st.DrawFn) -> list[Naming]:
    """A few securities that take turns with a few symbols, without contradictions."""
    free = dict.fromkeys("XYZ", date(2000, 1, 1))
    namings = []
    for k in range(draw(st.integers(1, 4))):
        begin = date(2000, 1, 1) + timedelta(draw(st.integers(0, 2000)))
        for symbol in draw(st.lists(st.sampled_from("XYZ"), min_size=1, max_size=3, unique=True)):
            begin = max(begin, free[symbol])
            end = begin + timedelta(draw(st.integers(0, 900)))
            namings.append(Naming(f"i{k}", symbol, begin, end))
            free[symbol] = begin = end + timedelta(1)
    return namings


days = st.integers(-10, 6000).map(lambda n: date(2000, 1, 1) + timedelta(n))


@given(histories(), days)
def test_what_a_security_carries_on_a_day_resolves_to_it(namings: list[Naming], day: date) -> None:
    known = SymbolHistory(namings)
    for instrument in {n.instrument for n in namings}:
        carried = known.symbols_of(instrument, day, day)
        assert len(carried) <= 1
        assert all(known.resolve(n.symbol, day) == instrument for n in carried)
    for symbol in "XYZ":
        found = known.resolve(symbol, day)
        assert [n.instrument for n in known.namings_of(symbol, day, day)] == ([found] if found else [])


@given(histories())
def test_learning_the_same_again_changes_nothing(namings: list[Naming]) -> None:
    once, _ = merge_history(SymbolHistory(), namings)
    twice, names = merge_history(once, [Naming(f"other {n.instrument}", n.symbol, n.first, n.last) for n in namings])
    assert twice.namings == once.namings
    assert names == {f"other {n.instrument}": n.instrument for n in namings}


@given(histories(), days, days)
def test_who_is_meant_carried_the_symbol_or_nobody_else_did(namings: list[Naming], a: date, b: date) -> None:
    known, first, last = SymbolHistory(namings), min(a, b), max(a, b)
    for symbol in "XYZ":
        within = {n.instrument for n in known.namings_of(symbol, first, last)}
        try:
            meant = known.find_instrument(symbol, first, last)
        except ConfigError:
            assert len({n.instrument for n in known.namings_of(symbol)}) > 1
        else:
            assert within <= {meant}
