"""Findings about adjusted closes: equal steps are none, and two numbers that differ are never shown as one."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Finding
from quantx.core.tables import ADJUSTMENT_PROOFS
from quantx.pipeline.curating.adjustment_proofs import disagreements


def found(ours: float, vendors: float, verdict: str) -> list[Finding]:
    row: dict[str, Any] = {"source": "yahoo", "symbol": "AAPL", "ex_date": date(2024, 2, 9), "raw": "raw"}
    row |= {"ours": ours, "vendors": vendors, "verdict": verdict, "known_from": None}
    return disagreements(pl.DataFrame([row], schema=ADJUSTMENT_PROOFS.schema))


def test_a_dividend_that_both_sides_leave_out_is_no_disagreement() -> None:
    assert found(1.0, 1.0, "not_applied") == []


@pytest.mark.parametrize(
    ("ours", "vendors", "shown"),
    [
        (1.0, 0.99, "by 0.990000 on 2024-02-09, and by its actions it should by 1.000000"),
        (1.0, 0.9999999, "by 0.9999999 on 2024-02-09, and by its actions it should by 1.0000000"),
    ],
)
def test_a_disagreement_shows_two_numbers(ours: float, vendors: float, shown: str) -> None:
    (finding,) = found(ours, vendors, "missing_dividend")
    assert shown in finding.message
