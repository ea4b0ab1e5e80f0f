"""Black's formula for European options on a forward: price, implied volatility and greeks, over arrays.

Source: F. Black, The pricing of commodity contracts, J. Financial Economics 3 (1976). With forward F, strike K,
discount D, total volatility s = σ √T and d = ln(F / K) / s ± s / 2, a call is worth D · (F N(d+) - K N(d-)).

Contracts on shares and funds are American. Their early exercise is worth more than nothing where a dividend is near
(calls) or deep in the money (puts); volatilities of such quotes come out too high here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantx.core.options.normal import Floats, erfcx, normal_cdf, normal_density

DAYS_PER_YEAR = 365.0
_ROOT_HALF = 0.70710678118654752440
_INVERSE_ROOT_TWO_PI = 0.39894228040143267794
_CHUNK = 8_192  # rows at a time: the arrays of an iteration stay in the processor's cache
_MOST_STEPS = 60
_TOLERANCE = 1e-5  # of the last step, relative: convergence is cubic, and what is left is far below 1e-10
_LARGEST = 50.0  # total volatility


@dataclass(frozen=True, kw_only=True)
class Greeks:
    """Derivatives of the price with the forward and the discount held, each per option on one unit.

    delta: per unit of the forward (times F / S it is the delta of the spot price); gamma: of delta; vega: per 1.00 of
    volatility; theta: per calendar day; rho: per 1.00 of the rate in the discount.
    """

    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats
    rho: Floats


def black_price(call: Floats, forward: Floats, strike: Floats, years: Floats, iv: Floats, discount: Floats) -> Floats:
    """Return the prices of European options; `call` is 1 for a call and -1 for a put.

    >>> one = np.ones(1)
    >>> black_price(one, 100 * one, 100 * one, one, 0.2 * one, one).round(6).tolist()
    [7.965567]
    """
    total = iv * np.sqrt(years)
    above = np.log(forward / strike) / total + total / 2
    below = above - total
    return np.asarray(discount * call * (forward * normal_cdf(call * above) - strike * normal_cdf(call * below)))


def implied_volatility(call: Floats, forward: Floats, strike: Floats, years: Floats, price: Floats) -> Floats:
    """Return the volatility of each undiscounted price; NaN where no volatility gives that price.

    A price at or below the intrinsic value has none, nor one at or above the forward (call) or the strike (put). The
    result is within 1e-10 of the volatility, as far as the price as a 64-bit float determines it.

    >>> one = np.ones(1)
    >>> implied_volatility(one, 100 * one, 100 * one, one, 7.965567455405798 * one).round(10).tolist()
    [0.2]
    """
    time_value = price - np.maximum(call * (forward - strike), 0.0)
    scale = np.sqrt(forward * strike)
    distance = np.abs(np.log(forward / strike))
    target = time_value / scale  # of the option out of the money at this strike
    bounded = (time_value > 0) & (time_value < np.minimum(forward, strike))
    valid = bounded & (years > 0) & (strike > 0) & (forward > 0)
    total = np.full_like(target, np.nan)
    places = np.flatnonzero(valid)
    for first in range(0, len(places), _CHUNK):
        chunk = places[first : first + _CHUNK]
        total[chunk] = _total_volatility(distance[chunk], target[chunk])
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.sqrt(years))


def greeks(call: Floats, forward: Floats, strike: Floats, years: Floats, iv: Floats, discount: Floats) -> Greeks:
    """Return the greeks of European options; NaN where the volatility is."""
    root = np.sqrt(years)
    total = iv * root
    above = np.log(forward / strike) / total + total / 2
    density = normal_density(above)
    price = black_price(call, forward, strike, years, iv, discount)
    rate = -np.log(discount) / years
    return Greeks(
        delta=discount * call * normal_cdf(call * above),
        gamma=discount * density / (forward * total),
        vega=discount * forward * density * root,
        theta=(rate * price - discount * forward * density * iv / (2 * root)) / DAYS_PER_YEAR,
        rho=-years * price,
    )


def _total_volatility(distance: Floats, target: Floats) -> Floats:
    """Return σ √T of options out of the money: `distance` is |ln(F / K)|, `target` the price over √(F K).

    The price grows with s, convex below s = √(2 · distance) and concave above. Below, Halley's method on the logarithm
    of the price, else on the price, converges from one side; a bracket catches rounding.
    """
    inflection = np.sqrt(2 * distance)
    value, slope = _value(distance, inflection)
    low_side = target < value
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = distance / np.sqrt(2 * (distance / 4 + np.log(value / target)))  # where N(-d) is about exp(-d²/2)
    start = np.where(low_side, far, inflection + (target - value) / slope)
    low = np.where(low_side, 0.0, inflection)
    high = np.where(low_side, inflection, _LARGEST)
    result = np.clip(np.where(np.isfinite(start), start, inflection / 2), 1e-12, _LARGEST)
    left = np.arange(len(target))
    for _ in range(_MOST_STEPS):
        s, x, goal, log = result[left], distance[left], target[left], low_side[left]
        found, vega = _value(x, s)
        above = found > goal
        high[left] = np.where(above, s, high[left])
        low[left] = np.where(above, low[left], s)
        step = _step(x, s, found, vega, goal, log)
        moved = s + step
        outside = ~((moved >= low[left]) & (moved <= high[left]))
        moved = np.where(outside, (low[left] + high[left]) / 2, moved)
        result[left] = moved
        left = left[np.abs(moved - s) > _TOLERANCE * s]
        if not len(left):
            break
    return result


def _step(x: Floats, s: Floats, found: Floats, vega: Floats, goal: Floats, log: npt.NDArray[np.bool_]) -> Floats:
    """Return Halley's step towards the goal, for the logarithm of the price where `log` is true."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        curvature = x * x / (s * s * s) - s / 4  # vega' / vega
        newton = np.where(log, np.log(goal / found) * found, goal - found) / vega
        curvature = np.where(log, curvature - vega / found, curvature)
        return np.asarray(newton / np.maximum(1 + newton * curvature / 2, 0.5))


def _value(x: Floats, s: Floats) -> tuple[Floats, Floats]:
    """Return the price over √(F K) of an option out of the money by x = |ln(F / K)|, and its derivative by s."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near = np.where(s > 0, x / s, 0.0)
    density = np.exp(-0.5 * (near * near + s * s / 4))
    value = 0.5 * density * (erfcx((near - s / 2) * _ROOT_HALF) - erfcx((near + s / 2) * _ROOT_HALF))
    return value, _INVERSE_ROOT_TWO_PI * density
