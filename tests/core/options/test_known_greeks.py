"""Volatilities and greeks against tables of Interactive Brokers' models (kept by LEAN) and against scipy."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import optimize, stats
from tests.market_data import FOLDER

from quantx.core.options.black76 import greeks, implied_volatility
from quantx.core.options.expirations import expires_at
from quantx.core.options.greeks import with_greeks

TABLES = FOLDER / "known_answers" / "lean_greeks"
EXPIRATION = date(2023, 8, 11)
RATE = 0.054  # of dollars in August 2023; a week's discount hardly depends on it


@pytest.mark.skipif(not TABLES.is_dir(), reason="the recorded tables of greeks are not here")
@pytest.mark.parametrize(
    # The table states neither rates nor dividends: the carry is the one that explains its prices best. The contracts
    # of SPY are American, and their model is another one.
    ("contract", "call", "carry", "iv", "delta", "share"),
    [
        ("SPX230811C04500000", 1.0, 0.0221, 1e-4, 1e-3, 3e-3),
        ("SPY230811C00450000", 1.0, 0.0548, 1e-3, 2e-3, 2e-2),
        ("SPY230811P00450000", -1.0, 0.0473, 1e-3, 5e-3, 4e-2),
    ],
)
def test_volatilities_and_greeks_are_those_of_a_broker(
    contract: str, call: float, carry: float, iv: float, delta: float, share: float
) -> None:
    rows = pl.read_csv(TABLES / f"{contract}.csv")
    at = rows[:, 0].str.to_datetime("%Y%m%d %H:%M:%S%.f", time_unit="us").dt.replace_time_zone("UTC")
    left = [expires_at(EXPIRATION) - each for each in at]
    years = np.array([each / timedelta(days=365) for each in left])
    known = {name: rows[f"model_{name}"].to_numpy() for name in ("impliedVol", "delta", "gamma", "vega", "theta")}
    spot, price = rows["model_undPrice"].to_numpy(), rows["model_price"].to_numpy()
    side, strike = np.full(len(years), call), np.full(len(years), int(contract[-8:]) / 1000)
    growth, discount = np.exp(carry * years), np.exp(-RATE * years)
    found = implied_volatility(side, spot * growth, strike, years, price / discount)
    assert np.max(np.abs(found - known["impliedVol"])) < iv
    of_forward = greeks(side, spot * growth, strike, years, found, discount)
    assert np.max(np.abs(of_forward.delta * growth - known["delta"])) < delta
    assert of_forward.gamma * growth**2 == pytest.approx(known["gamma"], rel=share)
    assert of_forward.vega / 100 == pytest.approx(known["vega"], rel=share)
    if contract.startswith("SPX"):  # theirs holds the spot price, which then grows at the rate; ours the forward
        held = of_forward.theta - of_forward.delta * spot * growth * RATE / 365
        assert held == pytest.approx(known["theta"], rel=1e-2)


def test_a_whole_chain_is_that_of_an_independent_implementation() -> None:
    at, rate = datetime(2024, 6, 12, 19, 30, tzinfo=UTC), 0.04
    quotes = []
    for expiration, forward in ((date(2024, 6, 14), 500.0), (date(2024, 9, 20), 505.0), (date(2026, 1, 16), 530.0)):
        t = (expires_at(expiration) - at) / timedelta(days=365)
        for strike in range(400, 620, 10):
            sigma = 0.2 + 0.4 * math.log(strike / forward) ** 2 - 0.1 * math.log(strike / forward)
            for right, call in (("C", 1), ("P", -1)):
                price = black(call, forward, strike, t, sigma, rate)
                quotes.append(("SPY", expiration, "PM", right, float(strike), price * 0.999, price * 1.001))
    names = ["root", "expiration", "settlement", "right", "strike", "bid", "ask"]
    found = with_greeks(pl.DataFrame(quotes, schema=names, orient="row"), at, rate)
    solved = found.filter(pl.col("iv").is_not_null() & (pl.col("mid") > 1e-3))
    assert solved.height > 90
    for row in solved.iter_rows(named=True):
        call, f, k, t = (1 if row["right"] == "C" else -1), row["forward"], row["strike"], row["years"]
        price = row["mid"]
        time_value = price * math.exp(rate * t) - max(call * (f - k), 0)
        if time_value < 1e-6 * f:
            continue  # the price does not determine the volatility
        sigma = optimize.brentq(lambda v, a=(call, f, k, t), p=price: black(*a, v, rate) - p, 1e-4, 5, xtol=1e-14)
        assert row["iv"] == pytest.approx(sigma, abs=1e-7)
        above = (math.log(f / k) + sigma**2 * t / 2) / (sigma * math.sqrt(t))
        density, d = stats.norm.pdf(above), math.exp(-rate * t)
        assert row["delta"] == pytest.approx(d * call * stats.norm.cdf(call * above), abs=1e-6)
        assert row["gamma"] == pytest.approx(d * density / (f * sigma * math.sqrt(t)), rel=1e-4, abs=1e-9)
        assert row["vega"] == pytest.approx(d * f * density * math.sqrt(t), rel=1e-4, abs=1e-6)
        decay = rate * price - d * f * density * sigma / (2 * math.sqrt(t))
        assert row["theta"] == pytest.approx(decay / 365, rel=1e-4, abs=1e-6)
        assert row["rho"] == pytest.approx(-t * price, rel=1e-9)


def black(call: int, f: float, k: float, t: float, sigma: float, rate: float) -> float:
    """Return Black's price by scipy."""
    above = (math.log(f / k) + sigma**2 * t / 2) / (sigma * math.sqrt(t))
    inside = f * stats.norm.cdf(call * above) - k * stats.norm.cdf(call * (above - sigma * math.sqrt(t)))
    return float(math.exp(-rate * t) * call * inside)
