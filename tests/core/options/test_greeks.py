"""Implied volatilities, greeks and forwards against known values, scipy and invented chains."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from quantx.core.options import greeks as chain_greeks
from quantx.core.options.black76 import black_price, greeks, implied_volatility
from quantx.core.options.expirations import expiration_session, expires_at, years_until
from quantx.core.options.greeks import with_greeks
from quantx.core.options.normal import erfcx, normal_cdf
from quantx.core.options.parity import NO_FORWARD, NO_PARITY

AT = datetime(2024, 6, 12, 19, 30, tzinfo=UTC)


def independent(call: float, f: float, k: float, t: float, iv: float, r: float) -> float:
    """Return Black's price by scipy."""
    above = (math.log(f / k) + iv * iv * t / 2) / (iv * math.sqrt(t))
    below = above - iv * math.sqrt(t)
    return math.exp(-r * t) * call * (f * stats.norm.cdf(call * above) - k * stats.norm.cdf(call * below))


def test_the_error_function_is_that_of_scipy() -> None:
    x = np.concatenate([np.linspace(-5, 30, 20_001), np.logspace(-8, 2, 1_000)])
    assert np.max(np.abs(erfcx(x) / special.erfcx(x) - 1)) < 1e-14
    x = np.linspace(-37, 8, 10_001)
    assert np.max(np.abs(normal_cdf(x) / special.ndtr(x) - 1)) < 1e-12


def test_prices_of_hull() -> None:
    # J. C. Hull, Options, Futures, and Other Derivatives, 9th ed., example 18.7: a put on a futures price.
    one = np.ones(1)
    price = black_price(-one, 20 * one, 20 * one, one / 3, 0.25 * one, np.exp(-0.09 / 3) * one)
    assert price[0] == pytest.approx(1.12, abs=0.005)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_volatility_is_found_again_from_its_price(seed: int) -> None:
    drawn, n = np.random.default_rng(seed), 20_000
    forward = drawn.uniform(0.5, 6_000, n)
    strike = forward * np.exp(drawn.normal(0, 0.2, n))
    years, iv = drawn.uniform(1 / 365 / 24, 3, n), drawn.uniform(0.02, 3, n)
    call = np.where(strike > forward, 1.0, -1.0)
    price = black_price(call, forward, strike, years, iv, np.ones(n))
    determined = price / forward > 1e-12
    found = implied_volatility(call, forward, strike, years, price)
    assert np.max(np.abs(found - iv)[determined]) < 1e-10


def test_no_volatility_gives_a_price_outside_of_its_bounds() -> None:
    call, forward, strike = (
        np.array([1.0, 1, -1, -1, 1, 1]),
        np.full(6, 100.0),
        np.array([90.0, 90, 110, 110, 100, 100]),
    )
    price = np.array([10.0, 9.9, 10.0, 110.0, 100.0, 0.0])
    assert np.isnan(implied_volatility(call, forward, strike, np.ones(6), price)).all()
    assert np.isnan(implied_volatility(np.ones(1), np.ones(1), np.ones(1), np.zeros(1), np.full(1, 0.1))).all()


@pytest.mark.parametrize("call", [1.0, -1.0])
@pytest.mark.parametrize("strike", [80.0, 100.0, 130.0])
def test_greeks_are_the_derivatives_of_the_price(call: float, strike: float) -> None:
    f, t, iv, r, one = 100.0, 0.4, 0.3, 0.05, np.ones(1)
    found = greeks(call * one, f * one, strike * one, t * one, iv * one, math.exp(-r * t) * one)

    def slope(name: str, step: float) -> float:
        at = {"f": f, "t": t, "iv": iv, "r": r}
        up, down = ({**at, name: at[name] + sign * step} for sign in (1, -1))
        prices = [independent(call, x["f"], strike, x["t"], x["iv"], x["r"]) for x in (up, down)]
        return (prices[0] - prices[1]) / (2 * step)

    assert found.delta[0] == pytest.approx(slope("f", 1e-4), rel=1e-6)
    assert found.vega[0] == pytest.approx(slope("iv", 1e-5), rel=1e-6)
    assert found.theta[0] == pytest.approx(-slope("t", 1e-6) / 365, rel=1e-5)
    assert found.rho[0] == pytest.approx(slope("r", 1e-6), rel=1e-5)
    up, down = (
        greeks(call * one, (f + h) * one, strike * one, t * one, iv * one, math.exp(-r * t) * one).delta[0]
        for h in (1e-4, -1e-4)
    )
    assert found.gamma[0] == pytest.approx((up - down) / 2e-4, rel=1e-6)


@pytest.mark.parametrize(
    ("expiration", "settlement", "end"),
    [
        (date(2024, 6, 21), "PM", datetime(2024, 6, 21, 20, tzinfo=UTC)),
        (date(2024, 6, 21), "AM", datetime(2024, 6, 21, 13, 30, tzinfo=UTC)),
        (date(2015, 1, 17), "PM", datetime(2015, 1, 16, 21, tzinfo=UTC)),  # a Saturday
        (date(2014, 4, 19), "PM", datetime(2014, 4, 17, 20, tzinfo=UTC)),  # a Saturday after Good Friday
        (date(2024, 11, 29), "PM", datetime(2024, 11, 29, 18, tzinfo=UTC)),  # a half day
        (date(2024, 6, 19), None, datetime(2024, 6, 18, 20, tzinfo=UTC)),  # a holiday
        (date(2199, 6, 15), "PM", datetime(2199, 6, 14, 20, tzinfo=UTC)),  # a Saturday beyond the calendar
    ],
)
def test_a_contract_ends_with_its_session(expiration: date, settlement: str | None, end: datetime) -> None:
    assert expires_at(expiration, settlement) == end
    assert expiration_session(expiration) <= expiration
    row = pl.DataFrame({"expiration": [expiration], "settlement": pl.Series([settlement], dtype=pl.String)})
    assert years_until(row, end - timedelta(days=73))[0] == pytest.approx(0.2)


