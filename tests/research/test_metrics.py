"""Measures with values computed by hand."""

from __future__ import annotations

from datetime import date, timedelta
from math import sqrt

import numpy as np
import polars as pl
import pytest

from quantx.research.labels import carried, ended_columns, forward_returns
from quantx.research.metrics import (
    drawdown,
    information_coefficients,
    newey_west,
    quantile_of,
    quantile_returns,
    rank_autocorrelation,
    statistics,
)
from quantx.research.portfolio import long_short

ONE, TWO = date(2024, 1, 2), date(2024, 1, 3)
NAN = float("nan")


def rows(*of_dates: tuple[date, list[float | None], list[float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (day, f"S{n}", prediction, label)
            for day, predictions, labels in of_dates
            for n, (prediction, label) in enumerate(zip(predictions, labels, strict=True))
        ],
        schema={"date": pl.Date, "symbol": pl.String, "prediction": pl.Float64, "label": pl.Float64},
        orient="row",
    )


def test_the_coefficient_of_a_date_is_the_correlation_across_its_securities() -> None:
    found = information_coefficients(rows((ONE, [1, 2, 3], [0.1, 0.3, 0.2]), (TWO, [1, 2, 4], [9.0, 4.0, 0.0])))
    assert found["date"].to_list() == [ONE, TWO]
    assert found["rank_ic"].to_list() == pytest.approx([0.5, -1.0])
    # Deviations of (1, 2, 4): −4/3, −1/3, 5/3; of (9, 4, 0): 14/3, −1/3, −13/3. Products −120/9, squares 42/9, 366/9.
    assert found["ic"].to_list() == pytest.approx([0.5, -120 / sqrt(42 * 366)])


def test_ties_have_their_mean_rank() -> None:
    # Ranks 1.5, 1.5, 3, 4 and 1, 2, 3, 4: covariance 4.5, squares 4.5 and 5.
    found = information_coefficients(rows((ONE, [5, 5, 6, 7], [1, 2, 3, 4])))
    assert found["rank_ic"].to_list() == pytest.approx([4.5 / sqrt(4.5 * 5)])


def test_a_date_without_a_correlation_is_left_out() -> None:
    constant = (ONE, [1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    few = (TWO, [1.0, 2.0, None, NAN], [1.0, 2.0, 3.0, 4.0])
    assert information_coefficients(rows(constant, few)).is_empty()


def test_the_error_of_a_mean_allows_for_overlap() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    # γ0 = 5/4, γ1 = (0.75 − 0.25 + 0.75)/4; with lag 1 the variance is γ0 + 2 · ½ · γ1 = 1.5625, over n − 1.
    assert newey_west(values, 1) == pytest.approx(sqrt(1.5625 / 3))
    assert newey_west(values, 0) == pytest.approx(values.std(ddof=1) / 2)


def test_statistics_of_a_series() -> None:
    found = statistics(pl.Series([0.1, None, 0.3, -0.1]))
    assert (found.dates, found.mean, found.positive) == (3, pytest.approx(0.1), pytest.approx(2 / 3))
    assert found.deviation == pytest.approx(0.2)
    assert found.ratio == pytest.approx(0.5)
    assert found.t == pytest.approx(0.1 / (0.2 / sqrt(3)))
    assert statistics(pl.Series([], dtype=pl.Float64)).mean is None
    assert statistics(pl.Series([0.2])).t is None
    assert statistics(pl.Series([0.2, 0.2, 0.2])).t is None  # no spread, and no infinite t


def test_quantiles_are_as_equal_as_can_be_and_ties_are_by_symbol() -> None:
    graded = quantile_of(rows((ONE, [7, 1, 1, 1, 5, 6, 2], [0.0] * 7)), 3)
    assert dict(zip(graded["symbol"], graded["quantile"], strict=True)) == {
        "S1": 1,
        "S2": 1,
        "S3": 1,
        "S6": 2,
        "S4": 2,
        "S5": 3,
        "S0": 3,
    }
    assert quantile_of(rows((ONE, [1, 2], [0, 0])), 3).is_empty()


def test_each_date_counts_once_in_the_return_of_a_quantile() -> None:
    found = quantile_returns(rows((ONE, [1, 2], [0.10, 0.20]), (TWO, [1, 2, 3, 4], [0.00, 0.02, 0.30, 0.50])), 2)
    assert found.rows() == [(1, pytest.approx((0.10 + 0.01) / 2), 2), (2, pytest.approx((0.20 + 0.40) / 2), 2)]


def test_rank_autocorrelation() -> None:
    table = rows((ONE, [1, 2, 3], [0, 0, 0]), (TWO, [10, 20, 30], [0, 0, 0]), (date(2024, 1, 4), [3, 2, 1], [0, 0, 0]))
    assert rank_autocorrelation(table) == pytest.approx(0.0)  # 1 and −1


def prices(**closes: list[float | None]) -> pl.DataFrame:
    count = len(next(iter(closes.values())))
    return pl.DataFrame({"date": [ONE + timedelta(days=n) for n in range(count)], **closes}, strict=False)


def test_a_portfolio_after_costs() -> None:
    """A is bought and B sold at the second close; at the next date it is the other way round."""
    panel = prices(A=[10.0, 10.0, 11.0, 11.0], B=[20.0, 20.0, 19.0, 20.9])
    predictions = pl.DataFrame(
        {"date": [ONE, ONE, TWO, TWO], "symbol": ["A", "B"] * 2, "prediction": [2.0, 1.0, 1.0, 2.0]}
    )
    found = long_short(predictions, panel, quantiles=2, lag=1, bps=10, ended=())
    assert found.frame["gross"].to_list() == pytest.approx([0.1 + 0.05, 0.1])
    # First both sides are entered: 2. Then +1.1 A becomes −1, and −0.95 B becomes +1, in shares of the capital by then.
    second = 2 + (1.1 + 0.95) / 1.148
    assert found.frame["turnover"].to_list() == pytest.approx([2.0, second])
    assert found.frame["net"].to_list() == pytest.approx([0.15 - 0.002, 0.1 - second / 1000])
    assert found.long_turnover == pytest.approx(1.0)


def test_a_portfolio_enters_a_halted_security_at_its_next_bar() -> None:
    """A jumps in its halt: a buyer of the day after pays the price after the jump. C is never seen again."""
    panel = prices(A=[10.0, None, 20.0, 22.0, 22.0], B=[5.0] * 5, C=[9.0, None, None, None, None])
    predictions = pl.DataFrame({"date": [ONE] * 3, "symbol": ["A", "B", "C"], "prediction": [3.0, 2.0, 1.0]})
    late = pl.DataFrame(
        {"date": [ONE + timedelta(days=2)] * 3, "symbol": ["A", "B", "C"], "prediction": [3.0, 2.0, 1.0]}
    )
    found = long_short(pl.concat([predictions, late]), panel, quantiles=3, lag=1, bps=0, ended=(2,)).frame
    assert found["gross"].to_list() == pytest.approx([0.1, 0.0])
    assert found["turnover"].to_list()[0] == 1.0  # C can't be sold


def test_a_value_that_is_lost_whole_stays_lost() -> None:
    assert drawdown([0.5, -3.0, -2.0, 0.5]) == 1.0


def test_labels_wait_for_the_first_bar_and_leave_at_the_last_price() -> None:
    closes = np.array([[10, NAN], [11, 20], [NAN, 21], [NAN, 22], [14, NAN], [15, NAN], [16, NAN]], dtype=float)
    found = forward_returns(closes, horizon=2, lag=1)
    # Entry a session later: at 11, then (halted) at 14 on the fifth row; exits at 11 (halted), 14, 15, 16.
    assert found[:, 0].tolist() == pytest.approx([0.0, NAN, 15 / 14 - 1, 16 / 14 - 1, NAN, NAN, NAN], nan_ok=True)
    # The second has no bar at the end: it has ended, or its bars are not fetched yet.
    assert found[:, 1].tolist() == pytest.approx([0.1, NAN, NAN, NAN, NAN, NAN, NAN], nan_ok=True)
    ended = forward_returns(closes, horizon=2, lag=1, ended=[1])
    assert ended[:, 1].tolist() == pytest.approx([0.1, 22 / 21 - 1, 0.0, NAN, NAN, NAN, NAN], nan_ok=True)
    assert ended_columns(closes, 2) == [1]
    assert ended_columns(closes, 3) == []
    assert carried(closes, [])[:, 1].tolist() == pytest.approx([NAN, 20, 21, 22, NAN, NAN, NAN], nan_ok=True)
