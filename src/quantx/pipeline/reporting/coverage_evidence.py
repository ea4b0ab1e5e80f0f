"""The sections of the coverage page that say why to trust: rejected rows, findings, proofs, agreement of vendors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import polars as pl

from quantx.core.evidence import DISAGREES, scores_by_year
from quantx.core.html import Cell, first_of, month_grid, month_text, share_cell, table, text_of
from quantx.core.model import SEVERITIES
from quantx.core.quality import RULES
from quantx.pipeline.reporting.coverage_facts import CoverageFacts

_MOST = 200  # findings, disagreements
_MOST_SERIES = 1000  # that disagree; the JSON has all
_NOT_CHECKED = "<p>Not checked yet.</p>"


def rejects_section(facts: CoverageFacts) -> str:
    """Return how many rows were rejected, by rule and vendor, and by month."""
    if facts.rejects.is_empty():
        return "<p>No row was rejected.</p>"
    by_rule = (
        facts.rejects.group_by("rule", "source")
        .agg(pl.col("rows").sum(), pl.col("month").min().alias("first"), pl.col("month").max().alias("last"))
        .sort("rows", "rule", "source", descending=[True, False, False])
    )
    rows = [
        row | {"first": month_text(row["first"]), "last": month_text(row["last"]), "meaning": _meaning(row["rule"])}
        for row in by_rule.iter_rows(named=True)
    ]
    parts = [
        table(
            rows,
            "By rule and vendor; a row counts under each rule that it breaks",
            {
                "rule": "rule",
                "source": "vendor",
                "rows": "rows",
                "first": "first month",
                "last": "last month",
                "meaning": "violation",
            },
        )
    ]
    for (source,), months in facts.rejects.group_by("source", maintain_order=True):
        summed = months.group_by("month").agg(pl.col("rows").sum()).iter_rows()
        cells = {month: _count_cell(rows) for month, rows in summed}
        parts.append(month_grid(f"Broken rules in rows of {source} by month", cells))
    return "".join(parts)


def findings_section(facts: CoverageFacts) -> str:
    """Return the open findings, the worst first, and those that somebody has acknowledged, with the reason."""
    counts = Counter((row["severity"], row["rule"]) for row in facts.findings)
    order = sorted(counts, key=lambda pair: (SEVERITIES.index(pair[0]), -counts[pair], pair[1]))
    summed = [
        {"severity": s, "rule": rule, "findings": counts[s, rule], "meaning": _meaning(rule)} for s, rule in order
    ]
    parts = [table(summed, "Open findings by rule")] if summed else ["<p>No finding is open.</p>"]
    parts.append(_notes("The worst and newest", facts.findings))
    if facts.acknowledged:
        parts.append(_notes("Acknowledged", facts.acknowledged))
    return "".join(parts)


def _notes(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    shown = rows[:_MOST]
    items = "".join(_note(row) for row in shown)
    return f'<h3>{first_of(title, len(shown), len(rows))}</h3><ul class="notes">{items}</ul>'


def _note(row: Mapping[str, Any]) -> str:
    days = " to ".join(dict.fromkeys(str(d) for d in (row["first_day"], row["last_day"]) if d is not None))
    age = f"{row['age_days']} day{'' if row['age_days'] == 1 else 's'} old"
    about = " · ".join(
        escape(text_of(x)) for x in (row["subject"], row["rule"], row["source"], row["dataset"], days, age) if x
    )
    settled = ""
    if row["reason"]:
        settled = f"<p><b>Acknowledged</b> by {escape(text_of(row['settled_by']))}: {escape(row['reason'])}</p>"
    severity = escape(row["severity"])
    return f'<li class="{severity}"><p><span class="badge">{severity}</span> {about}</p><p>{escape(row["message"])}</p>{settled}</li>'


def proofs_section(facts: CoverageFacts) -> str:
    """Return what of the adjustments is proven, and the steps that disagree."""
    about = "<p>Our total-adjusted close against the vendor's, at each split and dividend.</p>"
    if facts.proofs is None or facts.proofs_by_symbol is None or facts.disagreements is None:
        return about + _NOT_CHECKED
    heads = {
        "source": "vendor",
        "series": "series",
        "proven": "proven",
        "disagrees": "disagree",
        "nothing_to_prove": "nothing to prove",
    }
    counts = table(facts.proofs.iter_rows(named=True), "Series by vendor", heads)
    return about + counts + _series_that_disagree(facts.proofs_by_symbol) + _steps_that_disagree(facts.disagreements)


def _series_that_disagree(by_symbol: pl.DataFrame) -> str:
    open_ = by_symbol.with_columns((pl.col("events") - pl.col("agree")).alias("disagree"))
    found = open_.filter(pl.col("verdict") == DISAGREES).sort(
        "disagree", "symbol", "source", descending=[True, False, False]
    )
    shown = found.head(_MOST_SERIES)
    heads = {
        "symbol": "symbol",
        "source": "vendor",
        "events": "events",
        "disagree": "disagree",
        "first_disagreement": "first on",
        "worst": "largest difference",
    }
    rows = [row | {"worst": f"{row['worst']:.2%}"} for row in shown.iter_rows(named=True)]
    return table(rows, first_of("Series that disagree", shown.height, found.height), heads)


def _steps_that_disagree(disagreements: pl.DataFrame) -> str:
    shown = disagreements.head(_MOST)
    columns = {
        "symbol": "symbol",
        "source": "vendor",
        "ex_date": "date",
        "ours": "our factor",
        "vendors": "vendor's factor",
        "verdict": "likely cause",
    }
    rows = [row | {"verdict": row["verdict"].replace("_", " ")} for row in shown.iter_rows(named=True)]
    return table(rows, first_of("Steps that disagree", shown.height, disagreements.height), columns)


def agreement_section(facts: CoverageFacts) -> str:
    """Return how far vendors agree by month, and the score of each over the years."""
    about = (
        "<p>Bars of two vendors for the same session, as traded: the share in which close, open, high, low and volume all"
        " agree within their tolerances. A session that one of them lacks does not agree.</p>"
    )
    if facts.agreement is None or facts.scores is None:
        return about + _NOT_CHECKED
    scores = [
        row | {"year": str(row["year"]), "score": int(row["score"] * 1000) / 10}
        for row in scores_by_year(facts.scores).iter_rows(named=True)
    ]
    heads = {
        "source": "vendor",
        "market": "market",
        "year": "year",
        "compared": "compared sessions",
        "score": "score, per cent",
    }
    parts = [
        about,
        table(scores, "Score of each vendor: what was found wrong counts in full, what is open by half", heads),
    ]
    pairs = facts.agreement.group_by("source_a", "source_b", "market", maintain_order=True)
    for (a, b, market), months in pairs:
        columns = months.select("month", "agreed", "sessions", "worst").iter_rows()
        cells = {
            month: share_cell(agreed, sessions, f"sessions agree, worst close {worst or 0:.2%} apart")
            for month, agreed, sessions, worst in columns
        }
        parts.append(month_grid(f"{a} and {b} ({market})", cells))
    return "".join(parts)


def _meaning(rule: str) -> str:
    return RULES[rule].meaning if rule in RULES else ""


def _count_cell(rows: int) -> Cell:
    """Return a number of rows for a month of a grid: the more, the darker."""
    level = next((css for least, css in ((1000, "poor"), (100, "low"), (10, "part")) if rows >= least), "high")
    return Cell(str(rows) if rows < 1000 else f"{rows // 1000}k", level, f"{rows:,} rows")
