"""Features of whole rows: ratios of public values, and the standing of members among each other."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quantx.core.features.compute import compute_rows
from quantx.core.features.cross_section import CROSS_SECTION
from quantx.core.features.fundamental import FUNDAMENTAL

DAY = date(2024, 1, 2)


def test_fundamental_ratios_need_amounts_in_one_currency():
    inputs = {name for each in FUNDAMENTAL.features for name in each.inputs}
    row = dict.fromkeys(inputs, 2.0) | {"revenue_ttm": 8.0, "close": 5.0, "shares": 3.0, "market_cap": 15.0}
    units = {f"{name}__unit": "USD" for name in inputs}
    rows = pl.DataFrame(
        [
            {"symbol": "QZAA", "date": DAY, **row, **units},
            {"symbol": "QZBB", "date": DAY, **row, **units, "equity__unit": "EUR"},
        ]
    )
    found = compute_rows(FUNDAMENTAL.features, rows)
    assert found.columns == ["symbol", "date", *FUNDAMENTAL.names]
    first, second = (found.row(n, named=True) for n in (0, 1))
    assert first["market_cap"] == 15.0
    assert first["net_margin"] == 0.25
    assert first["book_to_market"] == pytest.approx(2 / 15)
    assert second["book_to_market"] is None
    assert second["net_margin"] == 0.25


def members(values: list[float | None], sectors: list[str | None] | None = None) -> pl.DataFrame:
    """Return one date's members of a universe with the same value in every input."""
    columns = {each.inputs[0] for each in CROSS_SECTION.features}
    return pl.DataFrame(
        {
            "symbol": [f"QZ{n:02d}" for n in range(len(values))],
            "date": [DAY] * len(values),
            "sector": pl.Series(sectors or [None] * len(values), dtype=pl.String),
            **{name: pl.Series(values, dtype=pl.Float64) for name in columns},
        }
    )


def standing(rows: pl.DataFrame, comparison: str) -> list[float | None]:
    """Return the comparison of momentum for each member."""
    return compute_rows(CROSS_SECTION.features, rows)[f"momentum_12_1_{comparison}"].to_list()


def test_ranks_lie_between_0_and_1_and_ties_share_theirs():
    assert standing(members([3.0, 1.0, None, 3.0, float("nan"), 9.0]), "rank") == [0.5, 0.125, None, 0.5, None, 0.875]


def test_z_scores_have_mean_0_and_deviation_1_among_members_with_a_value():
    found = standing(members([1.0, 2.0, 3.0, None]), "z")
    assert found == [pytest.approx(-1), pytest.approx(0), pytest.approx(1), None]
    assert standing(members([25.01] * 7), "z") == [None] * 7
    assert standing(members([1.0]), "z") == [None]


def test_an_outlier_moves_a_winsorised_z_score_less():
    values = [*(float(n) for n in range(199)), 1e6]
    plain, clipped = (standing(members(values), name) for name in ("z", "z_winsorised"))
    assert plain[0] == pytest.approx(plain[100], abs=0.1)
    assert clipped[0] < -1.5 < clipped[100] < 0.2


def test_a_sector_needs_a_name_and_five_members_with_a_value():
    sectors = ["banks"] * 5 + ["mines"] * 5 + [None]
    found = standing(members([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 8.0, 9.0, 10.0, None, 4.0], sectors), "z_sector")
    assert found[:5] == pytest.approx([-1.2649, -0.6325, 0.0, 0.6325, 1.2649], abs=1e-4)
    assert found[5:] == [None] * 6


def test_dates_do_not_meet():
    one, other = members([1.0, 2.0]), members([30.0, 10.0]).with_columns(date=pl.lit(date(2024, 1, 3)))
    assert standing(pl.concat([one, other]), "rank") == [0.25, 0.75, 0.75, 0.25]
