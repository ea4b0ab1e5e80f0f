"""Standard concepts of invented filers that report as real ones do; each trap was measured or is a named issue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from string import ascii_uppercase
from typing import Any

import polars as pl
import pytest
from tests.core.fundamentals.histories import Fact, document, statement
from tests.core.fundamentals.recorded import facts_of

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.fundamentals.concepts import concept_values
from quantx.core.fundamentals.reasons import REASONS
from quantx.settings.concepts import shipped_concepts


def rows_of(*filings: tuple[str, str, list[Fact]]) -> pl.DataFrame:
    """Return the rows of a filer, which are in the form of the table."""
    rows = concept_values(facts_of(document(*filings)), shipped_concepts())
    assert rows.schema == pl.Schema(FUNDAMENTALS.schema)
    assert not rows.select(FUNDAMENTALS.key).is_duplicated().any()
    assert set(rows["reason"].drop_nulls()) <= REASONS.keys()
    assert (rows["value"].is_null() == rows["reason"].is_not_null()).all()
    assert (rows["value"].is_null() == rows["tag"].is_null()).all()
    return rows


def latest(rows: pl.DataFrame, concept: str, period: str = "annual") -> dict[str, float | str | None]:
    """Return the newest value by the end of the period, or the reason."""
    some = rows.filter((pl.col("concept") == concept) & (pl.col("period") == period)).sort("public_at")
    return {
        end.isoformat(): reason if value is None else value
        for end, value, reason in some.group_by("end", maintain_order=True)
        .last()
        .select("end", "value", "reason")
        .rows()
    }


def one_year(facts: Mapping[str, float], *, year: int = 2023, form: str = "10-K") -> pl.DataFrame:
    """Return the rows of one annual report in USD; tags with an @ are balances."""
    start, end = f"{year}-01-01", f"{year}-12-31"
    rows: list[Fact] = [
        (tag.rstrip("@"), "USD", None if tag.endswith("@") else start, end, value) for tag, value in facts.items()
    ]
    rows += [("Assets", "USD", None, end, 9e12), ("ShareBasedCompensation", "USD", start, end, 1e6)]
    return rows_of((form, f"{year + 1}-02-20", rows))


def value(rows: pl.DataFrame, concept: str) -> float | str | None:
    return next(iter(latest(rows, concept).values()), None)


@pytest.mark.parametrize(
    ("facts", "revenue"),
    [
        ({"Revenues": 77.1e9, "RevenueFromContractWithCustomerExcludingAssessedTax": 2.4e9}, 77.1e9),  # MET
        ({"Revenues": 29.4e9, "SalesRevenueNet": 83.062e9}, 83.062e9),  # P&G
        ({"Revenues": 2.038e9, "RevenueFromContractWithCustomerExcludingAssessedTax": 19.857e9}, 19.857e9),  # GIS
        ({"RevenueFromContractWithCustomerExcludingAssessedTax": 700e6, "Revenues": 708e6}, 708e6),  # CATO
        # A bank: fees of customers are a part only.
        ({"RevenueFromContractWithCustomerExcludingAssessedTax": 20e6, "InterestIncomeExpenseNet": 100e6,
          "NoninterestIncome": 30e6}, 130e6),
        # Banks and brokers whose Revenues contain the interest expense, as Raymond James and Interactive Brokers.
        ({"Revenues": 12.992e9, "RevenuesNetOfInterestExpense": 11.619e9, "InterestExpense": 1.373e9}, 11.619e9),
        ({"Revenues": 150e6, "InterestAndDividendIncomeOperating": 120e6, "InterestExpense": 50e6,
          "NoninterestIncome": 30e6}, 100e6),
        # The bank of a company of another trade.
        ({"Revenues": 10e9, "InterestIncomeExpenseNet": 500e6, "NoninterestIncome": 200e6}, 10e9),
        ({"ifrs-full:Revenue": 5e9, "ifrs-full:RevenueFromContractsWithCustomers": 4.9e9}, 5e9),
    ],
)  # fmt: skip
def test_the_larger_candidate_is_revenue(facts: dict[str, float], revenue: float) -> None:
    assert value(one_year(facts), "revenue") == revenue


def test_a_filer_that_tags_no_line_of_its_own_owners() -> None:
    """PNC and FOX tag only ProfitLoss in annual reports; the minorities are subtracted where there are any."""
    equity, income = "StockholdersEquityIncludingPortionAttributableToNoncontrollingInterest@", "ProfitLoss"
    minorities = {"NetIncomeLossAttributableToNoncontrollingInterest": 8e6, "MinorityInterest@": 40e6}
    rows = one_year(
        {income: 100e6, equity: 500e6, "NetIncomeLossAvailableToCommonStockholdersBasic": 80e6} | minorities
    )
    expected = {"net_income": 92e6, "net_income_common": 80e6, "equity": 460e6, "equity_total": 500e6}
    assert {name: value(rows, name) for name in expected} == expected
    rows = one_year({income: 100e6, equity: 500e6})
    assert {name: value(rows, name) for name in ("net_income", "equity")} == {"net_income": 100e6, "equity": 500e6}


def test_a_filer_of_ifrs_with_combined_lines() -> None:
    """SAP: one line of earnings per share, of all purchases of fixed assets, and of current borrowings."""
    bought = (
        "PurchaseOfPropertyPlantAndEquipmentIntangibleAssetsOtherThanGoodwillInvestmentPropertyAndOtherNoncurrentAssets"
    )
    year = ("2023-01-01", "2023-12-31")
    rows = rows_of(("20-F", "2024-02-29", [
        ("ifrs-full:BasicAndDilutedEarningsLossPerShare", "EUR/shares", *year, 5.26),
        ("ifrs-full:CashFlowsFromUsedInOperatingActivities", "EUR", *year, 6_332e6),
        (f"ifrs-full:{bought}", "EUR", *year, 785e6), ("ifrs-full:Assets", "EUR", None, year[1], 68e9),
        ("ifrs-full:CurrentBorrowingsAndCurrentPortionOfNoncurrentBorrowings", "EUR", None, year[1], 1e9),
        ("ifrs-full:NoncurrentPortionOfNoncurrentBorrowings", "EUR", None, year[1], 7e9),
    ]))  # fmt: skip
    expected = {"eps_basic": 5.26, "eps_diluted": 5.26, "free_cash_flow": 5_547e6, "total_debt": 8e9}
    assert {name: value(rows, name) for name in expected} == expected


def test_a_bank() -> None:
    rows = one_year({
        "InterestAndDividendIncomeOperating": 170e9, "InterestExpense": 81e9, "NoninterestIncome": 69e9,
        "ProvisionForLoanLeaseAndOtherLosses": 9e9, "NetIncomeLoss": 50e9, "Deposits@": 2_400e9,
        "FinancingReceivableExcludingAccruedInterestAfterAllowanceForCreditLoss@": 1_300e9,
        "StockholdersEquity@": 328e9, "CashAndDueFromBanks@": 29e9,
    })  # fmt: skip
    expected = {"interest_income": 170e9, "interest_expense": 81e9, "net_interest_income": 89e9, "revenue": 158e9,
                "credit_loss_provision": 9e9, "deposits": 2_400e9, "loans": 1_300e9, "cash": 29e9,
                "gross_profit": None, "liabilities": 9e12 - 328e9}  # fmt: skip
    assert {name: value(rows, name) for name in expected} == expected


def test_an_insurer() -> None:
    rows = one_year({
        "PremiumsEarnedNet": 44e9, "PolicyholderBenefitsAndClaimsIncurredNet": 43e9, "Revenues": 66.9e9,
        "NetIncomeLoss": 1.578e9, "NetIncomeLossAvailableToCommonStockholdersBasic": 1.38e9,
    })  # fmt: skip
    expected = {"premiums": 44e9, "claims": 43e9, "revenue": 66.9e9, "net_income": 1.578e9, "net_income_common": 1.38e9}
    assert {name: value(rows, name) for name in expected} == expected


def test_a_landlord() -> None:
    rows = one_year({
        "OperatingLeaseLeaseIncome": 6.9e9, "Revenues": 8.0e9, "RealEstateInvestmentPropertyNet@": 47e9,
        "NetIncomeLoss": 3.0e9, "ProfitLoss": 3.2e9, "LongTermDebt@": 26e9,
    })  # fmt: skip
    expected = {"rental_revenue": 6.9e9, "revenue": 8.0e9, "real_estate": 47e9, "net_income": 3.0e9, "total_debt": 26e9}
    assert {name: value(rows, name) for name in expected} == expected


def test_a_fund_that_lends() -> None:
    """A business development company: its revenue is the total investment income, its equity the net assets."""
    rows = one_year({
        "GrossInvestmentIncomeOperating": 2_990e6, "NetIncomeLoss": 1_522e6, "InterestExpense": 701e6,
        "AssetsNet@": 13.4e9,
    })  # fmt: skip
    expected = {"revenue": 2_990e6, "net_income": 1_522e6, "equity": 13.4e9, "liabilities": 9e12 - 13.4e9}
    assert {name: value(rows, name) for name in expected} == expected


def test_total_debt_has_the_current_part_of_long_term_debt() -> None:
    """KO (OpenBB-finance/OpenBB#7634): the current part has a tag of its own."""
    rows = one_year({
        "LoansAndNotesPayableCurrent@": 2_100e6, "LongTermDebtAndCapitalLeaseObligationsCurrent@": 4_493e6,
        "LongTermDebtAndCapitalLeaseObligations@": 36_950e6,
    })  # fmt: skip
    assert (value(rows, "current_debt"), value(rows, "total_debt")) == (6_593e6, 43_543e6)
    assert value(one_year({"DebtCurrent@": 5e9, "LongTermDebtCurrent@": 4e9, "LongTermDebtNoncurrent@": 7e9}),
                 "total_debt") == 12e9  # fmt: skip


def test_a_derived_value_names_its_operands_with_their_signs() -> None:
    rows = one_year({"OperatingIncomeLoss": 9e9, "Revenues": 30e9, "CostOfRevenue": 11e9})
    row = rows.filter((pl.col("concept") == "gross_profit") & (pl.col("period") == "annual")).row(0, named=True)
    operands = json.loads(row["operands"])
    assert (row["value"], row["origin"], row["tag"]) == (19e9, "derived", "CostOfRevenue,Revenues")
    assert [(o["sign"], o["tag"], o["value"]) for o in operands] == [(-1, "CostOfRevenue", 11e9), (1, "Revenues", 30e9)]
    assert {(o["accession"], o["start"], o["end"]) for o in operands} == {
        ("0000000001-24-000000", "2023-01-01", "2023-12-31")
    }
    reported = rows.filter(pl.col("concept") == "operating_income").row(0, named=True)
    assert (reported["origin"], reported["operands"], reported["tag"]) == ("reported", None, "OperatingIncomeLoss")


def weeks(start: str, number: int) -> str:
    return (date.fromisoformat(start) + timedelta(weeks=number) - timedelta(days=1)).isoformat()


def test_quarters_of_sixteen_and_twelve_weeks() -> None:
    """CAVA and others (dgunning/edgartools#822): 16, 12, 12 and 12 or 13 weeks."""
    start = "2022-12-26"
    ends = [weeks(start, n) for n in (16, 28, 40, 53)]
    filings = [
        ("10-Q" if n < 3 else "10-K", day, statement(start, end, revenue, 1e6, 0.1, 10e6))
        for n, (day, end, revenue) in enumerate(
            zip(
                ("2023-05-26", "2023-08-15", "2023-11-07", "2024-02-28"),
                ends,
                (203e6, 375e6, 550e6, 729e6),
                strict=True,
            )
        )
    ]
    rows = rows_of(*filings)
    assert latest(rows, "revenue", "quarter") == dict(zip(ends, (203e6, 172e6, 175e6, 179e6), strict=True))
    assert latest(rows, "revenue", "annual") == {ends[3]: 729e6}
    assert latest(rows, "revenue", "ttm")[ends[3]] == 729e6


def test_the_same_start_decides_not_the_labels() -> None:
    """SNOW (dgunning/edgartools#1197): the half has no quarter with its start; GAIN (#848): all labels say Q3."""
    rows = rows_of(("10-Q", "2024-08-30", statement("2024-02-02", "2024-07-31", 210e6, 22e6, 0.44, 50e6)),
                   ("10-Q", "2024-05-31", statement("2024-02-01", "2024-04-30", 100e6, 10e6, 0.20, 50e6)))  # fmt: skip
    assert latest(rows, "revenue", "quarter") == {"2024-04-30": 100e6, "2024-07-31": "no_same_start"}
    assert latest(rows, "revenue", "ttm") == {"2024-04-30": "missing_quarter", "2024-07-31": "missing_quarter"}


def test_earnings_per_share_and_average_shares_are_never_subtracted() -> None:
    year, nine = ("2023-01-01", "2023-12-31"), ("2023-01-01", "2023-09-30")
    rows = rows_of(("10-Q", "2023-11-01", statement(*nine, 300e6, -5e6, -0.10, 50e6)),
                   ("10-K", "2024-02-20", statement(*year, 410e6, -9e6, -0.17, 52e6)))  # fmt: skip
    assert latest(rows, "net_income", "quarter")["2023-12-31"] == -4e6  # negatives are legal (edgartools#907)
    for concept, of_year in (("eps_diluted", -0.17), ("shares_diluted", 52e6)):
        assert latest(rows, concept, "quarter")["2023-12-31"] == "not_additive"
        assert latest(rows, concept, "ttm") == {"2023-09-30": "not_additive", "2023-12-31": of_year}


def quarters_of(year: int, revenues: tuple[float, float, float, float], tag: str = "Revenues") -> list[Any]:
    ends = ("03-31", "06-30", "09-30", "12-31")
    days = (f"{year}-05-01", f"{year}-08-01", f"{year}-11-01", f"{year + 1}-02-20")
    total, filings = 0.0, []
    for n, (end, day, revenue) in enumerate(zip(ends, days, revenues, strict=True)):
        total += revenue
        filings.append(("10-K" if n == 3 else "10-Q", day, [(tag, "USD", f"{year}-01-01", f"{year}-{end}", total)]))
    return filings


def test_twelve_months_from_differences_and_public_with_the_last_operand() -> None:
    rows = rows_of(*quarters_of(2022, (1e6, 2e6, 3e6, 4e6)), *quarters_of(2023, (5e6, 6e6, 7e6, 8e6)))
    assert latest(rows, "revenue", "ttm") == {
        "2022-03-31": "missing_quarter", "2022-06-30": "missing_quarter", "2022-09-30": "missing_quarter",
        "2022-12-31": 10e6, "2023-03-31": 14e6, "2023-06-30": 18e6, "2023-09-30": 22e6, "2023-12-31": 26e6,
    }  # fmt: skip
    half = rows.filter((pl.col("period") == "ttm") & (pl.col("end") == date(2023, 6, 30))).row(0, named=True)
    assert (half["filed"], half["accession"]) == (date(2023, 8, 1), "0000000001-23-000005")


def test_twelve_months_of_a_filer_with_halves() -> None:
    """A year, plus the half of the next one, less the same half: 20-F filers report no quarters."""
    rows = rows_of(
        ("6-K", "2022-08-15", [("ifrs-full:Revenue", "EUR", "2022-01-01", "2022-06-30", 40e6)]),
        ("20-F", "2023-03-15", [("ifrs-full:Revenue", "EUR", "2022-01-01", "2022-12-31", 100e6)]),
        ("6-K", "2023-08-15", [("ifrs-full:Revenue", "EUR", "2023-01-01", "2023-06-30", 55e6)]),
    )
    assert latest(rows, "revenue", "ttm") == {"2022-06-30": "missing_quarter", "2022-12-31": 100e6, "2023-06-30": 115e6}
    assert set(rows.filter(pl.col("value").is_not_null())["unit"]) == {"EUR"}


def test_an_item_that_the_filings_drop_is_stale() -> None:
    interest: list[Fact] = [("InterestExpense", "USD", "2022-01-01", "2022-12-31", 3e6)]
    rows = rows_of(("10-K", "2023-02-20", [*interest, *statement("2022-01-01", "2022-12-31", 1e6, 1e6, 1, 1e6)]),
                   ("10-K", "2024-02-20", statement("2023-01-01", "2023-12-31", 1e6, 1e6, 1, 1e6)))  # fmt: skip
    assert latest(rows, "interest_expense", "ttm") == {"2022-12-31": 3e6, "2023-12-31": "stale"}


def test_a_tag_that_moves_takes_the_newest_filing_of_the_period() -> None:
    year = ("2022-01-01", "2022-12-31")
    rows = rows_of(
        ("10-K", "2023-02-20", [("PaymentsToAcquirePropertyPlantAndEquipment", "USD", *year, 5e6)]),
        ("10-K", "2024-02-20", [("PaymentsToAcquireProductiveAssets", "USD", *year, 6e6)]),
    )
    versions = rows.filter((pl.col("concept") == "capital_expenditure") & (pl.col("period") == "annual"))
    assert versions.select("value", "tag", "filed").rows() == [
        (5e6, "PaymentsToAcquirePropertyPlantAndEquipment", date(2023, 2, 20)),
        (6e6, "PaymentsToAcquireProductiveAssets", date(2024, 2, 20)),
    ]


@pytest.mark.parametrize(
    ("concept", "main", "beside"),
    [
        ("capital_expenditure", "PaymentsToAcquirePropertyPlantAndEquipment", "PaymentsToAcquireProductiveAssets"),
        ("interest_expense", "InterestExpense", "InterestExpenseDebt"),
        ("revenue", "Revenues", "RevenueFromContractWithCustomerIncludingAssessedTax"),
    ],
)
def test_a_tag_that_a_later_filing_adds_beside_the_unchanged_one_does_not_replace_it(
    concept: str, main: str, beside: str
) -> None:
    """The unchanged tag is filed again: both were filed last, and in one filing the first or the larger one counts."""
    year = ("2022-01-01", "2022-12-31")
    rows = rows_of(
        ("10-K", "2023-02-20", [(main, "USD", *year, 708e6)]),
        ("10-K", "2024-02-20", [(main, "USD", *year, 708e6), (beside, "USD", *year, 700e6)]),
        ("10-K", "2025-02-20", [(main, "USD", *year, 708e6), (beside, "USD", *year, 699e6)]),
    )
    assert rows.filter(pl.col("concept") == concept, pl.col("period") == "annual")["value"].to_list() == [708e6]


def test_a_formula_counts_as_filed_with_the_newest_tag() -> None:
    """The current part of long-term debt under another tag, which is filed again, is still a part of current debt."""
    year = ("2022-01-01", "2022-12-31")
    debts: list[Fact] = [("ShortTermBorrowings", "USD", None, year[1], 40e6),
                         ("LongTermDebtCurrent", "USD", None, year[1], 60e6),
                         ("Assets", "USD", None, year[1], 900e6)]  # fmt: skip
    part: Fact = ("DebtCurrent", "USD", None, year[1], 60e6)
    rows = rows_of(("10-K", "2023-02-20", [("ProfitLoss", "USD", *year, 1e6), *debts, part]),
                   ("10-Q", "2023-05-02", [*debts, part]))  # fmt: skip
    assert rows.filter(pl.col("concept") == "current_debt", pl.col("period") == "annual")["value"].to_list() == [100e6]


def test_a_minor_tag_in_a_later_filing_is_no_restatement() -> None:
    year, minor = ("2022-01-01", "2022-12-31"), "RevenueFromContractWithCustomerExcludingAssessedTax"
    rows = rows_of(
        ("10-K", "2023-02-20", [("Revenues", "USD", *year, 77.1e9)]),
        ("10-K", "2024-02-20", [(minor, "USD", *year, 2.4e9)]),
    )
    annual = rows.filter(pl.col("concept") == "revenue", pl.col("period") == "annual")
    assert annual["value"].to_list() == [77.1e9]


def test_a_fiscal_year_that_moves_to_another_day() -> None:
    """DNUT (dgunning/edgartools#452): the year to 2023-01-01 carries fy 2022 and 2023."""
    rows = rows_of(
        ("10-K", "2023-03-02", [("Revenues", "USD", "2022-01-03", "2023-01-01", 1_529_898e3)]),
        ("10-K", "2024-02-27", [("Revenues", "USD", "2023-01-02", "2023-12-31", 1_686_104e3),
                                ("Revenues", "USD", "2022-01-03", "2023-01-01", 1_529_898e3)]),
    )  # fmt: skip
    assert latest(rows, "revenue") == {"2023-01-01": 1_529_898e3, "2023-12-31": 1_686_104e3}


def test_one_currency_per_filing_the_one_of_most_facts() -> None:
    year = ("2023-01-01", "2023-12-31")
    rows = rows_of(("20-F", "2024-04-25", [
        ("Revenues", "CNY", *year, 941e9), ("NetIncomeLoss", "CNY", *year, 80e9),
        ("Assets", "CNY", None, year[1], 1_765e9),
        ("Revenues", "USD", *year, 130e9),  # a translation for convenience
    ]))  # fmt: skip
    assert rows.filter(pl.col("value").is_not_null())["unit"].unique().to_list() == ["CNY"]
    assert latest(rows, "revenue") == {"2023-12-31": 941e9}


def test_of_two_currencies_with_equally_many_facts_the_dollar_is_the_translation() -> None:
    year = ("2023-01-01", "2023-12-31")
    rows = rows_of(("20-F", "2024-04-25", [("Revenues", "ZAR", *year, 1_000e6), ("Revenues", "USD", *year, 55e6)]))
    assert latest(rows, "revenue") == {"2023-12-31": 1_000e6}


def test_hundreds_of_units_of_one_filer_change_no_other_value() -> None:
    year = ("2023-01-01", "2023-12-31")
    other = [
        ("10-K", "2024-01-02", [("Revenues", f"{a}{b}X", *year, 5e6)]) for a in ascii_uppercase for b in "ABCDEFGHIJKL"
    ]
    filings = [*other, ("10-K", "2024-02-20", [("Revenues", "USD", *year, 7e6), ("NetIncomeLoss", "USD", *year, 1e6)])]
    rows = rows_of(*filings, ("10-K", "2025-02-20", [("Revenues", "USD", "2024-01-01", "2024-12-31", 8e6)]))
    assert latest(rows, "revenue") == {"2023-12-31": 7e6, "2024-12-31": 8e6}
    assert set(rows["concept"]) == {"revenue", "revenue_before_interest", "net_income", "net_income_common"}


def test_shares_that_are_reported_per_class_are_null() -> None:
    """BRK, V, COKE (OpenBB-finance/OpenBB#7645): there is no total in the SEC's data."""
    rows = rows_of(("10-K", "2024-02-26", [("Assets", "USD", None, "2023-12-31", 1_069e9)]))
    assert latest(rows, "shares_outstanding", "quarter") == {"2023-12-31": "no_total"}


def test_the_cover_page_has_its_own_day() -> None:
    cover: Fact = ("dei:EntityCommonStockSharesOutstanding", "shares", None, "2024-10-18", 15.1e9)
    rows = rows_of(("10-K", "2024-11-01", [cover, ("Assets", "USD", None, "2024-09-28", 365e9)]))
    assert latest(rows, "shares_outstanding_cover", "quarter") == {"2024-10-18": 15.1e9}
    assert latest(rows, "shares_outstanding", "quarter") == {"2024-09-28": "no_total"}


def test_balances_of_other_days_are_no_period_ends() -> None:
    rows = rows_of(("10-K", "2024-02-20", [("Goodwill", "USD", None, "2023-06-17", 4e6),  # of an acquisition
                                           ("Goodwill", "USD", None, "2023-12-31", 9e6),
                                           ("Assets", "USD", None, "2023-12-31", 90e6)]))  # fmt: skip
    assert latest(rows, "goodwill", "quarter") == {"2023-12-31": 9e6}


def test_twelve_months_in_a_quarterly_report_are_no_year() -> None:
    rows = rows_of(("10-Q", "2023-08-01", [("Revenues", "USD", "2022-07-01", "2023-06-30", 400e6),
                                           ("Revenues", "USD", "2023-01-01", "2023-06-30", 190e6)]))  # fmt: skip
    assert latest(rows, "revenue", "annual") == {}


def test_an_amendment_counts_from_its_own_filing() -> None:
    year = ("2022-07-01", "2023-06-30")
    rows = rows_of(("10-K", "2023-08-28", statement(*year, 600e6, 30e6, 0.15, 200e6)),
                   ("10-K/A", "2023-10-02", statement(*year, 590e6, 30e6, 0.15, 200e6)))  # fmt: skip
    annual = rows.filter(pl.col("period") == "annual")
    assert annual.filter(pl.col("concept") == "revenue").select("value", "filed").rows() == [
        (600e6, date(2023, 8, 28)), (590e6, date(2023, 10, 2)),
    ]  # fmt: skip
    assert annual.filter(pl.col("concept") == "net_income").height == 1  # unchanged: no new row


def test_no_facts_make_no_rows() -> None:
    assert rows_of().is_empty()
    assert rows_of(("10-K", "2024-02-20", [("Unknown", "USD", None, "2023-12-31", 1.0)])).is_empty()
