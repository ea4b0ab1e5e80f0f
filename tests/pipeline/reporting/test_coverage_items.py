"""Coverage of facts: the companies with a value of each concept or metric, by year."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.core.fact_tables import ESG_FACTS, FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.tables import TABLES
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.pipeline.reporting.coverage_items import item_coverage, item_tables

AT = datetime(2025, 2, 1, tzinfo=UTC)


def lake() -> dict[str, Any]:
    """Two filers with revenue in 2023 and 2024, one of them with a restated value, and one metric of one filer."""
    tables = {name: MemoryTable(table) for name, table in TABLES.items()}
    rows = [
        ("CIK0000000001", "revenue", "annual", 2023, 1.0, "1"),
        ("CIK0000000001", "revenue", "annual", 2023, 2.0, "2"),
        ("CIK0000000001", "revenue", "annual", 2024, 3.0, "2"),
        ("CIK0000000001", "revenue", "quarter", 2022, 3.0, "2"),
        ("CIK0000000002", "revenue", "annual", 2024, None, "3"),
        ("CIK0000000002", "assets", "annual", 2024, 3.0, "3"),
    ]
    concepts = pl.DataFrame(rows, schema=["symbol", "concept", "period", "year", "value", "accession"], orient="row")
    concepts = concepts.with_columns(end=pl.date("year", 12, 31), source=pl.lit("sec"), public_at=pl.lit(AT))
    tables["fundamentals"].commit(CommitContext(1), _whole(concepts, FUNDAMENTALS.schema))
    metric = {
        "source": "sec",
        "symbol": "CIK0000000002",
        "metric": "ceo_pay_total",
        "end": date(2024, 12, 31),
        "value": 1.0,
    }
    tables["esg_facts"].commit(CommitContext(1), _whole(pl.DataFrame([metric]), ESG_FACTS.schema))
    names = pl.DataFrame([{"filer": "CIK0000000002", "symbol": "BBB"}])
    tables["filer_symbols"].commit(CommitContext(1), _whole(names, FILER_SYMBOLS.schema))
    return tables


def _whole(rows: pl.DataFrame, schema: Any) -> pl.DataFrame:
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in rows.columns]
    return rows.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())


def test_companies_are_counted_once_per_item_and_year() -> None:
    assert item_coverage(lake()).rows() == [
        ("esg", "sec", "ceo_pay_total", 2024, 1, 1),
        ("fundamentals", "sec", "assets", 2024, 1, 2),
        ("fundamentals", "sec", "revenue", 2023, 1, 1),
        ("fundamentals", "sec", "revenue", 2024, 1, 2),
    ]


def test_a_universe_counts_the_filers_of_its_symbols() -> None:
    assert item_coverage(lake(), ["BBB"]).select("dataset", "item", "companies", "of").rows() == [
        ("esg", "ceo_pay_total", 1, 1),
        ("fundamentals", "assets", 1, 1),
    ]


def test_a_table_per_dataset_and_source_has_shares_by_year() -> None:
    esg, fundamentals = item_tables(item_coverage(lake()))
    assert esg.heads == ["metric", "2024"]
    assert fundamentals.caption.startswith("fundamentals of sec")
    assert fundamentals.rows == [["companies", "1", "2"], ["assets", "–", "50"], ["revenue", "100", "50"]]
