"""From what the series rules find to findings for people: few, with the fact and the next step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.rule import FINDING_SEVERITY, Rule

_APART = 3  # stretches of one rule and symbol that are told one by one; more become one finding
_LISTED = 50  # of its stretches are named in `facts`
_NEXT = {
    "reject": "it is not to be trusted: compare it with another vendor (`quantx crossvalidate compare --symbols {symbol}`)",
    "warn": "look at it, and acknowledge it with your reason if it is as it should be",
    "info": "good to know; nothing need be done",
}


def findings_of(
    found: pl.DataFrame, rules: Mapping[str, Rule], source: str = "", dataset: str = "bars_1d"
) -> list[Finding]:
    """Return findings of what was found (a frame of FOUND), those of each rule and symbol together where they are many."""
    together = found.group_by("rule", "symbol", maintain_order=True).agg(
        pl.struct("first_day", "last_day", "rows", "size").alias("stretches")
    )
    return [
        finding
        for row in together.iter_rows(named=True)
        for finding in _findings(rules[row["rule"]], row["symbol"], row["stretches"], source, dataset)
    ]


def _findings(
    rule: Rule, symbol: str, stretches: Sequence[dict[str, Any]], source: str, dataset: str
) -> Iterator[Finding]:
    groups = [stretches] if len(stretches) > _APART else [[stretch] for stretch in stretches]
    for group in groups:
        rows, last = sum(s["rows"] for s in group), max(s["last_day"] for s in group)
        seen = _seen(group, rows, last)
        yield Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            symbol,
            f"expected: {rule.meaning}; found: {seen}; {_NEXT[rule.severity].format(symbol=symbol)}",
            source,
            dataset,
            group[0]["first_day"],
            last,
            {"times": len(group), "seen": seen, "rows": rows, "stretches": [_listed(s) for s in group[:_LISTED]]},
        )


def _seen(group: Sequence[dict[str, Any]], rows: int, last: date) -> str:
    first, size = group[0]["first_day"], group[0]["size"]
    days = f"{first}" if first == last else f"{first} to {last}"
    times = f", × {size:.4g}" if size is not None and len(group) == 1 else ""
    return f"{days}{times} ({rows:,} {'session' if rows == 1 else 'sessions'})"


def _listed(stretch: dict[str, Any]) -> list[object]:
    return [str(stretch["first_day"]), str(stretch["last_day"]), stretch["rows"], stretch["size"]]
