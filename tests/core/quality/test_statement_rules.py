"""Rules of statements on values that break them; the comparison of two sources."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.quality.fact_findings import fact_findings, number, seen_by
from quantx.core.quality.fundamental_comparison import compare_sources, summary_of
from quantx.core.quality.rule import Rule
from quantx.core.quality.statement_rules import (
    FILING_RULES,
    IDENTITIES,
    STATEMENT_RULES,
    VALUE_RULES,
    in_force,
    statements,
    with_neighbours,
)
from quantx.settings.concepts import shipped_concepts

END = date(2024, 9, 28)


def value(concept: str, amount: float | None, **other: Any) -> dict[str, Any]:
    row = {
        "source": "sec",
        "symbol": "CIK0000320193",
        "cik": 320193,
        "concept": concept,
        "period": "quarter",
        "end": END,
        "value": amount,
        "unit": "USD",
        "origin": "reported",
        "accession": "1",
        "public_at": datetime(2024, 11, 1, tzinfo=UTC),
    }
    return row | other


def values(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=dict(FUNDAMENTALS.schema))


def broken(*rows: dict[str, Any]) -> list[str]:
    wide = statements(in_force(values(*rows)))
    return [rule.id for rule in STATEMENT_RULES if wide.filter(rule.broken).height]


@pytest.mark.parametrize(
    ("amounts", "rules"),
    [
        ({"assets": 100, "liabilities": 60, "equity_total": 40}, []),
        ({"assets": 100, "liabilities": 60, "equity_total": 39.5}, []),  # within 1 %
        ({"assets": 100, "liabilities": 60, "equity_total": 30}, ["balance_sheet_balances"]),
        ({"assets": 100, "liabilities": 60, "equity_total": 30, "temporary_equity": 10}, []),
        ({"assets": 100, "liabilities": 60}, []),  # equity is not known
        ({"assets": 100, "liabilities_and_equity": 100_000}, ["balance_sheet_total"]),
        ({"assets": 100, "current_assets": 60, "noncurrent_assets": 20}, ["assets_add_up"]),
        ({"assets": 100, "current_assets": 60}, []),
        ({"liabilities": 60, "current_liabilities": 60, "noncurrent_liabilities": 60}, ["liabilities_add_up"]),
        ({"assets": 0.0, "liabilities": 0.0, "equity_total": 0.0}, []),
    ],
)
def test_identities_of_a_balance_sheet(amounts: dict[str, float], rules: list[str]) -> None:
    assert broken(*(value(concept, amount) for concept, amount in amounts.items())) == rules


def test_a_derived_total_proves_nothing_and_a_restated_one_counts_as_restated() -> None:
    sheet = [value("assets", 100), value("equity_total", 30)]
    assert broken(*sheet, value("liabilities", 60, origin="derived")) == []
    restated = value("liabilities", 70, accession="2", public_at=datetime(2025, 1, 1, tzinfo=UTC))
    assert broken(*sheet, value("liabilities", 60), restated) == []


def test_an_identity_and_its_rule_belong_together() -> None:
    assert [rule.id for rule in STATEMENT_RULES] == [identity.rule for identity in IDENTITIES]
    assert {name for identity in IDENTITIES for name in identity.concepts} <= set(shipped_concepts().concepts)


def quarters(concept: str, *amounts: float) -> list[dict[str, Any]]:
    return [value(concept, amount, end=END + timedelta(days=91 * n)) for n, amount in enumerate(amounts)]


def of_values(rule: Rule, *rows: dict[str, Any]) -> list[float]:
    return with_neighbours(in_force(values(*rows)), shipped_concepts()).filter(rule.broken)["value"].to_list()


def test_a_value_in_thousands_among_values_in_dollars_is_a_scale_break() -> None:
    scale, sign, _ = VALUE_RULES
    assert of_values(scale, *quarters("revenue", 5e9, 5.5e9, 6e6, 6.2e9, 6.5e9)) == [6e6]
    assert of_values(scale, *quarters("revenue", 5e9, 5.5e9, 6e9, 6.2e6)) == [6.2e6]  # the newest one
    assert of_values(scale, *quarters("revenue", 5e6, 9e6, 30e6, 90e6, 200e6)) == []  # growth
    assert of_values(scale, *quarters("revenue", 5e9, 6e6)) == []  # which one is right is not known
    assert of_values(scale, *quarters("net_income", 5e9, -5.5e6, 6e9, 0.0)) == [-5.5e6]
    assert of_values(sign, *quarters("assets", 5, -5, 5)) == [-5]
    assert of_values(sign, *quarters("net_income", 5, -5, 5)) == []


def test_a_period_that_ends_some_days_after_another_one_is_the_same_period() -> None:
    twice = VALUE_RULES[2]
    days = {date(2024, 6, 29): 4.0, END: 5.0, date(2024, 9, 30): 6.0, date(2024, 12, 28): 7.0}
    for concept, found in (("revenue", [6.0]), ("shares_outstanding_cover", [])):  # a cover page has its own day
        assert of_values(twice, *(value(concept, amount, end=end) for end, amount in days.items())) == found
    assert of_values(twice, value("revenue", 5.0), value("revenue", 20.0, period="annual")) == []


def test_a_report_after_ninety_days_is_late() -> None:
    (late,) = FILING_RULES
    rows = [
        ("10-K", date(2024, 12, 31), date(2025, 3, 31)),
        ("10-K", date(2024, 12, 31), date(2025, 4, 1)),
        ("10-K/A", date(2024, 12, 31), date(2025, 9, 1)),
        ("20-F", date(2024, 12, 31), date(2025, 4, 30)),
        ("10-Q", None, date(2025, 4, 30)),
    ]
    filings = pl.DataFrame(rows, schema={"form": pl.String, "report_end": pl.Date, "filed": pl.Date}, orient="row")
    assert filings.filter(late.broken)["filed"].to_list() == [date(2025, 4, 1)]


def test_violations_of_a_rule_and_symbol_are_one_finding_with_the_newest_first() -> None:
    rule = VALUE_RULES[1]
    rows = with_neighbours(in_force(values(*quarters("assets", -1, -2, -3, -4, -5))), shipped_concepts())
    seen = seen_by(rule, rows, "end", pl.format("{}: {}", "end", number(pl.col("value"))))
    (finding,) = fact_findings(seen, {rule.id: rule})
    assert finding.subject == "CIK0000320193"
    assert (finding.severity, finding.source, finding.dataset) == ("warn", "sec", "fundamentals")
    assert "2025-09-27: -5.0; 2025-06-28: -4.0; 2025-03-29: -3.0; and 2 more" in finding.message
    assert finding.facts["times"] == 5


def fmp(concept: str, amount: float, **other: Any) -> dict[str, Any]:
    return value(concept, amount, source="fmp", symbol="AAPL", **other)


def outcomes(*rows: dict[str, Any]) -> dict[tuple[str, date], str | None]:
    compared = compare_sources(values(*rows), "sec", "fmp")
    return {(concept, end): outcome for concept, end, outcome in compared.select("concept", "end", "outcome").rows()}


def test_two_sources_agree_differ_or_know_an_earlier_version() -> None:
    later = {"accession": "2", "public_at": datetime(2025, 11, 1, tzinfo=UTC)}
    rows = [
        *(value("revenue", 1000), fmp("revenue", 1004, end=END + timedelta(days=2))),
        *(value("net_income", 100), fmp("net_income", 101)),
        *(value("eps_diluted", 0.084, unit="USD/shares"), fmp("eps_diluted", 0.08, unit="USD/shares")),
        *(value("assets", 500), value("assets", 600, **later), fmp("assets", 500)),
        *(value("cash", 70), fmp("cash", 10, unit="CNY")),
        value("goodwill", 5),
    ]
    assert outcomes(*rows) == {
        ("revenue", END): "agrees",
        ("net_income", END): "differs",
        ("eps_diluted", END): "agrees",
        ("assets", END): "earlier",
        ("cash", END): "other_unit",
    }  # goodwill: the other source has none at all


def test_a_gap_within_the_periods_of_a_source_is_counted() -> None:
    ends = [END + timedelta(days=91 * n) for n in range(3)]
    rows = [value("revenue", 10, end=end) for end in ends] + [
        fmp("revenue", 10, end=ends[0]),
        fmp("revenue", 10, end=ends[2]),
    ]
    compared = compare_sources(values(*rows), "sec", "fmp")
    (summary,) = summary_of(compared).to_dicts()
    assert summary | {"agreement": 1.0} == {
        "concept": "revenue",
        "compared": 2,
        "agrees": 2,
        "earlier": 0,
        "differs": 0,
        "other_unit": 0,
        "only_a": 1,
        "only_b": 0,
        "agreement": 1.0,
    }
