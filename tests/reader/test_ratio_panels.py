"""Ratios as fields of a panel: prices and fundamentals of the same day."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.reader.filed_lake import ACME, KNOWN, commit, frame_of, value

import quantx
from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.symbols import filer_symbol
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.errors import ConfigError
from quantx.reader import Lake

DAYS = {"2024-05-02": 20.0, "2024-05-03": 25.0, "2024-05-06": 12.5, "2024-05-07": 12.5, "2024-11-01": 12.5}


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """ACME has 10 shares and 500 of equity, filed after the close of 2 May 2024; a split on 6 May. EURO: in euros."""
    folder: Path = tmp_path_factory.mktemp("ratios") / "lake"
    filed = {"public": "2024-05-02 20:05"}
    rows: list[dict[str, Any]] = []
    for cik, unit in ((ACME, "USD"), (ACME + 1, "EUR")):
        rows += [
            value("2024-03-31", 500.0, **filed, cik=cik, concept="equity", unit=unit),
            value("2024-03-31", 40.0, **filed, cik=cik, concept="net_income", period="ttm", unit=unit),
            value("2024-04-26", 10.0, **filed, cik=cik, concept="shares_outstanding_cover", unit="shares"),
            value("2024-03-31", 9.0, **filed, cik=cik, concept="shares_outstanding", unit="shares"),
        ]
    commit(folder, FUNDAMENTALS, frame_of(FUNDAMENTALS, rows))
    carriers = [
        {"filer": filer_symbol(ACME + n), "symbol": s, "evidence": "test"} for n, s in enumerate(("ACME", "EURO"))
    ]
    commit(folder, FILER_SYMBOLS, frame_of(FILER_SYMBOLS, carriers))
    bars = [
        ("yahoo", 2024, s, date.fromisoformat(d), c, c, c, c, 100, "USD", "raw1", KNOWN)
        for s in ("ACME", "EURO")
        for d, c in DAYS.items()
    ]
    commit(folder, BARS_1D, pl.DataFrame(bars, schema=dict(BARS_1D.schema), orient="row"))
    splits = [("yahoo", s, date(2024, 5, 6), "split", 2.0, None, None, "raw1", KNOWN) for s in ("ACME", "EURO")]
    commit(folder, ACTIONS, pl.DataFrame(splits, schema=dict(ACTIONS.schema), orient="row"))
    return quantx.open_lake(folder)


def test_a_ratio_has_the_shares_and_the_price_of_its_day(priced: Lake) -> None:
    fields = ["close", "market_cap", "book_to_market", "earnings_yield"]
    panel = priced.panel(fields, symbols="ACME", start="2024-05-02", end="2024-05-07", adjust="total")
    assert panel.drop("close_ACME").rows() == [
        (date(2024, 5, 2), None, None, None),  # filed after the close
        (date(2024, 5, 3), 250.0, 2.0, 0.16),
        (date(2024, 5, 6), 250.0, 2.0, 0.16),  # twice the shares at half the price
        (date(2024, 5, 7), 250.0, 2.0, 0.16),
    ]
    assert panel["close_ACME"].to_list() == [10.0, 12.5, 12.5, 12.5]  # adjusted, as requested


def test_a_stale_value_and_another_currency_make_null(priced: Lake) -> None:
    panel = priced.panel("book_to_market", symbols=["ACME", "EURO"], start="2024-05-03", end="2024-11-01")
    values = {day: (acme, euro) for day, acme, euro in panel.iter_rows()}
    assert values[date(2024, 5, 3)] == (2.0, None)  # euros of equity, dollars of price
    assert values[date(2024, 11, 1)] == (None, None)  # 215 days after the end of the quarter
    same = priced.panel("return_on_equity", symbols=["ACME", "EURO"], start="2024-05-03", end="2024-05-03")
    assert same.row(0) == (date(2024, 5, 3), 0.08, 0.08)


def test_an_unknown_ratio_is_named(priced: Lake) -> None:
    with pytest.raises(ConfigError, match=r"unknown field 'book_to_markt' \(did you mean book_to_market"):
        priced.panel("book_to_markt", symbols="ACME")
