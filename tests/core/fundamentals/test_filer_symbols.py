"""Tickers of filers over time: what lists and declarations record."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from quantx.core.fundamentals.filer_symbols import (
    FilerSymbol,
    add_tickers,
    filer_symbol_rows,
    filer_symbols_of,
    filers_by_symbol,
    link,
    observe_list,
)
from quantx.core.fundamentals.filing_days import coverage_of_filings, last_filing_day
from quantx.core.fundamentals.industries import with_industries, with_sector
from quantx.core.model import Window
from quantx.core.tables import INSTRUMENTS
from quantx.errors import ConfigError

OLD, NEW, OTHER = "CIK0001058057", "CIK0001835632", "CIK0000320193"
FIRST, NEXT, LAST = date(2021, 4, 1), date(2021, 4, 21), date(2021, 5, 3)


def spans(record: list[FilerSymbol]) -> set[tuple[str, str, date | None, date | None]]:
    return {(each.filer, each.symbol, each.first, each.last) for each in record}


def test_a_ticker_that_moves_ends_at_the_old_filer_and_both_stay() -> None:
    record = observe_list([], {"MRVL": OLD, "AAPL": OTHER}, FIRST)
    record = observe_list(record, {"MRVL": NEW, "AAPL": OTHER}, NEXT)
    assert spans(record) == {
        (OLD, "MRVL", None, date(2021, 4, 20)),
        (NEW, "MRVL", NEXT, None),
        (OTHER, "AAPL", None, None),
    }
    old = next(each for each in record if each.filer == OLD)
    assert old.evidence == "in the list of 2021-04-01; CIK0001835632 has it in the list of 2021-04-21"
    assert filers_by_symbol(record)["MRVL"] == [NEW, OLD]
    assert observe_list(record, {"MRVL": NEW, "AAPL": OTHER}, LAST) == record


def test_a_ticker_that_vanishes_ends_and_returns_as_a_new_entry() -> None:
    record = observe_list(observe_list([], {"TWTR": OLD, "A": OTHER}, FIRST), {"A": OTHER}, NEXT)
    assert (OLD, "TWTR", None, date(2021, 4, 20)) in spans(record)
    assert filers_by_symbol(record)["TWTR"] == [OLD]
    again = observe_list(record, {"TWTR": OLD, "A": OTHER}, LAST)
    assert (OLD, "TWTR", LAST, None) in spans(again)


def test_a_predecessor_is_declared_and_corrected() -> None:
    record = observe_list([], {"MRVL": NEW}, LAST)
    linked = link(record, "MRVL", OLD, date(2021, 4, 20), "declared: 8-K12B")
    assert spans(linked) == {(OLD, "MRVL", None, date(2021, 4, 20)), (NEW, "MRVL", NEXT, None)}
    corrected = link(linked, "MRVL", OLD, date(2021, 4, 19), "declared: 8-K12B")
    assert (OLD, "MRVL", None, date(2021, 4, 19)) in spans(corrected)
    assert len(corrected) == 2
    assert observe_list(corrected, {"MRVL": NEW}, LAST) == corrected


def test_a_declaration_before_the_first_list_is_kept() -> None:
    record = link([], "MRVL", OLD, date(2021, 4, 20), "declared: 8-K12B")
    assert spans(observe_list(record, {"MRVL": NEW}, LAST)) == {
        (OLD, "MRVL", None, date(2021, 4, 20)),
        (NEW, "MRVL", NEXT, None),
    }


def test_the_present_filer_is_no_predecessor() -> None:
    with pytest.raises(ConfigError, match="still"):
        link(observe_list([], {"MRVL": NEW}, LAST), "MRVL", NEW, FIRST, "declared: x")


def test_tickers_of_submissions_count_until_a_list_comes() -> None:
    record = add_tickers([], [(OTHER, "AAPL"), (OLD, "AAPL")], FIRST)
    assert spans(record) == {(OTHER, "AAPL", None, None)}
    assert spans(observe_list(record, {"AAPL": OTHER, "MRVL": NEW}, NEXT)) == {
        (OTHER, "AAPL", None, None),
        (NEW, "MRVL", None, None),
    }


def test_the_record_survives_its_table() -> None:
    record = observe_list([], {"MRVL": OLD, "AAPL": OTHER}, FIRST)
    assert filer_symbols_of(filer_symbol_rows(record, datetime(2021, 4, 1, tzinfo=UTC))) == record


@pytest.mark.parametrize(
    ("sic", "sector"),
    [("3571", "Manufacturing"), ("6021", "Finance, Insurance and Real Estate"),
     ("0100", "Agriculture, Forestry and Fishing"),
     ("100", "Agriculture, Forestry and Fishing"), ("1900", None), (None, None), ("abc", None)],
)  # fmt: skip
def test_a_code_belongs_to_a_division(sic: str | None, sector: str | None) -> None:
    assert with_sector(pl.DataFrame({"sic": [sic]}, schema={"sic": pl.String}))["sector"].to_list() == [sector]


def test_industries_are_added_to_securities_and_new_ones_get_a_row() -> None:
    before, now = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    known = {"market": "us", "status": "listed", "evidence": "a file", "known_from": before}
    instruments = pl.DataFrame(
        [{"instrument": "us.A.1990", "sic": "1000", **known}, {"instrument": "us.OLD", "sic": "2000", **known}],
        schema=dict(INSTRUMENTS.schema),
    )
    securities = pl.DataFrame(
        {
            "instrument": ["us.A.1990", "us.NEW"],
            "name": ["A", "New"],
            "sic": ["3571", "6021"],
            "industry": ["x", "y"],
            "sector": ["Manufacturing", "Finance"],
        }
    )
    rows = with_industries(instruments, securities, now).sort("instrument")
    assert rows.select("instrument", "sic", "evidence", "known_from").rows() == [
        ("us.A.1990", "3571", "a file", now),
        ("us.NEW", "6021", "the SEC's list of tickers", now),
        ("us.OLD", "2000", "a file", before),
    ]
    assert with_industries(rows, securities, datetime(2022, 1, 1, tzinfo=UTC)).sort("instrument").equals(rows)


def test_a_reply_is_complete_up_to_the_last_day_that_has_ended_in_new_york() -> None:
    assert last_filing_day(datetime(2026, 11, 30, 12, tzinfo=UTC)) == date(2026, 11, 27)
    assert last_filing_day(datetime(2026, 11, 28, 4, tzinfo=UTC)) == date(2026, 11, 25)  # it is Friday evening there
    covered = coverage_of_filings(Window(date(2026, 11, 27), date(2026, 11, 27)), datetime(2026, 11, 5, 12, tzinfo=UTC))
    assert covered.covered is None
    assert covered.asked_through == date(2026, 11, 4)


def test_two_filers_can_not_have_a_symbol_until_the_same_day() -> None:
    linked = link(observe_list([], {"MRVL": NEW}, LAST), "MRVL", OLD, date(2021, 4, 20), "declared: a")
    with pytest.raises(ConfigError, match=f"{OLD} had the symbol MRVL on 2021-04-20: declared: a; give another"):
        link(linked, "MRVL", "CIK0000000007", date(2021, 4, 20), "declared: b")
