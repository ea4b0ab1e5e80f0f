"""Ratios of fundamentals: pure functions of columns that are public on one date.

Each takes expressions (or columns by name) and returns an expression. Amounts are in one currency: `same_currency`
makes a ratio null where they are not. A null operand makes a null: a sum of twelve months that is not known is none,
whatever its quarters are. So is a ratio whose denominator is zero, or negative where that has no meaning. Flows are
those of the last twelve months (`ttm`), balances those at their end; returns use the mean of the balances at both ends
where the earlier one is given.

Sources: D = A. Damodaran, Investment Valuation, 3rd ed., 2012; FF = E. Fama, K. French, Common risk factors in the
returns on stocks and bonds, 1993; S = R. Sloan, Do stock prices fully reflect information in accruals and cash flows
about future earnings, 1996; NM = R. Novy-Marx, The other side of value, 2013; GB = J. Greenblatt, The little book that
beats the market, 2006.
"""

from __future__ import annotations

import polars as pl

Column = pl.Expr | str


def same_currency(ratio: pl.Expr, *currencies: Column) -> pl.Expr:
    """Return a ratio where all currencies are known and equal, else null.

    >>> frame = pl.DataFrame({"x": [1.0, 2.0], "a": ["USD", "USD"], "b": ["USD", "EUR"]})
    >>> frame.select(same_currency(pl.col("x"), "a", "b"))["x"].to_list()
    [1.0, None]
    """
    first, *others = (_column(each) for each in currencies)
    return pl.when(pl.all_horizontal(first.is_not_null(), *(first == each for each in others))).then(ratio)


def currency_reason(*currencies: Column) -> pl.Expr:
    """Return `currency` where a ratio is null because currencies differ or are not known, else null."""
    first, *others = (_column(each) for each in currencies)
    equal = pl.all_horizontal(first.is_not_null(), *(first == each for each in others)).fill_null(False)
    return pl.when(~equal).then(pl.lit("currency"))


def fresh(value: Column, end: Column, on: Column, *, days: int = 200) -> pl.Expr:
    """Return a value whose period ended at most `days` days before the date `on`, else null: it is stale.

    A filer has up to 90 days after a quarter, and the next quarter lasts about 91: a value is 200 days old at most.
    """
    age = (_column(on) - _column(end)).dt.total_days()
    return pl.when(age.is_between(0, days)).then(_column(value))


# ------------------------------------------------------------------------------------------------------- margins


def gross_margin(gross_profit: Column, revenue: Column) -> pl.Expr:
    """Return gross profit / revenue (D, ch. 9)."""
    return _quotient(gross_profit, revenue)


def operating_margin(operating_income: Column, revenue: Column) -> pl.Expr:
    """Return operating income / revenue (D, ch. 9)."""
    return _quotient(operating_income, revenue)


def net_margin(net_income: Column, revenue: Column) -> pl.Expr:
    """Return net income / revenue (D, ch. 9)."""
    return _quotient(net_income, revenue)


# ------------------------------------------------------------------------------------------------- profitability


def return_on_equity(net_income: Column, equity: Column, equity_before: Column | None = None) -> pl.Expr:
    """Return net income / mean equity (ROE; D, ch. 9); null where equity is not positive."""
    return _quotient(net_income, _mean(equity, equity_before))


def return_on_assets(net_income: Column, assets: Column, assets_before: Column | None = None) -> pl.Expr:
    """Return net income / mean assets (ROA)."""
    return _quotient(net_income, _mean(assets, assets_before))


def return_on_invested_capital(
    operating_income: Column, income_tax: Column, pretax_income: Column, debt: Column, equity: Column, cash: Column
) -> pl.Expr:
    """Return operating income after tax / (debt + equity - cash) (ROIC; D, ch. 9).

    The tax rate is income tax / income before tax, from 0 to 1; null where there was no income before tax.
    """
    rate = _quotient(income_tax, pretax_income).clip(0, 1)
    return _quotient(_column(operating_income) * (1 - rate), _column(debt) + _column(equity) - _column(cash))


def return_on_investment(operating_income: Column, debt: Column, equity: Column) -> pl.Expr:
    """Return operating income / (debt + equity), before tax (ROI; as the return on capital of GB, without leases)."""
    return _quotient(operating_income, _column(debt) + _column(equity))


