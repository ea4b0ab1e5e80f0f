"""Ratios with known values: by Apple's statements of fiscal 2024 and 2023, and where they are null."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quantx.core.fundamentals import ratios

# 10-K of 2024-11-01, in millions of USD; equity and assets also of a year before.
APPLE = pl.DataFrame({
    "revenue": 391_035.0, "revenue_before": 383_285.0, "gross_profit": 180_683.0, "operating_income": 123_216.0,
    "pretax_income": 123_485.0, "income_tax": 29_749.0, "net_income": 93_736.0, "operating_cash_flow": 118_254.0,
    "assets": 364_980.0, "assets_before": 352_583.0, "equity": 56_950.0, "equity_before": 62_146.0,
    "current_assets": 152_987.0, "current_liabilities": 176_392.0, "inventory": 7_286.0, "debt": 106_629.0,
    "cash": 29_943.0, "price": 222.91, "shares": 15_115.823, "currency": "USD", "price_currency": "USD",
})  # fmt: skip


def of_apple(ratio: pl.Expr, **changed: float | str | None) -> float | None:
    frame = APPLE.with_columns(pl.lit(value).alias(name) for name, value in changed.items())
    return frame.select(ratio.alias("ratio")).item()


CAP = ratios.market_cap("price", "shares")
MEASURED = {
    "gross_margin": (ratios.gross_margin("gross_profit", "revenue"), 0.462063),
    "operating_margin": (ratios.operating_margin("operating_income", "revenue"), 0.315102),
    "net_margin": (ratios.net_margin("net_income", "revenue"), 0.239713),
    "roe": (ratios.return_on_equity("net_income", "equity", "equity_before"), 1.574125),
    "roe at the end": (ratios.return_on_equity("net_income", "equity"), 1.645935),
    "roa": (ratios.return_on_assets("net_income", "assets", "assets_before"), 0.261261),
    "roic": (ratios.return_on_invested_capital(
        "operating_income", "income_tax", "pretax_income", "debt", "equity", "cash"), 0.699900),
    "roi": (ratios.return_on_investment("operating_income", "debt", "equity"), 0.753251),
    "market cap": (CAP, 3_369_468.1),
    "book to market": (ratios.book_to_market("equity", CAP), 0.0169018),
    "earnings yield": (ratios.earnings_yield("net_income", CAP), 0.0278192),
    "growth": (ratios.growth("revenue", "revenue_before"), 0.0202199),
    "accruals": (ratios.accruals("net_income", "operating_cash_flow", "assets", "assets_before"), -0.0683371),
    "current ratio": (ratios.current_ratio("current_assets", "current_liabilities"), 0.867313),
    "quick ratio": (ratios.quick_ratio("current_assets", "inventory", "current_liabilities"), 0.826007),
    "debt to equity": (ratios.debt_to_equity("debt", "equity"), 1.872326),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_ratios_of_known_statements(name: str) -> None:
    ratio, expected = MEASURED[name]
    assert of_apple(ratio) == pytest.approx(expected, rel=1e-5)


def test_returns_are_the_product_of_their_factors() -> None:
    """DuPont: return on equity = margin × turnover × leverage."""
    factors = (ratios.net_margin("net_income", "revenue"), ratios.asset_turnover("revenue", "assets"),
               ratios.leverage("assets", "equity"))  # fmt: skip
    product = factors[0] * factors[1] * factors[2]
    assert of_apple(product) == pytest.approx(of_apple(ratios.return_on_equity("net_income", "equity")))


@pytest.mark.parametrize(
    ("ratio", "changed"),
    [
        (MEASURED["net_margin"][0], {"net_income": None}),  # a sum of twelve months that is not known
        (MEASURED["net_margin"][0], {"revenue": 0.0}),
        (MEASURED["roe"][0], {"equity": -70_000.0}),
        (MEASURED["roe"][0], {"equity_before": None}),
        (MEASURED["book to market"][0], {"equity": -1.0}),
        (MEASURED["market cap"][0], {"shares": None}),
        (MEASURED["market cap"][0], {"price": 0.0}),
        (MEASURED["growth"][0], {"revenue_before": -5.0}),
        (MEASURED["roic"][0], {"pretax_income": -5.0}),
    ],
)
def test_a_ratio_without_a_meaning_is_null(ratio: pl.Expr, changed: dict[str, float | None]) -> None:
    assert of_apple(ratio, **changed) is None


@pytest.mark.parametrize(("price", "reason"), [("USD", None), ("GBX", "currency"), (None, "currency")])
def test_currencies_must_match(price: str | None, reason: str | None) -> None:
    yields = ratios.same_currency(ratios.earnings_yield("net_income", CAP), "currency", "price_currency")
    assert (of_apple(yields, price_currency=price) is None) == (reason is not None)
    assert of_apple(ratios.currency_reason("currency", "price_currency"), price_currency=price) == reason


def test_a_stale_value_is_null() -> None:
    days = [date(2024, 9, 27), date(2024, 9, 28), date(2025, 4, 16), date(2025, 4, 17)]
    frame = pl.DataFrame({"on": days}).with_columns(value=1.0, end=date(2024, 9, 28))
    assert frame.select(ratios.fresh("value", "end", "on")).to_series().to_list() == [None, 1.0, 1.0, None]
