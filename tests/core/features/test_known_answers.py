"""Indicators equal the values that other projects publish, where they start from the same rows or after both forgot.

Wilder's sums, MACD and DEMA start differently in spreadsheets and in TA-Lib; they agree from the row in the table on.
The files are those of the recordings: Skender's Stock.Indicators (Apache-2.0), StockCharts' sheets in bukosabino/ta
(MIT) and QuantConnect's Lean (Apache-2.0). The numbers in this file are of TA-Lib's `ta_regtest` (BSD-3-Clause;
test_macd.c, test_bbands.c, test_rsi.c over the first rows of its test_data.c) and of jesse-ai/jesse (MIT;
tests/test_indicators.py).
"""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from tests.market_data import FOLDER, RECORDED

from quantx.core.features.compute import compute
from quantx.core.features.kernels import talib
from quantx.core.features.sets import SETS

recorded = pytest.mark.skipif(not RECORDED, reason="the recordings of market data are not there")
FILES = FOLDER / "known_answers"
FEATURES = {each.name: each for each in SETS["technical"].features}


def features_of(bars: pl.DataFrame, *names: str) -> pl.DataFrame:
    """Return features of bars of one symbol; a missing price is the close, a missing volume is none."""
    given = {name: pl.col(name if name in bars.columns else "close") for name in ("open", "high", "low", "close")}
    volume = pl.col("volume") if "volume" in bars.columns else pl.lit(None, pl.Float64)
    days = [date(2000, 1, 1) + timedelta(days=n) for n in range(bars.height)]
    rows = bars.select(
        pl.lit("QZAA").alias("symbol"),
        pl.Series("date", days),
        **given,
        volume=volume,
        split_factor=pl.lit(1.0),
        total_factor=pl.lit(1.0),
    )
    return compute([FEATURES[name] for name in names], rows)


def agree(found: pl.Series, expected: list[float | None], first: int, rel: float) -> None:
    """Assert that all expected values from the row `first` on are there, and as many."""
    right = np.array([np.nan if value is None else value for value in expected])
    wanted = np.isfinite(right) & (np.arange(len(right)) >= first)
    assert wanted.sum() > 3
    np.testing.assert_allclose(found.cast(pl.Float64).to_numpy()[wanted], right[wanted], rtol=rel, atol=rel * 1e-3)


def skender(name: str) -> list[dict[str, float | None]]:
    """Return the rows of a result of Skender's."""
    content = (FILES / f"indicators_skender/results/{name}.standard.json.gz").read_bytes()
    rows: list[dict[str, float | None]] = json.loads(gzip.decompress(content))
    return rows


@recorded
@pytest.mark.parametrize(
    ("name", "file", "key", "first"),
    [
        ("rsi_14", "rsi", "rsi", 14),
        ("true_range", "tr", "tr", 1),
        ("atr_14", "atr", "atr", 14),
        ("natr_14", "atr", "atrp", 14),
        ("plus_di_14", "adx", "pdi", 245),
        ("minus_di_14", "adx", "mdi", 245),
        ("adx_14", "adx", "adx", 300),
        ("bollinger_upper", "bb", "upperBand", 19),
        ("bollinger_lower", "bb", "lowerBand", 19),
        ("bollinger_b", "bb", "percentB", 19),
        ("bollinger_width", "bb", "width", 19),
        ("kama_10", "kama", "kama", 10),
        ("stochastic_k", "stoch", "k", 17),
        ("stochastic_d", "stoch", "d", 17),
        ("stochastic_rsi_k", "stoch-rsi", "stochRsi", 29),
        ("stochastic_rsi_d", "stoch-rsi", "signal", 29),
        ("macd", "macd", "macd", 140),
        ("macd_signal", "macd", "signal", 170),
        ("macd_histogram", "macd", "histogram", 260),
        ("sma_20", "sma", "sma", 19),
        ("ema_20", "ema", "ema", 19),
        ("tema_20", "tema", "tema", 220),
        ("chaikin_money_flow_20", "cmf", "cmf", 19),
        ("ad", "adl", "adl", 0),
    ],
)
def test_skender(name, file, key, first):
    quotes = pl.read_csv(FILES / "indicators_skender/quotes/default.csv").select(pl.exclude("date").cast(pl.Float64))
    expected = skender(file)
    agree(features_of(quotes, name)[name], [row[key] for row in expected], first, 1e-9)


@recorded
def test_skenders_obv_starts_at_zero_and_talibs_at_the_first_volume():
    quotes = pl.read_csv(FILES / "indicators_skender/quotes/default.csv").select(pl.exclude("date").cast(pl.Float64))
    expected = skender("obv")
    found = features_of(quotes, "obv")["obv"] - quotes["volume"][0]
    assert found.to_list() == [row["obv"] for row in expected]


