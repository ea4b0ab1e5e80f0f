"""Turn the rows of `verdicts`, `agreements` and `action_verdicts` into findings: one per symbol, cause and vendor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.action_comparison import EVENT_COMPARISON_RULES, LACKS_EVENT, OTHER_DATE
from quantx.core.quality.rule import FINDING_SEVERITY, by_id
from quantx.core.quality.vendor_causes import LACKS, VENDOR_RULES
from quantx.core.tables import ACTIONS, BARS_1D

_RULES = by_id(VENDOR_RULES, EVENT_COMPARISON_RULES)
_SHOWN = 10  # days that a finding lists
_NEXT = "`quantx crossvalidate compare` shows more"
_DIFFERENCES = {
    "vendor_currency": "in different currencies",
    "vendor_hundredfold": "apart by a factor of a hundred",
    "vendor_shifted": "the same, dated a session apart",
    "vendor_split": "apart by the factor of a split",
    "vendor_scale": "apart by a constant factor",
    "vendor_lots": "apart by a factor of a hundred in volume, not in price",
    "vendors_disagree": "apart at the close",
    "vendors_differ": "apart in another field than the close",
}


def vendor_findings(verdicts: pl.DataFrame, agreements: pl.DataFrame) -> list[Finding]:
    """Return the findings of all stored verdicts and agreements of some symbols.

    The finding of a wrong bar is about its vendor. Without a decision it is about no vendor, and lists all of them.
    """
    causes = verdicts.filter(pl.col("rule").is_in(list(_DIFFERENCES)))
    wrong = pl.when(pl.col("verdict") == "wrong").then("source").otherwise(pl.lit("")).alias("blamed")
    value, other = pl.col("value"), pl.col("other_value")
    groups = causes.group_by("symbol", "rule", wrong).agg(
        pl.col("date").unique().sort().alias("days"),
        pl.concat([pl.col("source"), pl.col("against")]).unique().sort().alias("vendors"),
        pl.col("decided_by").drop_nulls().unique().sort().alias("decided_by"),
        pl.max_horizontal(value / other, other / value).median().alias("factor"),
    )
    findings = [_of_bars(row) for row in groups.sort("symbol", "rule", "blamed").iter_rows(named=True)]
    return [*findings, *map(_of_missing_sessions, _missing_sessions(agreements).iter_rows(named=True))]


def _of_bars(row: Mapping[str, Any]) -> Finding:
    rule, days, vendors = _RULES[row["rule"]], row["days"], row["vendors"]
    when = f"on {len(days)} days, {days[0]} to {days[-1]}" if len(days) > _SHOWN else f"on {', '.join(map(str, days))}"
    if row["blamed"]:
        decision = (
            f"{row['blamed']} is wrong according to {' and '.join(row['decided_by'])}; source=best shows another"
            " vendor's bar"
        )
    else:
        decision = f"no other vendor decides which is wrong; {_NEXT}"
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{' and '.join(vendors)} are {_DIFFERENCES[rule.id]} {when}: {decision}",
        source=row["blamed"],
        dataset=BARS_1D.name,
        first_day=days[0],
        last_day=days[-1],
        facts={
            "times": len(days),
            "days": len(days),
            "vendors": vendors,
            "decided_by": row["decided_by"],
            "factor": row["factor"],
        },
    )


def _missing_sessions(agreements: pl.DataFrame) -> pl.DataFrame:
    """Return the missing sessions of each vendor: symbol, source, number of sessions, other vendors, months."""
    sides = [
        agreements.filter(pl.col(f"lacking_{side}") > 0).select(
            "symbol",
            "month",
            pl.col(f"source_{side}").alias("source"),
            pl.col(f"source_{other}").alias("against"),
            pl.col(f"lacking_{side}").alias("lacking"),
        )
        for side, other in ("ab", "ba")
    ]
    months = pl.concat(sides).group_by("symbol", "source", "month").agg(pl.col("lacking").max(), "against")
    return (
        months.group_by("symbol", "source")
        .agg(pl.col("lacking").sum(), pl.col("against").explode().unique().sort(), pl.col("month").sort())
        .sort("symbol", "source")
    )


def _of_missing_sessions(row: Mapping[str, Any]) -> Finding:
    rule, months = _RULES[LACKS], row["month"]
    named = ", ".join(f"{m // 100}-{m % 100:02d}" for m in months[:_SHOWN])
    return Finding(
        LACKS,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{row['source']} has no bar of {row['lacking']} sessions that {' and '.join(row['against'])} has, in {named}"
        f"{' and later' if len(months) > _SHOWN else ''}; {_NEXT}, and `quantx backfill --again` fetches them again",
        source=row["source"],
        dataset=BARS_1D.name,
        facts={"times": row["lacking"], "sessions": row["lacking"], "months": months, "against": row["against"]},
    )


def action_findings(verdicts: pl.DataFrame) -> list[Finding]:
    """Return the findings of all stored verdicts on splits and dividends of some symbols.

    The finding of a wrong or missing event is about its vendor. Without a decision it is about no vendor, and lists
    all of them.
    """
    wrong = pl.when(pl.col("verdict") == "wrong").then("source").otherwise(pl.lit("")).alias("blamed")
    groups = verdicts.group_by("symbol", "rule", wrong).agg(
        pl.col("ex_date").unique().sort().alias("days"),
        pl.concat([pl.col("source"), pl.col("against")]).unique().sort().alias("vendors"),
        pl.col("decided_by").drop_nulls().unique().sort().alias("decided_by"),
        pl.struct("source", "ex_date", "kind", "value", "against", "other_value", "other_date", "decided_by")
        .sort_by("ex_date", "source")
        .alias("events"),
    )
    return [_of_events(row) for row in groups.sort("symbol", "rule", "blamed").iter_rows(named=True)]


def _of_events(row: Mapping[str, Any]) -> Finding:
    rule, days, blamed, events = _RULES[row["rule"]], row["days"], row["blamed"], row["events"]
    if blamed:
        decision = f"{blamed} is wrong according to {' and '.join(row['decided_by'])}"
    else:
        decision = f"nothing decides which vendor is right; {_NEXT}"
    more = f", and {len(days) - 1} more by {days[-1]}" if len(days) > 1 else ""
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{_difference(rule.id, events[0])}{more}: {decision}; adjusted prices before it depend on it",
        source=blamed,
        dataset=ACTIONS.name,
        first_day=days[0],
        last_day=days[-1],
        facts={
            "times": len(days),
            "vendors": row["vendors"],
            "decided_by": row["decided_by"],
            "events": [{name: str(v) if name.endswith("date") and v else v for name, v in e.items()} for e in events],
        },
    )


def _difference(rule: str, event: Mapping[str, Any]) -> str:
    """Return the first difference as a sentence."""
    source, against, kind, day = event["source"], event["against"], event["kind"], event["ex_date"]
    value, other = event["value"], event["other_value"]
    if rule == LACKS_EVENT and value is None:
        return f"{source} has no {kind} on {day}, {against} has {other:.6g}"
    if rule == LACKS_EVENT:
        return f"{source} has a {kind} of {value:.6g} on {day}, {against} has none"
    if rule == OTHER_DATE:
        return f"{source} has the {kind} of {value:.6g} on {day}, {against} on {event['other_date']}"
    return (
        f"{source} has a {kind} of {value:.6g} on {day}, {against} of {other:.6g}"
        f" (a factor of {max(value / other, other / value):.4g})"
    )
