"""Invented companyfacts documents: a few facts of one filer, with known values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

# tag, unit, start (or None), end, value
Fact = tuple[str, str, str | None, str, float]


def document(*filings: tuple[str, str, Iterable[Fact]], cik: int = 1) -> dict[str, Any]:
    """Return a document of filings (form, day, facts); a tag of another taxonomy than us-gaap has it before a colon."""
    facts: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: {"units": defaultdict(list)}))
    for number, (form, filed, rows) in enumerate(filings):
        for name, unit, start, end, value in rows:
            taxonomy, _, tag = name.rpartition(":")
            row = {"end": end, "val": value, "accn": f"{cik:010}-{filed[2:4]}-{number:06}", "fy": 2000, "fp": "Q3"}
            row |= {"form": form, "filed": filed} | ({"start": start} if start else {})
            facts[taxonomy or "us-gaap"][tag]["units"][unit].append(row)
    return {"cik": cik, "entityName": "Invented", "facts": facts}


def statement(start: str, end: str, revenue: float, income: float, eps: float, shares: float) -> list[Fact]:
    """Return the facts of one period."""
    return [
        ("Revenues", "USD", start, end, revenue),
        ("NetIncomeLoss", "USD", start, end, income),
        ("EarningsPerShareDiluted", "USD/shares", start, end, eps),
        ("WeightedAverageNumberOfDilutedSharesOutstanding", "shares", start, end, shares),
    ]


def restated_split_and_moved() -> dict[str, Any]:
    """Return a filer that restates revenue, splits its shares 4 for 1, and moves its year from December to June."""
    q1, half, nine, year = ("2021-03-31", "2021-06-30", "2021-09-30", "2021-12-31")
    sheet = [("Assets", "USD", None, year, 5_000e6), ("StockholdersEquity", "USD", None, year, 3_000e6),
             ("CommonStockSharesOutstanding", "shares", None, year, 50e6)]  # fmt: skip
    return document(
        ("10-Q", "2021-05-03", statement("2021-01-01", q1, 100e6, 10e6, 0.20, 50e6)),
        ("10-Q", "2021-08-02", [*statement("2021-01-01", half, 210e6, 22e6, 0.44, 50e6),
                                *statement("2021-04-01", half, 110e6, 12e6, 0.24, 50e6)]),
        ("10-Q", "2021-11-01", statement("2021-01-01", nine, 330e6, 20e6, 0.40, 50e6)),
        ("10-K", "2022-02-25", [*statement("2021-01-01", year, 460e6, 36e6, 0.72, 50e6), *sheet]),
        # Revenue of the quarter is restated under another tag; the comparatives are after the split.
        ("10-Q", "2022-05-02", [
            *statement("2022-01-01", "2022-03-31", 120e6, 12e6, 0.06, 200e6),
            ("RevenueFromContractWithCustomerExcludingAssessedTax", "USD", "2021-01-01", q1, 90e6),
            ("EarningsPerShareDiluted", "USD/shares", "2021-01-01", q1, 0.05),
            ("WeightedAverageNumberOfDilutedSharesOutstanding", "shares", "2021-01-01", q1, 200e6),
            ("CommonStockSharesOutstanding", "shares", None, year, 200e6)]),
        # The year ends in June from now on: a transition report of six months, then a year that begins in July.
        ("10-KT", "2022-08-29", [*statement("2022-01-01", "2022-06-30", 250e6, 26e6, 0.13, 200e6),
                                 *statement("2021-01-01", half, 195e6, 20e6, 0.10, 200e6),
                                 ("Assets", "USD", None, "2022-06-30", 5_200e6)]),
        ("DEF 14A", "2022-10-05", [("NetIncomeLoss", "USD", "2021-01-01", year, 36e3)]),
        ("10-Q", "2022-11-01", statement("2022-07-01", "2022-09-30", 140e6, -4e6, -0.02, 200e6)),
        ("10-Q", "2023-02-01", statement("2022-07-01", "2022-12-31", 290e6, 1e6, 0.01, 200e6)),
        ("10-Q", "2023-05-02", [*statement("2022-07-01", "2023-03-31", 430e6, 14e6, 0.07, 200e6),
                                *statement("2022-01-01", "2022-03-31", 120e6, 12e6, 0.06, 200e3)]),
        ("10-K", "2023-08-28", statement("2022-07-01", "2023-06-30", 600e6, 30e6, 0.15, 200e6)),
        ("10-K/A", "2023-10-02", statement("2022-07-01", "2023-06-30", 590e6, 24e6, 0.12, 200e6)),
    )  # fmt: skip