def gross_profitability(gross_profit: Column, assets: Column) -> pl.Expr:
    """Return gross profit / assets (NM)."""
    return _quotient(gross_profit, assets)


def asset_turnover(revenue: Column, assets: Column, assets_before: Column | None = None) -> pl.Expr:
    """Return revenue / mean assets (D, ch. 9)."""
    return _quotient(revenue, _mean(assets, assets_before))


# ----------------------------------------------------------------------------------------------------- valuation


def market_cap(price: Column, shares: Column) -> pl.Expr:
    """Return price × shares: the price as traded on a date, and the shares outstanding on that date, not restated.

    A split between the day of the count and the date belongs into `shares`: multiply by its ratio first.
    """
    return pl.when((_column(price) > 0) & (_column(shares) > 0)).then(_column(price) * _column(shares))


def book_to_market(equity: Column, capitalization: Column) -> pl.Expr:
    """Return shareholders' equity / market capitalization (FF); null where equity is not positive."""
    return pl.when(_column(equity) > 0).then(_quotient(equity, capitalization))


def earnings_yield(net_income: Column, capitalization: Column) -> pl.Expr:
    """Return net income / market capitalization (E/P; D, ch. 18); losses are negative."""
    return _quotient(net_income, capitalization)


def sales_yield(revenue: Column, capitalization: Column) -> pl.Expr:
    """Return revenue / market capitalization (S/P; D, ch. 20)."""
    return _quotient(revenue, capitalization)


def cash_flow_yield(free_cash_flow: Column, capitalization: Column) -> pl.Expr:
    """Return free cash flow / market capitalization."""
    return _quotient(free_cash_flow, capitalization)


def dividend_yield(dividends_paid: Column, capitalization: Column) -> pl.Expr:
    """Return dividends paid (positive) / market capitalization."""
    return _quotient(dividends_paid, capitalization)


def enterprise_value(capitalization: Column, debt: Column, cash: Column) -> pl.Expr:
    """Return market capitalization + debt - cash (D, ch. 12)."""
    return _column(capitalization) + _column(debt) - _column(cash)


# ----------------------------------------------------------------------------------------------- growth, accruals


def growth(now: Column, year_before: Column) -> pl.Expr:
    """Return now / a year before - 1; null where the earlier value is not positive: a change of a loss is no rate."""
    return _quotient(now, year_before) - 1


def accruals(net_income: Column, operating_cash_flow: Column, assets: Column, assets_before: Column) -> pl.Expr:
    """Return (net income - cash from operations) / mean assets (S; by the cash flow statement)."""
    return _quotient(_column(net_income) - _column(operating_cash_flow), _mean(assets, assets_before))


def asset_growth(assets: Column, assets_before: Column) -> pl.Expr:
    """Return assets / assets a year before - 1 (the investment factor of Fama and French, 2015)."""
    return growth(assets, assets_before)


# ------------------------------------------------------------------------------------------- leverage, liquidity


def debt_to_equity(debt: Column, equity: Column) -> pl.Expr:
    """Return total debt / equity (D, ch. 8); null where equity is not positive."""
    return _quotient(debt, equity)


def leverage(assets: Column, equity: Column) -> pl.Expr:
    """Return assets / equity, the third factor of DuPont's return on equity; null where equity is not positive."""
    return _quotient(assets, equity)


def interest_coverage(operating_income: Column, interest_expense: Column) -> pl.Expr:
    """Return operating income / interest expense (D, ch. 8)."""
    return _quotient(operating_income, interest_expense)


def current_ratio(current_assets: Column, current_liabilities: Column) -> pl.Expr:
    """Return current assets / current liabilities."""
    return _quotient(current_assets, current_liabilities)


def quick_ratio(current_assets: Column, inventory: Column, current_liabilities: Column) -> pl.Expr:
    """Return (current assets - inventory) / current liabilities."""
    return _quotient(_column(current_assets) - _column(inventory), current_liabilities)


def _column(column: Column) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column


def _quotient(numerator: Column, denominator: Column) -> pl.Expr:
    """Return a quotient; null where the denominator is not positive."""
    below = _column(denominator)
    return pl.when(below > 0).then(_column(numerator) / below)


def _mean(now: Column, before: Column | None) -> pl.Expr:
    return _column(now) if before is None else (_column(now) + _column(before)) / 2
