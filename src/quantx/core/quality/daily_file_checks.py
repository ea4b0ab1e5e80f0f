"""Apply the rules to a local daily file: the row rules, the series rules and the rules of corporate actions."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import polars as pl

from quantx.core.daily_files import QUANDL, DailyFile
from quantx.core.quality.adjustments import ADJUSTED_CLOSE_POSITIVE, ADJUSTMENT_RULES, Formula, prove, unusable_adjusted
from quantx.core.quality.calendar_days import is_session
from quantx.core.quality.daily_rules import check_daily_bars, mark_absurd, mark_last_of_session
from quantx.core.quality.dividend_rules import DIVIDEND_RULES, doubtful_dividends
from quantx.core.quality.repeated_rows import REPEAT_RULES, without_repeats
from quantx.core.quality.rule import Rule, with_classes
from quantx.core.quality.series_rules import VIOLATIONS, check_series
from quantx.core.symbols import market_of, venue_of
from quantx.errors import InvalidSymbol

_MOST_DIVIDENDS = 5  # in a month: funds that pay each week


@dataclass(frozen=True)
class FileReport:
    """The rejected rows and the violations of one file."""

    symbol: str
    _: KW_ONLY
    rows: int
    rejected: pl.DataFrame  # time (as written), date, open, high, low, close, volume, rules
    violations: pl.DataFrame  # VIOLATIONS
    strange: int  # lines that are not rows


def check_file(symbol: str, file: DailyFile, market: pl.DataFrame | None = None) -> FileReport:
    """Check the rows of a file by the row rules, and the accepted rows by the series rules.

    `market` (calendar, date, move) is that of `market_moves.market_of`, of other files, for example.

    A file of intraday bars (its rows have a time) is checked by the row rules only: the series rules are about
    sessions.
    """
    rows = file.rows.with_columns(symbol=pl.lit(symbol))
    key = ["date" if file.is_daily else "time"]
    rows, repeated = without_repeats(rows, key)
    rows = mark_last_of_session(rows, key)
    rows = mark_absurd(rows.sort("date", maintain_order=True), "symbol")
    rows = rows.with_columns(
        in_calendar=is_session(rows), in_past=pl.lit(True), market=pl.lit(market_of(symbol) or "eu")
    ).pipe(with_classes)
    checked = check_daily_bars(rows)
    shown = ["time", "date", "open", "high", "low", "close", "volume", "rules"]
    bars, events = checked.accepted if file.is_daily else checked.accepted.clear(), events_of(rows)
    rejected = checked.rejected.select("symbol", "date").unique()
    series = check_series(bars, events, rejected=rejected, adjusted=file.layout.basis != "as_traded", market=market)
    repeats = [_repeats(repeated, symbol)] if file.is_daily else []
    violations = pl.concat([series, *repeats, *_of_actions(bars, events, file, symbol)]).sort("first_day", "rule")
    return FileReport(
        symbol,
        rows=rows.height,
        rejected=checked.rejected.select(shown),
        violations=violations,
        strange=len(file.strange),
    )


def events_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the splits and dividends in the rows of a file: symbol, ex_date, kind, value."""
    kinds = {"split": (pl.col("split") > 0) & (pl.col("split") != 1), "dividend": pl.col("dividend") > 0}
    return pl.concat(
        rows.filter(is_event).select("symbol", ex_date="date", kind=pl.lit(kind), value=kind)
        for kind, is_event in kinds.items()
    )


def _of_actions(bars: pl.DataFrame, events: pl.DataFrame, file: DailyFile, symbol: str) -> list[pl.DataFrame]:
    """Return the violations in the adjusted closes and the dividends of a file, as frames of VIOLATIONS.

    Without dividends in the file, a step of the adjusted close may be a dividend; an upward step is a violation, and so
    are more steps in a month than any security pays dividends.
    """
    prices = bars.select("symbol", "date", "close", "volume", vendor_adj_close="adj_close")
    adjusted = prices.drop_nulls("vendor_adj_close")
    in_close = file.layout.basis != "as_traded"
    formula: Formula = "ex_close" if file.layout is QUANDL else "previous_close"
    proofs = prove(adjusted, events, split_in_close=in_close, formula=formula, key="symbol")
    if file.rows["dividend"].null_count() == file.rows.height:
        often = pl.len().over(pl.col("ex_date").dt.truncate("1mo")) > _MOST_DIVIDENDS
        proofs = proofs.filter((pl.col("verdict") == "unexplained") | (pl.col("vendors") > 1) | often)
    violations = [
        _as_violations(proofs.filter(rule.broken), rule, pl.col("vendors") / pl.col("ours"))
        for rule in ADJUSTMENT_RULES
        if rule is not ADJUSTED_CLOSE_POSITIVE
    ]
    unusable = unusable_adjusted(adjusted, "symbol").rename({"first": "first_day", "last": "last_day"})
    violations.append(_as_violations(unusable, ADJUSTED_CLOSE_POSITIVE, pl.lit(None)))
    splits = events.filter(pl.col("kind") == "split").select("symbol", "ex_date", ratio="value")
    ratio = pl.lit(1.0) if in_close else pl.col("ratio").fill_null(1.0)
    before = prices.sort("date").select("symbol", ex_date="date", before=pl.col("close").shift(1))
    paid = events.join(before, on=["symbol", "ex_date"], how="left").join(splits, on=["symbol", "ex_date"], how="left")
    paid = paid.with_columns(reference_close=pl.col("before") / ratio, currency=pl.lit(_currency_of(symbol)))
    doubtful = doubtful_dividends(prices, paid)
    share = pl.col("value") / pl.col("reference_close")
    violations += [_as_violations(doubtful.filter(pl.col("rule") == rule.id), rule, share) for rule in DIVIDEND_RULES]
    return violations


def _repeats(repeated: pl.DataFrame, symbol: str) -> pl.DataFrame:
    """Return the repeated rows as VIOLATIONS."""
    rows = repeated.with_columns(symbol=pl.lit(symbol), ex_date="date")
    return _as_violations(rows, REPEAT_RULES[0], pl.lit(None))


def _as_violations(rows: pl.DataFrame, rule: Rule, size: pl.Expr) -> pl.DataFrame:
    if "ex_date" in rows.columns:
        rows = rows.with_columns(first_day="ex_date", last_day="ex_date", rows=pl.lit(1))
    return rows.with_columns(rule=pl.lit(rule.id), size=size).select(pl.col(c).cast(t) for c, t in VIOLATIONS.items())


def _currency_of(symbol: str) -> str:
    try:
        return venue_of(symbol).currency
    except InvalidSymbol:
        return "unknown"
