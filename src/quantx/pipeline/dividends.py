"""Dividends in the lake that can't be as they stand, as findings; they are judged by all of a symbol's history."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.dividends import DIVIDEND_RULES, doubtful_dividends
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.pipeline.platform import Platform
from quantx.pipeline.proofs import settle_others

_AT_ONCE = 500  # symbols: their bars of 20 years are 2.5 million rows of four columns
_SERIES = ["source", "symbol"]
_BY_ID = {rule.id: rule for rule in DIVIDEND_RULES}
_SAID = {
    "dividend_below_price": "which nobody can pay",
    "dividend_in_unit_of_price": "and a hundredth or a hundredfold of it fits the prices better: pence for pounds, or the reverse",
    "dividend_paid_once": "and about the same on a day close by: one of the two was probably never paid",
}


def check_dividends(platform: Platform, symbols: Collection[str] | None = None) -> list[Finding]:
    """Judge the stored dividends of `symbols` (of all, where none are named), note what is wrong and return it.

    Findings of before that are not found any more are resolved. Nothing else is changed.
    """
    wanted = pl.col("kind") == "dividend"
    if symbols is not None:
        wanted &= pl.col("symbol").is_in(list(symbols))
    paying = platform.tables[ACTIONS.name].read(wanted)["symbol"].unique().sort().to_list()
    found: list[Finding] = []
    for start in range(0, len(paying), _AT_ONCE):
        found += _judge(platform, paying[start : start + _AT_ONCE])
    platform.state.findings.note(found)
    checked = None if symbols is None else set(symbols)
    settle_others(
        platform.state.findings,
        DIVIDEND_RULES,
        found,
        lambda source, symbol, day: checked is None or symbol in checked,
        "the vendor's dividends do not show it any more",
    )
    return found


def _judge(platform: Platform, symbols: Collection[str]) -> list[Finding]:
    ours = pl.col("symbol").is_in(list(symbols))
    actions = platform.tables[ACTIONS.name].read(ours)
    scan = platform.tables[BARS_1D.name].scan().filter(ours).select(*_SERIES, "date", "close", "volume")
    bars = platform.tables[BARS_1D.name].collect(scan)
    series = pl.concat_str(_SERIES, separator=" ").alias("series")
    doubtful = doubtful_dividends(bars.with_columns(series), actions.with_columns(series), "series")
    rows = doubtful.join(
        actions.select(series, *_SERIES, "currency").unique("series"), on="series", maintain_order="left"
    )
    return [_finding(row) for row in rows.iter_rows(named=True)]


def _finding(row: dict[str, Any]) -> Finding:
    rule, day, unit = _BY_ID[row["rule"]], row["ex_date"], row["currency"] or "of no named currency"
    fell = "" if row["fall"] is None else f" (it fell by {row['fall']:.2%})"
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{row['source']} books a dividend of {row['value']:.6g} {unit} on {day}, with a price of"
        f" {row['reference_close']:.6g} before{fell}, {_SAID[rule.id]}; compare with another vendor before adjusted prices of"
        " earlier days are used",
        row["source"],
        ACTIONS.name,
        day,
        day,
        {name: row[name] for name in ("value", "reference_close", "fall")},
    )
