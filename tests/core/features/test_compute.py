"""The laws that every feature of bars obeys, whatever its formula is."""

from __future__ import annotations

import math
from datetime import date
from random import Random

import polars as pl
import polars.selectors as cs
import pytest
from polars.testing import assert_frame_equal
from tests.core.features.bars import constant, invented, recorded
from tests.market_data import either

from quantx.core.features.compute import compute, compute_rows
from quantx.core.features.feature import BARS, Feature, RowMemory
from quantx.core.features.labels import label_ends, longest_horizon
from quantx.core.features.sets import SETS

PRICES = ("open", "high", "low", "close")
OF_BARS = {
    name: each for name, each in SETS.items() if each.timeframe == "1d" and each.features[0].kind in ("series", "label")
}
SERIES = [f for each in OF_BARS.values() for f in each.features if f.kind == "series"]
EVERY = [f for each in OF_BARS.values() for f in each.features]
SYMBOL, EVENT = either(("AAPL", date(2014, 6, 9)), ("QZAA", date(2014, 6, 9)))  # seven shares for one, dividends before


def assert_near(found: pl.DataFrame, right: pl.DataFrame) -> None:
    """Assert that frames are equal to 1e-9."""
    assert_frame_equal(found, right, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize("name", OF_BARS)
def test_values_have_the_units_that_are_declared(name):
    features, bars = OF_BARS[name].features, invented(400)
    dearer = bars.with_columns(*(pl.col(p) * 8 for p in PRICES), volume=pl.col("volume") * 4)
    by_unit = {"price": 8.0, "shares": 4.0, "currency": 32.0, "ratio": 1.0}
    scaled = compute(features, bars).with_columns(pl.col(f.name) * by_unit[f.unit] for f in features)
    assert_frame_equal(compute(features, dearer), scaled, rel_tol=1e-8, abs_tol=1e-6)  # ln(volume + 1) is no ratio


def test_a_split_or_a_dividend_changes_no_earlier_value():
    before = pl.col("date") < EVENT
    known_then = compute(SERIES, recorded(SYMBOL, without_events_after=EVENT).filter(before))
    assert_frame_equal(compute(SERIES, recorded(SYMBOL)).filter(before), known_then)


def test_prices_and_shares_are_as_traded_on_their_day():
    """A split of two for one: the mean of 20 closes has the price after it, and so have its shares."""
    split = pl.when(pl.int_range(pl.len()) >= 100).then(2.0).otherwise(1.0)
    bars = invented(120).with_columns(split_factor=split, total_factor=split)
    traded = bars.with_columns(*(pl.col(p) / split for p in PRICES), volume=pl.col("volume") * split)
    chosen = [
        f for f in SERIES if f.name in ("sma_20", "volume_sma_20", "obv", "dollar_volume_21", "rsi_14", "return_21")
    ]
    plain = compute(chosen, bars.with_columns(split_factor=pl.lit(1.0), total_factor=pl.lit(1.0)))
    expected = plain.with_columns(
        sma_20=pl.col("sma_20") / bars["split_factor"],
        volume_sma_20=pl.col("volume_sma_20") * bars["split_factor"],
        obv=pl.col("obv") * bars["split_factor"],
    )
    assert_near(compute(chosen, traded), expected)


def test_nothing_looks_ahead():
    bars = recorded(SYMBOL).tail(900).with_columns(vwap=(pl.col("high") + pl.col("low") + pl.col("close")) / 3)
    whole = compute(SERIES, bars)
    for rows in Random(19).sample(range(2, bars.height), 6):
        assert_frame_equal(compute(SERIES, bars.head(rows)), whole.head(rows))


def test_a_label_looks_as_far_ahead_as_its_end_says():
    labels, bars = SETS["labels"].features, recorded(SYMBOL).tail(300)
    values = compute(labels, bars)
    ends = label_ends(labels, bars, values)
    assert ends.null_count() == 1  # the last row has nothing after it to buy at
    for label in labels:
        assert values[label.name].null_count() == label.horizon
        days = label_ends([label], bars, values)
        assert days.head(-label.horizon).to_list() == bars["date"].slice(label.horizon).to_list()
        row, after = 40, 40 + label.horizon
        entry = "open" if label.name.endswith("open") else "close"
        factor = bars["total_factor"]
        bought, sold = bars[entry][row + 1] * factor[row + 1], bars["close"][after] * factor[after]
        assert values[label.name][row] == pytest.approx(sold / bought - 1)
    assert longest_horizon(labels) == 22 == bars.height - ends.to_list().index(bars["date"][-1]) - 1


def test_a_feature_sees_the_rows_that_have_its_inputs():
    """Nulls, NaN and infinite numbers are no values: the others are as if there were no such rows."""
    bars, at = invented(400), pl.int_range(pl.len())
    halted = at.is_in([0, 150, 151, 152, 300])
    nothing = pl.when(at == 151).then(math.nan).when(at == 152).then(math.inf)
    gappy = bars.with_columns(pl.when(halted).then(nothing).otherwise(pl.col(name)).alias(name) for name in BARS)
    found = compute(EVERY, gappy)
    assert_frame_equal(found.filter(~halted), compute(EVERY, bars.filter(~halted)))
    assert found.filter(halted).select(pl.exclude("symbol", "date").null_count().sum()).row(0) == (5,) * len(EVERY)


def test_bars_without_volume_have_the_features_of_prices():
    bars = invented(400)
    found = compute(EVERY, bars.with_columns(volume=pl.lit(None, pl.Float64)))
    right = compute(EVERY, bars)
    for feature in EVERY:
        if "volume" in feature.inputs:
            assert found[feature.name].is_null().all(), feature.name
        else:
            assert_frame_equal(found.select(feature.name), right.select(feature.name))


def test_constant_prices_have_values_or_none_and_never_nan():
    row = compute(EVERY, constant(400)).drop("symbol", "date").tail(1).row(0, named=True)
    assert all(value is None or math.isfinite(value) for value in row.values())
    assert {name: row[name] for name in ("rsi_14", "adx_14", "cci_20", "stochastic_k", "williams_r_14")} == {
        "rsi_14": 0.0,
        "adx_14": 0.0,
        "cci_20": 0.0,
        "stochastic_k": 0.0,
        "williams_r_14": 0.0,
    }
    assert [row[name] for name in ("bollinger_b", "RSQR20", "CORR20")] == [None, None, None]
    assert [row[name] for name in ("volatility_21", "STD20", "SUMP20", "atr_14", "return_21")] == [0.0] * 5
    assert row["ema_200"] == pytest.approx(25.01, rel=1e-14)


def test_no_value_is_nan_or_infinite():
    """Not of prices of zero, of negative ones, of days without trades, nor of volumes of zero."""
    at = pl.int_range(pl.len())
    odd = invented(400).with_columns(
        *(pl.when(at == 100).then(0.0).when(at == 200).then(-1.0).otherwise(p).alias(p) for p in PRICES),
        volume=pl.when(at % 7 < 4).then(0.0).otherwise("volume"),
    )
    values = compute(EVERY, odd).select(cs.float())
    assert values.select(pl.all().is_finite().fill_null(True).all()).row(0) == (True,) * len(EVERY)


def test_there_is_no_return_across_a_price_below_zero():
    """A fall from 18 to −37 and a rise to 10, as of crude oil in April 2020: each ratio is negative."""
    oil = invented(8).with_columns(open=pl.Series([18.0] * 4 + [17.0, -14.0, 10.0, 10.0]))
    oil = oil.with_columns(close=pl.Series([18.0] * 4 + [-37.0, 10.0, 10.0, 11.0]))
    names = ("return_1", "return_5", "return_overnight", "forward_return_1", "forward_return_1_open")
    found = compute([each for each in EVERY if each.name in names], oil)
    kept = {name: [n for n, value in enumerate(found[name]) if value is not None] for name in names}
    assert kept == {
        "return_1": [1, 2, 3, 6, 7],
        "return_5": [5, 6, 7],
        "return_overnight": [1, 2, 3, 4, 6, 7],
        "forward_return_1": [0, 1, 4, 5],
        "forward_return_1_open": [0, 1, 2, 5, 6],
    }


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_rows(rows):
    found = compute(EVERY, invented(rows))
    assert found.shape == (rows, 2 + len(EVERY))
    assert found.select(cs.float()).width == len(EVERY)
    assert rows == 0 or found["KMID"][0] is not None


def test_symbols_do_not_meet(monkeypatch):
    bars = pl.concat(invented(rows, symbol=f"QZ{rows}", seed=rows) for rows in (1, 90, 260, 300))
    alone = pl.concat(compute(EVERY, rows) for rows in bars.partition_by("symbol", maintain_order=True))
    assert_frame_equal(compute(EVERY, bars), alone)
    monkeypatch.setattr("quantx.core.features.compute._PORTION", 200)
    assert_frame_equal(compute(EVERY, bars), alone)


def test_equal_kernels_run_once():
    made: list[str] = []

    def kernel() -> pl.Expr:
        made.append("expression")
        return pl.struct(low=pl.col("low").rolling_min(3), high=pl.col("high").rolling_max(3))

    shared = [
        Feature(name, kernel, inputs=("high", "low"), formula="", source="", memory=RowMemory(2), output=name)
        for name in ("low", "high")
    ]
    found = compute(shared, invented(5))
    assert len(made) == 1
    assert found["low"].to_list()[:2] == [None, None]
    assert (found["low"] < found["high"]).to_list()[2:] == [True] * 3


def test_features_of_whole_rows_have_the_index_of_the_rows():
    rows = pl.DataFrame({"symbol": ["A"], "date": [date(2024, 1, 2)], "equity": [math.nan], "assets": [2.0]})
    leverage = Feature(
        "leverage",
        lambda: pl.col("assets") / pl.col("equity"),
        inputs=("assets", "equity"),
        formula="",
        source="",
        memory=RowMemory(0),
        kind="fundamental",
    )
    assert compute_rows([leverage], rows).row(0) == ("A", date(2024, 1, 2), None)
