"""FMP's statements as facts: their periods, units, signs and times; the concepts that they make."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.fundamentals.concepts import concept_values
from quantx.core.model import Payload, Window
from quantx.core.quality.fundamental_comparison import compare_sources, summary_of
from quantx.errors import MalformedPayload
from quantx.providers.fmp import Fmp
from quantx.providers.fmp_statements import BALANCE, CASH_FLOW, INCOME, STATEMENTS
from quantx.providers.protocol import Request
from quantx.settings.concepts import shipped_concepts
from quantx.testing.stub_vendor import Answer, NoClock, StoppedClock, payload, stub_vendor

from ..core.fundamentals.recorded import RECORDED, recorded_facts

OFFLINE = Fmp(None, NoClock())  # type: ignore[arg-type]  # normalize needs no session

YEAR: dict[str, Any] = {
    "date": "2024-09-28",
    "symbol": "AAPL",
    "reportedCurrency": "USD",
    "cik": "0000320193",
    "filingDate": "2024-11-01",
    "acceptedDate": "2024-11-01 06:01:36",
    "fiscalYear": "2024",
    "period": "FY",
}
BEFORE = YEAR | {"date": "2023-09-30", "filingDate": "2023-11-03", "acceptedDate": "2023-11-02 18:08:27"}


def reply(path: str, rows: object) -> Payload:
    return payload("AAPL", f"https://financialmodelingprep.com{path}?symbol=AAPL", json.dumps(rows).encode(), 200)


def facts(path: str, *rows: dict[str, Any]) -> pl.DataFrame:
    return OFFLINE.normalize_facts(reply(path, list(rows))).facts


def test_the_recorded_statements_have_the_values_of_the_10_k(market_data: Path) -> None:
    income = market_data / "wire_fmp" / "fmp_stable_income-statement_AAPL_annual_limit1.json"
    if not income.is_file():
        pytest.skip("the recordings of FMP's statements are not in this folder of market data")
    rows = facts(INCOME, *json.loads(income.read_bytes()))
    values = {tag: (unit, value) for tag, unit, value in rows.select("tag", "unit", "value").iter_rows()}
    assert values["revenue"] == ("USD", 391035e6)
    assert values["epsDiluted"] == ("USD/shares", 6.08)
    assert values["weightedAverageShsOutDil"] == ("shares", 15408095e3)
    assert "sellingAndMarketingExpenses" not in values  # FMP sends 0, which means that it has no value
    assert rows["public_at"].unique().to_list() == [datetime(2024, 11, 1, 10, 1, 36, tzinfo=UTC)]
    assert OFFLINE.drift(reply(INCOME, json.loads(income.read_bytes()))) == ()


def test_a_period_starts_after_the_one_before_and_a_balance_has_no_start() -> None:
    rows = facts(INCOME, YEAR | {"revenue": 2}, BEFORE | {"revenue": 1})
    assert rows.select("start", "end").rows() == [
        (date(2023, 10, 1), date(2024, 9, 28)),
        (date(2022, 10, 1), date(2023, 9, 30)),  # twelve months: the reply has no year before
    ]
    assert facts(BALANCE, YEAR | {"totalAssets": 1})["start"].to_list() == [None]
    flows = facts(CASH_FLOW, YEAR | {"period": "Q4", "cashAtEndOfPeriod": 1, "operatingCashFlow": 2})
    assert dict(flows.select("tag", "start").iter_rows()) == {
        "cashAtEndOfPeriod": None,
        "operatingCashFlow": date(2024, 6, 29),
    }


def test_a_filing_is_named_by_its_link_or_by_the_time_of_its_acceptance() -> None:
    link = "https://www.sec.gov/Archives/edgar/data/320193/000032019324000123/aapl-20240928.htm"
    rows = facts(BALANCE, YEAR | {"totalAssets": 1, "finalLink": link}, BEFORE | {"totalAssets": 1})
    assert rows["accession"].to_list() == ["0000320193-24-000123", "FMP-20231102180827"]
    late = facts(BALANCE, YEAR | {"acceptedDate": None, "totalAssets": 1})
    assert late.select("accession", "public_at").rows() == [("FMP-2024-11-01", None)]


def test_both_statements_have_a_net_income_of_their_own() -> None:
    assert facts(CASH_FLOW, YEAR | {"netIncome": 5, "inventory": -3})["tag"].to_list() == [
        "inventory",
        "cashFlow.netIncome",
    ]


@pytest.mark.parametrize(
    "row",
    [
        YEAR | {"revenue": "391035000000"},
        YEAR | {"date": "2024-09", "revenue": 1},
        YEAR | {"acceptedDate": "yesterday", "revenue": 1},
        YEAR,
    ],
)
def test_another_form_is_malformed(row: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload, match="can't be read"):
        facts(INCOME, row)


def test_another_company_is_refused_and_no_statements_are_no_facts() -> None:
    with pytest.raises(MalformedPayload, match="FMP answers about 'MSFT'"):
        facts(INCOME, YEAR | {"symbol": "MSFT", "revenue": 1})
    assert facts(INCOME).is_empty()
    with pytest.raises(MalformedPayload, match="not bars"):
        OFFLINE.normalize(reply(INCOME, [YEAR]))


def test_a_request_for_fundamentals_is_three_statements_by_quarter_and_year() -> None:
    request = Request("fundamentals", "filing", ("AAPL",), Window(date(2026, 1, 2), date(2026, 1, 2)))
    with stub_vendor(lambda asked: Answer(json.dumps([YEAR | {"totalAssets": 1}]).encode())) as vendor:
        pages = list(Fmp(vendor.session(), StoppedClock()).fetch(request))
    assert [(asked.path, asked.params["period"]) for asked in vendor.asked] == [
        (path, period) for path in STATEMENTS for period in ("quarter", "annual")
    ]
    assert [bool(page.complete) for page in pages] == [False] * 5 + [True]


def stored(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        pl.lit("fmp").alias("source"),
        pl.lit("AAPL").alias("symbol"),
        pl.lit(None, pl.String).alias("revision"),
        pl.lit("01J").alias("raw"),
        pl.lit(datetime(2024, 11, 2, tzinfo=UTC)).dt.cast_time_unit("us").alias("known_from"),
    )


@pytest.mark.skipif(not RECORDED["AAPL"].is_file(), reason="the recordings of the SEC are not in this folder")
def test_the_recorded_statements_agree_with_the_recorded_filings_in_every_concept(market_data: Path) -> None:
    parts = [
        facts(path, *json.loads((market_data / "wire_fmp" / f"fmp_stable_{name}_AAPL_annual_limit1.json").read_bytes()))
        for path, name in ((INCOME, "income-statement"), (BALANCE, "balance-sheet-statement"))
    ]
    both = [stored(pl.concat(parts)), recorded_facts("AAPL")]
    values = pl.concat([concept_values(each, shipped_concepts()) for each in both])
    summary = summary_of(compare_sources(values, "sec", "fmp"))
    assert summary.select(pl.col("compared", "agrees").sum(), pl.len()).rows() == [(51, 51, 33)]


def test_concepts_are_made_of_the_statements_with_the_signs_of_the_map() -> None:
    year = facts(CASH_FLOW, YEAR | {"operatingCashFlow": 118, "capitalExpenditure": -9, "commonDividendsPaid": -15})
    made = concept_values(stored(year), shipped_concepts()).filter(period="annual")
    values = dict(made.select("concept", "value").iter_rows())
    assert values["operating_cash_flow"] == 118
    assert values["capital_expenditure"] == 9
    assert values["dividends_paid"] == 15
    assert values["free_cash_flow"] == 109
