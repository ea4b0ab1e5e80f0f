"""The class of each change of a fact: by tables of cases, and by what recorded filers did."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from tests.core.fundamentals.histories import Fact, document
from tests.core.fundamentals.recorded import RECORDED, facts_of, recorded_facts

from quantx.core.fundamentals.split_ratios import split_ratio

DAYS = ("2020-02-20", "2021-02-20", "2022-02-20", "2023-02-20", "2024-02-20")


def classes(values: list[float], unit: str = "USD", forms: tuple[str, ...] = ("10-K",) * 5) -> list[str | None]:
    """Return the classes of one fact with these values in successive filings."""
    filings = [
        (form, day, [("Item", unit, "2019-01-01", "2019-12-31", value)])
        for form, day, value in zip(forms, DAYS, values, strict=False)
    ]
    return facts_of(document(*filings)).sort("filed")["revision"].to_list()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5e6, 5e6], [None, "same"]),
        ([10_918_312e3, 10_918e6, 10_918_312e3], [None, "rounding", "rounding"]),
        ([10_918_312e3, 10_917e6], [None, "genuine"]),
        ([2e6, 1.6e6], [None, "genuine"]),  # not the precision of millions: a fifth is no rounding
        ([7e6, 7e9, 7e6], [None, "scale", "same"]),  # the later one is the slip where nothing else is known
        ([7e6, 7.004e9], [None, "scale"]),
        ([7e6, 7e8], [None, "genuine"]),  # 100 is no unit of amounts
        ([7e6, 7e3, 7e3, 8e6], [None, "scale", "scale", "genuine"]),
        ([-4e6, 4e6], [None, "sign"]),
        ([0, 4e6, 0], [None, "genuine", "genuine"]),
    ],
)
def test_class_of_each_change(values: list[float], expected: list[str | None]) -> None:
    assert classes(values) == expected


def test_share_counts_in_thousands_are_the_slip_even_if_they_came_first() -> None:
    assert classes([58_348, 58_348e3, 58_348e3], "shares") == [None, "rescaled", "same"]


def test_values_of_other_periods_tell_which_one_is_the_slip() -> None:
    def item(year: int, value: float) -> Fact:
        return ("Item", "USD", f"{year}-01-01", f"{year}-12-31", value)

    facts = facts_of(
        document(
            ("10-K", "2019-02-20", [item(2018, 6.5e9)]),
            ("10-K", "2020-02-20", [item(2018, 6.5e9), item(2019, 7e6)]),
            ("10-K", "2021-02-20", [item(2019, 7e9)]),
        )
    )
    assert facts.sort("filed", "end")["revision"].to_list() == [None, "same", None, "rescaled"]


def test_a_proxy_statement_replaces_no_value_of_a_periodic_report() -> None:
    forms = ("10-K", "DEF 14A", "10-K")
    assert classes([7e6, 9e6, 7e6], forms=forms) == [None, "genuine", "same"]


def filing(day: str, shares: float, eps: float, dividend: float = 1.0, year: int = 2019) -> tuple[str, str, list[Fact]]:
    period = (f"{year}-01-01", f"{year}-12-31")
    rows: list[Fact] = [
        ("Shares", "shares", *period, shares),
        ("Eps", "USD/shares", *period, eps),
        ("Dividend", "USD/shares", *period, dividend),
        ("Revenues", "USD", *period, 7e6),
    ]
    return ("10-K", day, rows)


def of_second(first: tuple[str, str, list[Fact]], second: tuple[str, str, list[Fact]]) -> dict[str, str]:
    facts = facts_of(document(first, second))
    return dict(facts.filter(pl.col("filed") == date.fromisoformat(second[1])).select("tag", "revision").iter_rows())


@pytest.mark.parametrize(
    ("shares", "eps", "dividend"),
    [
        (7 * 899_213e3, 44.15 / 7, 1 / 7),
        (1.5 * 100e6, 29.43, 0.67),
        (100e6 / 10, 441.5, 10.0),  # a reverse split
        (1.05 * 899_213e3, 42.05, 0.95),  # a stock dividend
    ],
)
def test_a_split_multiplies_shares_and_divides_figures_per_share(shares: float, eps: float, dividend: float) -> None:
    first = 899_213e3 if shares in (7 * 899_213e3, 1.05 * 899_213e3) else 100e6
    found = of_second(filing(DAYS[0], first, 44.15), filing(DAYS[1], shares, round(eps, 2), round(dividend, 2)))
    assert found == {"Shares": "split", "Eps": "split", "Dividend": "split", "Revenues": "same"}


def test_a_ratio_that_one_fact_has_alone_is_no_split() -> None:
    assert of_second(filing(DAYS[0], 100e6, 4.0), filing(DAYS[1], 200e6, 4.0))["Shares"] == "genuine"
    assert of_second(filing(DAYS[0], 100e6, 4.0), filing(DAYS[1], 100e6, 2.0))["Eps"] == "genuine"


def test_figures_per_share_are_restated_by_a_split_of_an_earlier_filing() -> None:
    later = ("10-Q", "2021-08-01", [("Eps", "USD/shares", "2018-01-01", "2018-12-31", 5.61)])
    before = ("10-K", "2019-02-20", [("Eps", "USD/shares", "2018-01-01", "2018-12-31", 112.20)])
    split = filing(DAYS[1], 2000e6, 0.20, 0.05)
    facts = facts_of(document(before, filing(DAYS[0], 100e6, 4.0), split, later))
    assert facts.filter(pl.col("value") == 5.61)["revision"].to_list() == ["split"]


@pytest.mark.parametrize(("typed", "expected"), [(15.1e6, "scale"), (15.1e12, "scale"), (1.51e9, None), (15.0e9, None)])
def test_a_mistyped_cover_page_is_judged_by_the_other_counts(typed: float, expected: str | None) -> None:
    def report(year: int, cover: float) -> tuple[str, str, list[Fact]]:
        average: Fact = ("Average", "shares", f"{year}-01-01", f"{year}-12-31", 15.3e9)
        return ("10-K", f"{year + 1}-02-20", [("dei:Cover", "shares", None, f"{year + 1}-02-01", cover), average])

    facts = facts_of(document(report(2021, 15.2e9), report(2022, typed), report(2023, 15.0e9)))
    assert facts.filter(pl.col("tag") == "Cover").sort("end")["revision"].to_list() == [None, expected, None]


@pytest.mark.parametrize(
    ("quotient", "ratio"),
    [(7.0001, 7), (1.4999, 1.5), (0.1, 0.1), (1 / 3, 1 / 3), (1.25, 1.25), (1.02, None), (1.07, None), (317, None)],
)
def test_ratios_of_splits(quotient: float, ratio: float | None) -> None:
    found = pl.select(split_ratio(pl.lit(quotient))).item()
    assert found == (pytest.approx(ratio) if ratio else None)


@pytest.mark.skipif(not RECORDED["AAPL"].exists(), reason="there is no recording of AAPL")
def test_a_whole_filing_in_thousands_of_shares() -> None:
    facts = recorded_facts("AAPL").filter((pl.col("filed") == date(2014, 4, 24)) & (pl.col("revision") == "scale"))
    assert set(facts.select("tag", "end", "value").iter_rows()) >= {
        ("CommonStockSharesOutstanding", date(2013, 9, 28), 899_213),
        ("CommonStockSharesOutstanding", date(2014, 3, 29), 861_745),  # its first report: by the other counts
    }
    assert not facts["unit"].ne("shares").any()


@pytest.mark.skipif(not RECORDED["GOOGL"].exists(), reason="there is no recording of GOOGL")
def test_every_change_per_share_of_a_filer_with_one_split_is_the_split() -> None:
    facts = recorded_facts("GOOGL").filter(pl.col("unit") == "USD/shares", pl.col("revision") != "same")
    since_2015 = facts.filter(pl.col("filed") > date(2016, 1, 1))
    assert set(since_2015["revision"]) == {"split"}


@pytest.mark.skipif(not RECORDED["NVDA"].exists(), reason="there is no recording of NVDA")
def test_a_filer_that_reports_thousands_for_two_years_is_put_right_when_it_stops() -> None:
    fact = (pl.col("tag") == "WeightedAverageNumberOfDilutedSharesOutstanding") & (pl.col("end") == date(2011, 1, 30))
    rows = recorded_facts("NVDA").filter(fact).sort("public_at").select("value", "filed", "revision").rows()
    assert rows[:2] == [(588_684, date(2011, 3, 16), "scale"), (588_684_000, date(2012, 3, 13), "rescaled")]
    assert {revision for _, _, revision in rows[2:]} <= {"same"}


@pytest.mark.parametrize("years", [(2022,), (2021, 2022)])
def test_an_amendment_corrects_the_scale_of_the_first_report(years: tuple[int, ...]) -> None:
    def revenue(times: float, *of: int) -> list[Fact]:
        return [("Revenues", "USD", f"{year}-01-01", f"{year}-12-31", times * (50_000 + year)) for year in of]

    facts = facts_of(document(("10-K", "2023-03-20", revenue(1, *years)),
                              ("10-K/A", "2023-04-05", revenue(1e3, *years)),
                              ("10-K", "2024-03-20", revenue(1e3, 2022, 2023))))  # fmt: skip
    corrected = facts.filter(pl.col("end") == date(2022, 12, 31)).sort("filed")
    assert corrected["revision"].to_list() == [None, "rescaled", "same"]


def test_the_values_of_the_filing_itself_tell_its_scale_where_no_earlier_ones_do() -> None:
    first: Fact = ("Revenues", "USD", "2022-01-01", "2022-12-31", 52_345)
    later: list[Fact] = [("Revenues", "USD", "2022-01-01", "2022-12-31", 52_345e3),
                         ("Revenues", "USD", "2023-01-01", "2023-12-31", 60_000e3)]  # fmt: skip
    facts = facts_of(document(("10-K", "2023-03-20", [first]), ("10-K", "2024-03-20", later)))
    assert facts.sort("filed", "end")["revision"].to_list() == [None, "rescaled", None]
