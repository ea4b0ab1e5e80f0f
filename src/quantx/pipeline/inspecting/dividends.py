"""Check the stored dividends by the dividend rules over a symbol's whole history, and note the findings."""

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
from quantx.lake.protocol import Tables
from quantx.state.findings.port import Findings

_VISIBLE_AFTER = timedelta(days=10)  # until the bars after an ex-date show the fall of the price
_AT_ONCE = 500  # symbols: 2.5 million rows of four columns over 20 years
_SERIES = ["source", "symbol"]
_BY_ID = {rule.id: rule for rule in DIVIDEND_RULES}


def check_dividends(
    tables: Tables,
    findings: Findings,
    symbols: Collection[str] | None = None,
    *,
    since: datetime | None = None,
) -> list[Finding]:
    """Check the stored dividends of `symbols` (None: all), note the findings and return them.

    With `since`, only symbols with a dividend that became known later, or with an ex-date so shortly before that the
    price could not show it yet: after an update, these are few. Earlier findings about the checked symbols that no
    longer hold are resolved. Nothing else changes.
    """
    wanted = pl.col("kind") == "dividend"
    if symbols is not None:
        wanted &= pl.col("symbol").is_in(list(symbols))
    if since is not None:
        wanted &= (pl.col("known_from") >= since) | (pl.col("ex_date") >= since.date() - _VISIBLE_AFTER)
    paying = tables[ACTIONS.name].read(wanted)["symbol"].unique().sort().to_list()
    current: list[Finding] = []
    for start in range(0, len(paying), _AT_ONCE):
        current += _check(tables, paying[start : start + _AT_ONCE])
    checked = paying if since is not None else None if symbols is None else list(symbols)
    rules, reason = [rule.id for rule in DIVIDEND_RULES], "the vendor's dividends obey the rule now"
    findings.restate(rules, None, ACTIONS.name, current, reason, checked)
    return current


def _check(tables: Tables, symbols: Collection[str]) -> list[Finding]:
    ours = pl.col("symbol").is_in(list(symbols))
    actions = tables[ACTIONS.name].read(ours)
    scan = tables[BARS_1D.name].scan().filter(ours).select(*_SERIES, "date", "close", "volume")
    bars = tables[BARS_1D.name].collect(scan)
    series = pl.concat_str(_SERIES, separator=" ").alias("series")
    doubtful = doubtful_dividends(bars.with_columns(series), actions.with_columns(series), "series")
    rows = doubtful.join(
        actions.select(series, *_SERIES, "currency").unique("series"), on="series", maintain_order="left"
    )
    return [_finding(row) for row in rows.iter_rows(named=True)]


def _finding(row: dict[str, Any]) -> Finding:
    rule, day, unit = _BY_ID[row["rule"]], row["ex_date"], row["currency"] or "of an unknown currency"
    booked = f"{row['source']} reports a dividend of {row['value']:.6g} {unit} on {day}"
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{booked}, {_why(row)}; compare it with another vendor before you use adjusted prices of earlier days",
        source=row["source"],
        dataset=ACTIONS.name,
        first_day=day,
        last_day=day,
        facts={name: row[name] for name in ("value", "reference_close", "fall")},
    )


def _why(row: dict[str, Any]) -> str:
    value, price = row["value"], row["reference_close"]
    if row["rule"] == "dividend_below_price":
        return f"more than the price of the previous session, {price:.6g}: the adjustment factor leaves it out"
    if row["rule"] == "dividend_paid_once":
        return "and about the same amount a few days apart: one of the two was probably never paid"
    fell = 1 - math.exp(-row["fall"])
    times, likely = (0.01, "a hundredth") if value / price > fell else (100, "a hundred times as much")
    moved = f"fell by {fell:.2%}" if fell >= 0 else f"rose by {-fell:.2%}"
    return (
        f"{value / price:.2%} of the price, which {moved}: {likely}, {value * times:.6g}, fits better (pence instead of"
        " pounds, for example)"
    )