SIDES = ("bid", "ask")


def chain(
    forward: float = 500.0, rate: float = 0.05, iv: float = 0.2, spread: float = 0.02, **columns: Any
) -> pl.DataFrame:
    """Return a chain of European quotes around Black's prices: calls and puts at 41 strikes of one expiration."""
    expiration = date(2024, 9, 20)
    years = (expires_at(expiration) - AT) / timedelta(days=365)
    rows = []
    for strike in np.arange(forward * 0.8, forward * 1.2001, forward * 0.01):
        for right, call in (("C", 1.0), ("P", -1.0)):
            price = independent(call, forward, float(strike), years, iv, rate)
            rows.append(
                {
                    "root": "SPY",
                    "expiration": expiration,
                    "settlement": "PM",
                    "right": right,
                    "strike": float(strike),
                    "bid": price - spread / 2,
                    "ask": price + spread / 2,
                }
            )
    return pl.DataFrame(rows).with_columns(**columns)


def test_forward_and_discount_come_from_the_quotes() -> None:
    found = with_greeks(chain(), AT)
    assert found["reason"].null_count() == found.height
    assert found["forward"].to_list() == pytest.approx([500.0] * found.height, rel=1e-9)
    years = found["years"][0]
    assert found["discount"][0] == pytest.approx(math.exp(-0.05 * years), rel=1e-9)
    assert found["iv"].to_list() == pytest.approx([0.2] * found.height, rel=1e-7)
    call, put = found.filter(pl.col("strike").is_between(499.9, 500.1)).sort("right").rows(named=True)
    assert call["delta"] - put["delta"] == pytest.approx(found["discount"][0], rel=1e-7)
    assert call["vega"] == pytest.approx(put["vega"], rel=1e-6)


@pytest.mark.parametrize("rate", [None, 0.05])
def test_a_few_wrong_quotes_do_not_move_the_forward(rate: float | None) -> None:
    wrong = pl.col("strike").round().is_in([495.0, 505.0, 515.0, 550.0]) & (pl.col("right") == "C")
    quotes = chain().with_columns(pl.when(wrong).then(pl.col(side) + 6).otherwise(side).alias(side) for side in SIDES)
    found = with_greeks(quotes, AT, rate)
    assert found["forward"].to_list() == pytest.approx([500.0] * found.height, rel=1e-7)


def test_an_explicit_rate_gives_the_discount() -> None:
    found = with_greeks(chain(rate=0.03), AT, rate=0.03)
    assert found["iv"].to_list() == pytest.approx([0.2] * found.height, rel=1e-7)
    assert found["discount"][0] == pytest.approx(math.exp(-0.03 * found["years"][0]), rel=1e-12)


def test_what_has_no_volatility_has_a_reason() -> None:
    rows = chain()
    places = {"no bid": 0, "crossed": 2, "low": 4, "high": 6, "no offer": 8}
    bid, ask = rows["bid"].to_list(), rows["ask"].to_list()
    bid[places["no bid"]] = 0.0
    ask[places["crossed"]] = bid[places["crossed"]] - 1
    bid[places["low"]] = ask[places["low"]] = 50.0  # a call at 410 under a forward of 500
    bid[places["high"]] = ask[places["high"]] = 1_000.0
    ask[places["no offer"]] = None
    found = with_greeks(rows.with_columns(bid=pl.Series(bid), ask=pl.Series(ask)), AT)
    assert {name: found["reason"][place] for name, place in places.items()} == {
        "no bid": chain_greeks.NO_BID,
        "crossed": chain_greeks.CROSSED,
        "low": chain_greeks.BELOW_INTRINSIC,
        "high": chain_greeks.ABOVE_BOUND,
        "no offer": chain_greeks.NO_ASK,
    }
    without = found.filter(pl.col("reason").is_not_null())
    assert without.select(*chain_greeks.GREEKS, "iv").null_count().row(0) == (without.height,) * 6
    assert found.height == rows.height
    assert found.filter(pl.col("reason").is_null())["iv"].is_not_null().all()


def test_an_expired_contract_and_one_strike_have_a_reason() -> None:
    end = expires_at(date(2024, 9, 20))
    assert with_greeks(chain(), end)["reason"].unique().to_list() == [chain_greeks.EXPIRED]
    assert with_greeks(chain().head(2), AT)["reason"].unique().to_list() == [NO_FORWARD]
    turned = chain().with_columns(right=pl.when(pl.col("right") == "C").then(pl.lit("P")).otherwise(pl.lit("C")))
    assert NO_PARITY in with_greeks(turned, AT)["reason"].to_list()


def test_each_root_has_a_forward_of_its_own() -> None:
    both = pl.concat([chain(), chain(forward=250.0, root=pl.lit("SPY1"))])
    found = with_greeks(both, AT)
    assert found.group_by("root").agg(pl.col("forward").first().round(6)).sort("root").rows() == [
        ("SPY", 500.0),
        ("SPY1", 250.0),
    ]


def test_an_empty_chain_stays_empty() -> None:
    assert with_greeks(chain().clear(), AT).height == 0
