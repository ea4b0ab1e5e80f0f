"""Views of the evidence on the coverage page: rejected rows, findings, adjustment proofs, vendor agreement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from quantx.core.evidence import DISAGREES, scores_by_year
from quantx.core.model import SEVERITIES
from quantx.core.quality import FINDING_RULES
from quantx.pages.views import (
    HtmlTable,
    MonthCell,
    first_of,
    month_grid,
    month_text,
    share_cell,
    table_of,
    text_of,
)
from quantx.pipeline.reporting.coverage_facts import CoverageFacts

_MOST = 200  # findings, disagreements
_MOST_SERIES = 1000  # that disagree; the JSON has all


def rejects_view(facts: CoverageFacts) -> dict[str, Any] | None:
    """Return the rejected rows by rule and vendor, and by month; None if there are none."""
    if facts.rejects.is_empty():
        return None
    by_rule = (
        facts.rejects.group_by("rule", "source")
        .agg(pl.col("rows").sum(), pl.col("month").min().alias("first"), pl.col("month").max().alias("last"))
        .sort("rows", "rule", "source", descending=[True, False, False])
    )
    rows = [
        row | {"first": month_text(row["first"]), "last": month_text(row["last"]), "meaning": _meaning(row["rule"])}
        for row in by_rule.iter_rows(named=True)
    ]
    heads = {
        "rule": "rule",
        "source": "vendor",
        "rows": "rows",
        "first": "first month",
        "last": "last month",
        "meaning": "violation",
    }
    grids = []
    for (source,), months in facts.rejects.group_by("source", maintain_order=True):
        summed = months.group_by("month").agg(pl.col("rows").sum()).iter_rows()
        cells = {month: _count_cell(count) for month, count in summed}
        grids.append(month_grid(f"Rule violations in rows of {source} by month", cells))
    caption = "By rule and vendor; a row counts under each rule that it violates"
    return {"by_rule": table_of(rows, caption, heads), "grids": grids}


def findings_view(facts: CoverageFacts) -> dict[str, Any]:
    """Return the open findings by severity, and the acknowledged ones with their reasons."""
    counts = Counter((row["severity"], row["rule"]) for row in facts.findings or ())
    order = sorted(counts, key=lambda pair: (SEVERITIES.index(pair[0]), -counts[pair], pair[1]))
    rows = [{"severity": s, "rule": rule, "findings": counts[s, rule], "meaning": _meaning(rule)} for s, rule in order]
    return {
        "known": facts.findings is not None,
        "by_rule": table_of(rows, "Open findings by rule") if rows else None,
        "lists": [
            *_note_list("The worst and newest", facts.findings or ()),
            *_note_list("Acknowledged", facts.acknowledged or ()),
        ],
    }


def _note_list(title: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the list of findings with its title, if there are any."""
    if rows:
        shown = rows[:_MOST]
        yield {"title": first_of(title, len(shown), len(rows)), "notes": [_note(row) for row in shown]}


def _note(row: Mapping[str, Any]) -> dict[str, str]:
    days = " to ".join(dict.fromkeys(str(d) for d in (row["first_day"], row["last_day"]) if d is not None))
    age = f"{row['age_days']} day{'' if row['age_days'] == 1 else 's'} old"
    about = (row["subject"], row["rule"], row["source"], row["dataset"], days, age)
    return {
        "severity": row["severity"],
        "about": " · ".join(text_of(each) for each in about if each),
        "message": row["message"],
        "reason": row["reason"] or "",
        "settled_by": text_of(row["settled_by"]),
    }


def proof_tables(facts: CoverageFacts) -> list[HtmlTable]:
    """Return the proven series by vendor, and the series and steps that disagree; nothing if not checked yet."""
    if facts.proofs is None or facts.proofs_by_symbol is None or facts.disagreements is None:
        return []
    heads = {
        "source": "vendor",
        "series": "series",
        "proven": "proven",
        "disagrees": "disagree",
        "nothing_to_prove": "nothing to prove",
    }
    return [
        table_of(facts.proofs.iter_rows(named=True), "Series by vendor", heads),
        _disagreeing_series(facts.proofs_by_symbol),
        _disagreeing_steps(facts.disagreements),
    ]


def _disagreeing_series(by_symbol: pl.DataFrame) -> HtmlTable:
    counted = by_symbol.with_columns((pl.col("events") - pl.col("agree")).alias("disagree"))
    disagreeing = counted.filter(pl.col("verdict") == DISAGREES).sort(
        "disagree", "symbol", "source", descending=[True, False, False]
    )
    shown = disagreeing.head(_MOST_SERIES)
    heads = {
        "symbol": "symbol",
        "source": "vendor",
        "events": "events",
        "disagree": "disagree",
        "first_disagreement": "first on",
        "worst": "largest difference",
    }
    rows = [row | {"worst": f"{row['worst']:.2%}"} for row in shown.iter_rows(named=True)]
    return table_of(rows, first_of("Series that disagree", shown.height, disagreeing.height), heads)


def _disagreeing_steps(disagreements: pl.DataFrame) -> HtmlTable:
    shown = disagreements.head(_MOST)
    heads = {
        "symbol": "symbol",
        "source": "vendor",
        "ex_date": "date",
        "ours": "our factor",
        "vendors": "vendor's factor",
        "verdict": "likely cause",
    }
    rows = [row | {"verdict": row["verdict"].replace("_", " ")} for row in shown.iter_rows(named=True)]
    return table_of(rows, first_of("Steps that disagree", shown.height, disagreements.height), heads)


def agreement_view(facts: CoverageFacts) -> dict[str, Any] | None:
    """Return the agreement of each pair of vendors by month, and the vendors' scores; None if not checked yet."""
    if facts.agreement is None or facts.scores is None:
        return None
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
    grids = []
    pairs = facts.agreement.group_by("source_a", "source_b", "market", maintain_order=True)
    for (a, b, market), months in pairs:
        cells = {
            month: share_cell(agreed, sessions, f"sessions agree, largest close difference {worst or 0:.2%}")
            for month, agreed, sessions, worst in months.select("month", "agreed", "sessions", "worst").iter_rows()
        }
        grids.append(month_grid(f"{a} and {b} ({market})", cells))
    caption = "Score of each vendor: wrong sessions count in full, undecided ones by half"
    return {"scores": table_of(scores, caption, heads), "grids": grids}


def _meaning(rule: str) -> str:
    return FINDING_RULES[rule].meaning if rule in FINDING_RULES else ""


def _count_cell(rows: int) -> MonthCell:
    """Return a number of rows as a cell of a grid: the more, the darker."""
    level = next((css for least, css in ((1000, "poor"), (100, "low"), (10, "part")) if rows >= least), "high")
    return MonthCell(str(rows) if rows < 1000 else f"{rows // 1000}k", level, f"{rows:,} rows")
