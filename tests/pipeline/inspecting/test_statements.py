"""Findings about statements and about two sources: opened, and resolved when the values are corrected."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from quantx.core.fact_tables import FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.table import Table
from quantx.core.tables import TABLES
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, Tables
from quantx.pipeline.inspecting.compare_fundamentals import reconcile_fundamentals
from quantx.pipeline.inspecting.statements import check_statements
from quantx.state.memory import MemoryState

FILER = "CIK0000320193"
END = date(2024, 9, 28)


class StoppedClock:
    def now(self) -> datetime:
        return datetime(2025, 2, 1, tzinfo=UTC)


class LakeOfStatements:
    """Tables in memory to which a test adds rows."""

    def __init__(self) -> None:
        self.tables: Tables = {name: MemoryTable(table) for name, table in TABLES.items()}
        self.findings = MemoryState(StoppedClock()).findings
        self._commits = 0

    def add(self, table: Table, *rows: dict[str, Any]) -> None:
        self._commits += 1
        common = {"source": "sec", "symbol": FILER, "cik": 320193, "filed": date(2024, 11, 1), "end": END}
        filled = [{k: v for k, v in (common | row).items() if k in table.schema} for row in rows]
        frame = pl.DataFrame(filled, schema=dict(table.schema))
        self.tables[table.name].commit(CommitContext(self._commits), frame)

    def concepts(self, accession: str = "1", source: str = "sec", symbol: str = FILER, **amounts: float) -> None:
        self.add(
            FUNDAMENTALS,
            *(
                {
                    "source": source,
                    "symbol": symbol,
                    "concept": concept,
                    "period": "annual",
                    "value": amount,
                    "unit": "USD",
                    "origin": "reported",
                    "accession": accession,
                    "public_at": datetime(2024, 11, int(accession), tzinfo=UTC),
                }
                for concept, amount in amounts.items()
            ),
        )

    def open(self) -> dict[tuple[str, str], str]:
        return {(row["rule"], row["subject"]): row["message"] for row in self.findings.listed(None, status="open")}


@pytest.fixture
def lake() -> LakeOfStatements:
    return LakeOfStatements()


def test_a_sheet_that_does_not_balance_is_a_finding_until_a_filing_corrects_it(lake: LakeOfStatements) -> None:
    lake.add(FUNDAMENTALS_FACTS, {"tag": "Assets", "revision": None})
    lake.concepts(assets=100e9, liabilities=60e9, equity_total=30e9)
    assert check_statements(lake.tables, lake.findings, [FILER]) == (1, 0)
    message = lake.open()["balance_sheet_balances", FILER]
    assert "2024-09-28: 100000000000 and 90000000000" in message
    lake.concepts(accession="2", equity_total=40e9)
    assert check_statements(lake.tables, lake.findings, [FILER]) == (0, 1)
    assert lake.open() == {}


def test_slips_of_scale_and_late_filings_are_findings_of_the_filer(lake: LakeOfStatements) -> None:
    lake.add(FUNDAMENTALS_FACTS, {"tag": "SharesOutstanding", "value": 899213.0, "revision": "scale", "accession": "9"})
    late = {"form": "10-K", "accession": "9", "report_end": END, "filed": date(2025, 1, 15)}
    lake.add(FILINGS, late, late | {"form": "8-K", "accession": "8"})
    check_statements(lake.tables, lake.findings)
    assert set(lake.open()) == {("fact_scale_slip", FILER), ("filing_late", FILER)}
    assert "10-K of 2024-09-28, filed 2025-01-15" in lake.open()["filing_late", FILER]


def test_other_symbols_keep_their_findings(lake: LakeOfStatements) -> None:
    lake.add(FUNDAMENTALS_FACTS, {"tag": "Assets"})
    lake.concepts(assets=-1.0)
    check_statements(lake.tables, lake.findings)
    assert check_statements(lake.tables, lake.findings, ["AAPL"]) == (0, 0)
    assert set(lake.open()) == {("value_sign", FILER)}


def test_sources_that_differ_are_a_finding_about_the_second_one_until_they_agree(lake: LakeOfStatements) -> None:
    lake.concepts(revenue=391e9, assets=365e9)
    lake.concepts(source="fmp", symbol="AAPL", revenue=383e9, assets=365e9)
    (pair,) = reconcile_fundamentals(lake.tables, lake.findings, [FILER])
    assert (pair.a, pair.b) == ("sec", "fmp")
    assert "revenue annual 2024-09-28: 391000000000 and 383000000000" in lake.open()["fundamentals_differ", "AAPL"]
    lake.concepts(accession="2", source="fmp", symbol="AAPL", revenue=391e9)
    reconcile_fundamentals(lake.tables, lake.findings, ["AAPL"])
    assert lake.open() == {}


def test_a_company_of_one_source_is_not_compared(lake: LakeOfStatements) -> None:
    assert reconcile_fundamentals(lake.tables, lake.findings) == []
    lake.concepts(revenue=391e9)
    assert reconcile_fundamentals(lake.tables, lake.findings) == []
