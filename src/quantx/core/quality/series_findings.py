"""Turn violations of series rules into few findings, each with the fact and the next step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.rule import FINDING_SEVERITY, Rule

_SEPARATE = 3  # violations of one rule and symbol that become a finding each; more become one finding
_NEXT = {
    "reject": "do not trust it; compare with another vendor (`quantx crossvalidate compare --symbols {symbol}`)",
    "warn": "check it, and acknowledge it with a reason if it is correct",
    "info": "informational",
}


def findings_of(
    violations: pl.DataFrame, rules: Mapping[str, Rule], source: str = "", dataset: str = "bars_1d"
) -> list[Finding]:
    """Return the findings of a frame of VIOLATIONS; many of one rule and symbol become one finding."""
    groups = violations.group_by("rule", "symbol", maintain_order=True).agg(
        pl.struct("first_day", "last_day", "rows", "size").alias("stretches")
    )
    return [
        finding
        for row in groups.iter_rows(named=True)
        for finding in _findings(rules[row["rule"]], row["symbol"], row["stretches"], source, dataset)
    ]


def _findings(
    rule: Rule, symbol: str, stretches: Sequence[dict[str, Any]], source: str, dataset: str
) -> Iterator[Finding]:
    groups = [stretches] if len(stretches) > _SEPARATE else [[stretch] for stretch in stretches]
    for group in groups:
        rows, last = sum(s["rows"] for s in group), max(s["last_day"] for s in group)
        days = _days(group, rows, last)
        yield Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            symbol,
            f"{rule.meaning}: {days}; {_NEXT[rule.severity].format(symbol=symbol)}",
            source=source,
            dataset=dataset,
            first_day=group[0]["first_day"],
            last_day=last,
            facts={"times": len(group), "seen": days, "rows": rows, "stretches": [_listed(s) for s in group]},
        )


def _days(group: Sequence[dict[str, Any]], rows: int, last: date) -> str:
    first, size = group[0]["first_day"], group[0]["size"]
    days = f"{first}" if first == last else f"{first} to {last}"
    times = f", × {size:.4g}" if size is not None and len(group) == 1 else ""
    return f"{days}{times} ({rows:,} {'session' if rows == 1 else 'sessions'})"


def _listed(stretch: dict[str, Any]) -> list[object]:
    return [str(stretch["first_day"]), str(stretch["last_day"]), stretch["rows"], stretch["size"]]
