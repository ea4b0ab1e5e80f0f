"""Measures of invented surfaces whose values are known."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from scipy import stats

from quantx.core.options.expirations import expires_at
from quantx.core.options.greeks import with_greeks
from quantx.core.options.surface import at_term, smiles

AT = datetime(2024, 6, 12, 19, 30, tzinfo=UTC)
RATE, FORWARD = 0.05, 500.0
ENDS = {date(2024, 7, 5): 0.18, date(2024, 7, 19): 0.20, date(2024, 9, 20): 0.25}  # volatility at the forward
SLOPE = -0.3  # of the volatility over ln(strike / forward)


def surface(step: float = 1.0, reach: float = 0.2) -> pl.DataFrame:
    """Return European quotes without spread on smiles that are straight lines over ln(strike / forward)."""
    rows = []
    for expiration, middle in ENDS.items():
        years = (expires_at(expiration) - AT) / timedelta(days=365)
        for n in range(int(2 * reach * FORWARD / step) + 1):
            strike = FORWARD * (1 - reach) + n * step + 0.5  # no strike is the forward
            iv = middle + SLOPE * math.log(strike / FORWARD)
            total = iv * math.sqrt(years)
            above = math.log(FORWARD / strike) / total + total / 2
            for right, call in (("C", 1), ("P", -1)):
                inside = FORWARD * stats.norm.cdf(call * above) - strike * stats.norm.cdf(call * (above - total))
                price = math.exp(-RATE * years) * call * inside
                rows.append(("SPY", expiration, "PM", right, strike, price, price))
    names = ["root", "expiration", "settlement", "right", "strike", "bid", "ask"]
    return with_greeks(pl.DataFrame(rows, schema=names, orient="row"), AT, RATE)


def years_of(expiration: date) -> float:
    return (expires_at(expiration) - AT) / timedelta(days=365)


def term_volatility(days: int, near: date, far: date) -> float:
    """Return the volatility at a term, from the total variances of two expirations."""
    t, (t0, t1) = days / 365, (years_of(near), years_of(far))
    w0, w1 = ENDS[near] ** 2 * t0, ENDS[far] ** 2 * t1
    return math.sqrt((w0 + (w1 - w0) * (t - t0) / (t1 - t0)) / t)


def test_each_expiration_has_its_volatility_at_the_forward() -> None:
    found = smiles(surface())
    assert found["expiration"].to_list() == list(ENDS)
    assert found["atm"].to_list() == pytest.approx(list(ENDS.values()), abs=1e-6)


def test_the_wings_are_the_volatilities_of_a_quarter_of_delta() -> None:
    [row] = smiles(surface()).filter(expiration=date(2024, 7, 19)).rows(named=True)
    for name, quantile in (("put_wing", -0.75), ("call_wing", 0.25)):
        iv = row[name]
        total = iv * math.sqrt(row["years"])
        above = stats.norm.ppf(abs(quantile))  # N(d+) is 0.75 for the put, 0.25 for the call
        strike = FORWARD * math.exp(total * total / 2 - above * total)
        assert iv == pytest.approx(0.20 + SLOPE * math.log(strike / FORWARD), abs=1e-4)
    assert row["put_wing"] > row["atm"] > row["call_wing"]


def test_a_term_lies_between_two_expirations_in_total_variance() -> None:
    found = smiles(surface())
    assert at_term(found, "atm", 30) == pytest.approx(term_volatility(30, *list(ENDS)[:2]), abs=1e-6)
    assert at_term(found, "atm", 90) == pytest.approx(term_volatility(90, *list(ENDS)[1:]), abs=1e-6)


def test_there_is_no_value_outside_of_the_quotes() -> None:
    found = smiles(surface())
    assert at_term(found, "atm", 10) is None
    assert at_term(found, "atm", 180) is None
    assert at_term(found.clear(), "atm", 30) is None
    narrow = smiles(surface(reach=0.01))
    assert narrow["put_wing"].null_count() == narrow.height
    assert narrow["atm"].null_count() == 0
    above = surface().filter(pl.col("strike") > FORWARD)
    assert smiles(above)["atm"].null_count() == len(ENDS)


def test_quotes_without_a_volatility_do_not_count() -> None:
    rows = surface()
    nearest = pl.col("strike").is_between(FORWARD - 2, FORWARD + 2)
    gap = rows.with_columns(iv=pl.when(~nearest).then("iv"))
    assert smiles(gap)["atm"].to_list() == pytest.approx(list(ENDS.values()), abs=1e-5)
    assert smiles(rows.with_columns(iv=pl.lit(None, pl.Float64))).is_empty()
