"""Filers of securities that changed their symbols."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from tests.reader.filed_lake import KNOWN, commit, frame_of, value

import quantx
from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.symbols import filer_symbol
from quantx.core.tables import SYMBOL_HISTORY
from quantx.reader import Lake

META, FUND = 1326801, 1174610  # the fund carries FB since 2025


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """FB became META in June 2022, at one filer; a vendor has rows under both symbols. FB is a fund's since 2025."""
    folder: Path = tmp_path_factory.mktemp("filers") / "lake"
    vendor = {"source": "fmp", "cik": 0}
    rows = [
        value("2015-12-31", 1.0, "2016-01-28 12:00", cik=META),
        value("2023-12-31", 2.0, "2024-02-02 12:00", cik=META),
        value("2025-06-30", 9.0, "2025-08-28 12:00", cik=FUND),
        value("2014-12-31", 3.0, "2015-01-29 12:00", symbol="FB", **vendor),
        value("2022-12-31", 4.0, "2023-02-02 12:00", symbol="META", **vendor),
    ]
    stored = [{**row, "symbol": row.get("symbol", filer_symbol(row["cik"] or 1))} for row in rows]
    commit(folder, FUNDAMENTALS, frame_of(FUNDAMENTALS, [{k: v for k, v in r.items() if k != "cik"} for r in stored]))
    carriers = [{"filer": filer_symbol(META), "symbol": "META"}, {"filer": filer_symbol(FUND), "symbol": "FB"}]
    commit(folder, FILER_SYMBOLS, frame_of(FILER_SYMBOLS, [{**each, "evidence": "test"} for each in carriers]))
    namings = [
        ("us.FB.20120518", "FB", date(2012, 5, 18), date(2022, 6, 8), "test", KNOWN),
        ("us.FB.20120518", "META", date(2022, 6, 9), None, "test", KNOWN),
        ("us.FB.20250101", "FB", date(2025, 1, 1), None, "test", KNOWN),
    ]
    commit(folder, SYMBOL_HISTORY, pl.DataFrame(namings, schema=dict(SYMBOL_HISTORY.schema), orient="row"))
    return quantx.open_lake(folder)


def test_a_security_has_the_rows_of_its_filer_and_of_all_its_symbols(renamed: Lake) -> None:
    rows = renamed.fundamentals("META", "revenue")
    assert rows.select("symbol", "value", "filer").rows() == [
        ("META", 3.0, "FB"),
        ("META", 1.0, "CIK0001326801"),
        ("META", 4.0, "META"),
        ("META", 2.0, "CIK0001326801"),
    ]


def test_a_reused_symbol_means_the_security_of_the_day(renamed: Lake) -> None:
    assert renamed.fundamentals("FB", "revenue")["value"].to_list() == [9.0]
    then = renamed.fundamentals("FB", "revenue", on="2015-06-30")
    assert then["value"].to_list() == [3.0, 1.0, 4.0, 2.0]
    assert then["symbol"].unique().to_list() == ["FB"]
