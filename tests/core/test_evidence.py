from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quantx.core.evidence import (
    agreement_by_month,
    disagreements,
    proofs_by_source,
    proofs_by_symbol,
    scores_by_year,
)

PROOFS = pl.DataFrame(
    [
        ("yahoo", "AAA", date(2020, 2, 3), 0.99, 0.99, "agree"),
        ("yahoo", "AAA", date(2021, 2, 3), 0.8, 0.8, "spin_off_as_cash"),
        ("yahoo", "BBB", date(2020, 2, 3), 0.99, 0.99, "agree"),
        ("yahoo", "BBB", date(2021, 5, 3), 1.0, 0.97, "missing_dividend"),
        ("stooq", "AAA", date(2020, 2, 3), 0.5, 1.0, "not_applied"),
    ],
    schema=["source", "symbol", "ex_date", "ours", "vendors", "verdict"],
    orient="row",
)
AGREEMENTS = pl.DataFrame(
    [
        # symbol, a, b, month, market, sessions, agreed, worst, verdict
        ("AAA", "alpaca", "yahoo", 202311, "us", 20, 20, 0.0001, "agree"),
        ("BBB", "alpaca", "yahoo", 202311, "us", 20, 17, 0.005, "b_wrong"),
        ("AAA", "alpaca", "yahoo", 202401, "us", 21, 20, 0.01, "both_doubtful"),
        ("AAA", "alpaca", "stooq", 202401, "us", 21, 19, 0.02, "a_wrong"),
    ],
    schema=["symbol", "source_a", "source_b", "month", "market", "sessions", "agreed", "worst", "verdict"],
    orient="row",
)


SERIES = pl.DataFrame({"source": ["yahoo"] * 3 + ["stooq", "fmp"], "symbol": ["AAA", "BBB", "CCC", "AAA", "AAA"]})


def test_a_series_is_proven_disagrees_or_has_nothing_to_prove() -> None:
    found = proofs_by_symbol(PROOFS, SERIES)
    assert found.drop("worst").rows() == [
        ("fmp", "AAA", 0, 0, "nothing to prove", None),
        ("stooq", "AAA", 1, 0, "disagrees", date(2020, 2, 3)),
        ("yahoo", "AAA", 2, 2, "proven", None),
        ("yahoo", "BBB", 2, 1, "disagrees", date(2021, 5, 3)),
        ("yahoo", "CCC", 0, 0, "nothing to prove", None),
    ]
    assert found["worst"].to_list() == [None, 1, 0, pytest.approx(0.03), None]
    assert proofs_by_source(found).rows() == [("fmp", 1, 0, 0, 1), ("stooq", 1, 0, 1, 0), ("yahoo", 3, 1, 1, 1)]


def test_a_step_that_both_sides_lack_is_no_event() -> None:
    """The first is what remains of a step that a vendor has taken back; the second is a dividend without a factor."""
    rows = [
        ("yahoo", "AAA", date(2020, 2, 3), 1.0, 1.0, "agree"),
        ("yahoo", "BBB", date(2020, 2, 3), 1.0, 1.0, "not_applied"),
    ]
    found = proofs_by_symbol(pl.DataFrame(rows, schema=PROOFS.schema, orient="row"), SERIES.head(2))
    assert found.select("symbol", "events", "verdict").rows() == [
        ("AAA", 0, "nothing to prove"),
        ("BBB", 1, "disagrees"),
    ]


def test_disagreements_come_with_their_dates_the_newest_first() -> None:
    found = disagreements(PROOFS).select("symbol", "ex_date", "verdict").rows()
    assert found == [("BBB", date(2021, 5, 3), "missing_dividend"), ("AAA", date(2020, 2, 3), "not_applied")]


def test_agreement_is_summed_by_pair_market_and_month() -> None:
    found = agreement_by_month(AGREEMENTS).select("source_b", "month", "sessions", "agreed", "worst").rows()
    assert found == [
        ("stooq", 202401, 21, 19, 0.02),
        ("yahoo", 202311, 40, 37, 0.005),
        ("yahoo", 202401, 21, 20, 0.01),
    ]


def test_a_year_weighs_its_months_by_what_was_compared() -> None:
    scores = pl.DataFrame(
        {
            "source": "yahoo",
            "market": "us",
            "month": [202311, 202312, 202401],
            "compared": [30, 10, 5],
            "score": [1.0, 0.6, 0.5],
        }
    )
    assert [(year, n, round(score, 9)) for _, _, year, n, score in scores_by_year(scores).rows()] == [
        (2023, 40, 0.9),
        (2024, 5, 0.5),
    ]


def test_a_month_without_a_compared_session_has_no_share() -> None:
    lacking = AGREEMENTS.head(1).with_columns(sessions=0, agreed=0, worst=pl.lit(None, pl.Float64))
    assert agreement_by_month(lacking).is_empty()