SHEETS = "indicators_stockcharts/cs-{}.csv"
SPY = "indicators_lean_spy/spy_{}"


@recorded
@pytest.mark.parametrize(
    ("file", "name", "column", "first", "rel"),
    [
        (SHEETS.format("mfi"), "mfi_14", "MFI", 14, 1e-6),
        (SHEETS.format("atr"), "true_range", "TR", 1, 1e-9),
        (SHEETS.format("adx"), "plus_di_14", "+DI14", 240, 1e-7),
        (SHEETS.format("adx"), "minus_di_14", "-DI14", 240, 1e-7),
        (SHEETS.format("adx"), "adx_14", "ADX", 300, 1e-7),
        (SHEETS.format("bbands"), "bollinger_upper", "HighBand", 19, 1e-7),
        (SHEETS.format("bbands"), "bollinger_lower", "LowBand", 19, 1e-7),
        (SHEETS.format("bbands"), "bollinger_b", "PercentageBand", 19, 1e-4),
        (SHEETS.format("percentr"), "williams_r_14", "Williams_%R", 26, 1e-6),
        (SHEETS.format("obv"), "obv", "OBV", 1, 1e-12),
        (SHEETS.format("accum"), "ad", "ADLine", 0, 1e-7),
        (SPY.format("tr.txt"), "true_range", "TR", 1, 1e-9),
        (SPY.format("ultosc.txt"), "ultimate_oscillator", "ULTOSC_7_14_28", 28, 1e-12),
        (SPY.format("bop.txt"), "balance_of_power", "BOP", 0, 1e-12),
        (SPY.format("ad.txt"), "ad", "AD", 0, 1e-12),
        (SPY.format("bollinger_bands.txt"), "bollinger_upper", "Bollinger Bands® 20 2 Top", 19, 1e-6),
        (SPY.format("with_macd.txt"), "macd", "MACD", 273, 1e-6),
        (SPY.format("with_macd.txt"), "macd_signal", "Signal", 250, 1e-6),
    ],
)
def test_stockcharts_and_lean(file, name, column, first, rel):
    table = pl.read_csv(FILES / file, infer_schema=False, truncate_ragged_lines=True)
    number = {each: pl.col(each).str.strip_chars().cast(pl.Float64, strict=False) for each in table.columns}
    bars = table.select(number[each].alias(each.lower()) for each in table.columns if each.lower() in _BARS)
    agree(features_of(bars, name)[name], table.select(number[column])[column].to_list(), first, rel)


_BARS = ("open", "high", "low", "close", "volume")

TA_REGTEST = pl.DataFrame(
    {
        "close": [
            *(91.5, 94.815, 94.375, 95.095, 93.78, 94.625, 92.53, 92.75, 90.315, 92.47, 96.125, 97.25, 98.5, 89.875),
            *(91.0, 92.815, 89.155, 89.345, 91.625, 89.875, 88.375, 87.625, 84.78, 83.0, 83.5, 81.375, 84.44, 89.25),
            *(86.375, 86.25, 85.25, 87.125, 85.815, 88.97),
        ]
    }
)


def test_talibs_own_regression_table():
    found = features_of(
        TA_REGTEST, "macd", "macd_signal", "bollinger_upper", "sma_20", "bollinger_lower", "rsi_14", "momentum_10"
    )
    assert found["macd"].to_list()[33] == pytest.approx(-1.9738, abs=5e-5)
    assert found["macd_signal"].to_list()[33] == pytest.approx(-2.7071, abs=5e-5)
    first = found.row(19, named=True)
    assert first["bollinger_upper"] == pytest.approx(98.0734, abs=5e-5)
    assert first["sma_20"] == pytest.approx(92.8910, abs=5e-5)
    assert first["bollinger_lower"] == pytest.approx(87.7086, abs=5e-5)
    assert found["rsi_14"][14] == pytest.approx(49.14, abs=1e-2)  # cut, not rounded
    assert found.select(pl.exclude("symbol", "date")).null_count().row(0) == (33, 33, 19, 19, 19, 14, 10)


def test_jesses_ema():
    closes = [
        *(204.23, 205.01, 196.9, 197.33, 198.7, 199.86, 202.23, 200.3, 212.3, 210.82603059, 220.84, 218.99, 212.71),
        *(211.01, 213.19, 212.99724894, 212.67760477, 209.85, 187.2, 184.15, 176.99, 175.9, 178.99, 150.96, 133.85),
        *(138.18, 126.32, 125.23, 114.79, 118.73, 110.74409879, 111.72, 124.04, 118.52, 113.64, 119.65, 117.11129288),
        *(109.23, 110.77, 102.65, 91.99),
    ]
    found = pl.DataFrame({"close": closes}).select(talib("ema", "close", timeperiod=8)()).to_series()
    assert round(found[-1], 3) == 108.546
