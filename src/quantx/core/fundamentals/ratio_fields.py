"""Ratios as fields of panels: which values each needs, and the formula of quantx.core.fundamentals.ratios.

Flows are those of the last twelve months, balances those of the latest quarter, each as it was public before the close
of the session. `market_cap` is the as-traded close × the newest public count of shares, restated by the splits between
its filing and the session. A ratio is null where a value is null or stale, and where currencies differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from quantx.core.fundamentals import ratios

MARKET_CAP = "market_cap"
COUNTS = ("shares_outstanding_cover", "shares_outstanding")  # the count on the cover of a filing is the newer one


@dataclass(frozen=True)
class RatioField:
    """A ratio, with the fields that its formula takes, in order; `market_cap` among them needs prices."""

    formula: Callable[..., pl.Expr]
    takes: tuple[str, ...]


RATIOS: Mapping[str, RatioField] = {
    "gross_margin": RatioField(ratios.gross_margin, ("gross_profit_ttm", "revenue_ttm")),
    "operating_margin": RatioField(ratios.operating_margin, ("operating_income_ttm", "revenue_ttm")),
    "net_margin": RatioField(ratios.net_margin, ("net_income_ttm", "revenue_ttm")),
    "return_on_equity": RatioField(ratios.return_on_equity, ("net_income_ttm", "equity")),
    "return_on_assets": RatioField(ratios.return_on_assets, ("net_income_ttm", "assets")),
    "return_on_investment": RatioField(ratios.return_on_investment, ("operating_income_ttm", "total_debt", "equity")),
    "gross_profitability": RatioField(ratios.gross_profitability, ("gross_profit_ttm", "assets")),
    "asset_turnover": RatioField(ratios.asset_turnover, ("revenue_ttm", "assets")),
    MARKET_CAP: RatioField(ratios.market_cap, ("close", "shares")),
    "book_to_market": RatioField(ratios.book_to_market, ("equity", MARKET_CAP)),
    "earnings_yield": RatioField(ratios.earnings_yield, ("net_income_ttm", MARKET_CAP)),
    "sales_yield": RatioField(ratios.sales_yield, ("revenue_ttm", MARKET_CAP)),
    "cash_flow_yield": RatioField(ratios.cash_flow_yield, ("free_cash_flow_ttm", MARKET_CAP)),
    "dividend_yield": RatioField(ratios.dividend_yield, ("dividends_paid_ttm", MARKET_CAP)),
    "debt_to_equity": RatioField(ratios.debt_to_equity, ("total_debt", "equity")),
    "leverage": RatioField(ratios.leverage, ("assets", "equity")),
    "current_ratio": RatioField(ratios.current_ratio, ("current_assets", "current_liabilities")),
}


def concepts_of(names: Iterable[str]) -> list[str]:
    """Return the concepts, with their periods, that some ratios are made of."""
    found: list[str] = []
    for name in names:
        for field in RATIOS[name].takes:
            if field in RATIOS:
                found += concepts_of([field])
            elif field == "shares":
                found += COUNTS
            elif field != "close":
                found.append(field)
    return list(dict.fromkeys(found))


def needs_prices(names: Iterable[str]) -> bool:
    """Return whether any of some ratios is made of the market capitalization."""
    return any(name == MARKET_CAP or MARKET_CAP in RATIOS[name].takes for name in names)
