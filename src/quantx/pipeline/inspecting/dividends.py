"""Dividends in the lake that can't be as they stand, as findings; they are judged by all of a symbol's history."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.dividend_rules import DIVIDEND_RULES, doubtful_dividends
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.pipeline.runtime.platform import Platform

_SEEN_AFTER = timedelta(days=10)
_AT_ONCE = 500  # symbols: their bars of 20 years are 2.5 million rows of four columns
_SERIES = ["source", "symbol"]
_BY_ID = {rule.id: rule for rule in DIVIDEND_RULES}


def check_dividends(
    platform: Platform, symbols: Collection[str] | None = None, *, since: datetime | None = None
) -> list[Finding]:
    """Judge the stored dividends of `symbols` (of all, where none are named), note what is wrong and return it.

    With `since`, only symbols with a dividend that became known after it, or was paid so shortly before that its fall
    of the price could not be seen then: after an update, these are few. Findings of before about the symbols that were
    judged are resolved where they are not found any more. Nothing else is changed.
    """
    wanted = pl.col("kind") == "dividend"
    if symbols is not None:
        wanted &= pl.col("symbol").is_in(list(symbols))
    if since is not None:
        wanted &= (pl.col("known_from") >= since) | (pl.col("ex_date") >= since.date() - _SEEN_AFTER)
    paying = platform.tables[ACTIONS.name].read(wanted)["symbol"].unique().sort().to_list()
    found: list[Finding] = []
    for start in range(0, len(paying), _AT_ONCE):
        found += _judge(platform, paying[start : start + _AT_ONCE])
    checked = paying if since is not None else None if symbols is None else list(symbols)
    rules, reason = [rule.id for rule in DIVIDEND_RULES], "the vendor's dividends do not show it any more"
    platform.state.findings.restate(rules, None, ACTIONS.name, found, reason, checked)
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
    rule, day, unit = _BY_ID[row["rule"]], row["ex_date"], row["currency"] or "of a currency that it does not name"
    said = f"{row['source']} books a dividend of {row['value']:.6g} {unit} on {day}"
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{said}, {_why(row)}; compare with another vendor before adjusted prices of earlier days are used",
        source=row["source"],
        dataset=ACTIONS.name,
        first_day=day,
        last_day=day,
        facts={name: row[name] for name in ("value", "reference_close", "fall")},
    )


def _why(row: dict[str, Any]) -> str:
    value, price = row["value"], row["reference_close"]
    if row["rule"] == "dividend_below_price":
        return f"more than the price of the session before, {price:.6g}: our factor leaves it out"
    if row["rule"] == "dividend_paid_once":
        return "and about the same on a day close by: one of the two was probably never paid"
    fell = 1 - math.exp(-row["fall"])
    times, likely = (0.01, "a hundredth") if value / price > fell else (100, "the hundredfold")
    moved = f"fell by {fell:.2%}" if fell >= 0 else f"rose by {-fell:.2%}"
    return (
        f"{value / price:.2%} of the price, which {moved}: {likely}, {value * times:.6g}, fits better (pence and pounds, or"
        " the like)"
    )
