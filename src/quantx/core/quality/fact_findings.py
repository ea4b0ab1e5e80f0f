"""Violations of the rules of statements as findings: one per rule, source and symbol, with what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.rule import FINDING_SEVERITY, Rule

SEEN_SCHEMA = {"rule": pl.String, "source": pl.String, "symbol": pl.String, "day": pl.Date, "seen": pl.String}
_SHOWN = 3  # of the newest violations, in the message
_LISTED = 200  # in the facts, for programs
_NEXT = {
    "reject": "compare with another vendor (`quantx crossvalidate fundamentals --symbols {symbol}`)",
    "warn": "compare with the filing (`quantx explain`), and acknowledge it with a reason if it is correct",
    "info": "informational",
}


def seen_by(rule: Rule, rows: pl.DataFrame, day: str, seen: pl.Expr) -> pl.DataFrame:
    """Return the violations of a rule among rows with source and symbol: SEEN_SCHEMA; `seen` describes one."""
    broken = rows.filter(rule.broken)
    return broken.select(
        pl.lit(rule.id).alias("rule"), "source", "symbol", pl.col(day).alias("day"), seen.cast(pl.String).alias("seen")
    )


def fact_findings(seen: pl.DataFrame, rules: Mapping[str, Rule], next_step: Mapping[str, str] = _NEXT) -> list[Finding]:
    """Return a finding per rule, source and symbol of violations (SEEN_SCHEMA).

    `next_step` is that of the message, by severity; it may use `{symbol}`.
    """
    grouped = (
        seen.unique(maintain_order=True)
        .sort("day", "seen", descending=[True, False])
        .group_by("rule", "source", "symbol", maintain_order=True)
        .agg("seen", "day")
    )
    return list(_findings(grouped.rows(), rules, next_step))


def number(value: pl.Expr) -> pl.Expr:
    """Return numbers as texts of six digits, as in 364980000000 or 6.08."""
    digits = pl.lit(10.0).pow(5 - value.abs().log10().floor())
    rounded = pl.when(value == 0).then(0.0).otherwise((value * digits).round() / digits)
    whole = rounded.abs() >= 1e6
    return (
        pl.when(whole)
        .then(rounded.round().cast(pl.Int64, strict=False).cast(pl.String))
        .otherwise(rounded.cast(pl.String))
    )


def _findings(
    rows: Sequence[tuple[str, str, str, list[str], list[object]]],
    rules: Mapping[str, Rule],
    next_step: Mapping[str, str],
) -> Iterator[Finding]:
    for name, source, symbol, seen, _ in sorted(rows, key=lambda row: row[:3]):
        rule = rules[name]
        shown = "; ".join(seen[:_SHOWN]) + (f"; and {len(seen) - _SHOWN} more" if len(seen) > _SHOWN else "")
        yield Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            symbol,
            f"{rule.meaning}: {shown}; {next_step[rule.severity].format(symbol=symbol)}",
            source=source,
            dataset=rule.dataset,
            facts={"times": len(seen), "seen": seen[:_LISTED]},
        )
