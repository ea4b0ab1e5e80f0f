"""The coverage page: one self-contained HTML file, for phones, screen readers and print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from quantx.core.model import SEVERITIES
from quantx.pages.render import render_page
from quantx.pages.views import (
    SHARE_LEVELS,
    HtmlTable,
    first_of,
    month_grid,
    month_text,
    per_cent,
    share_cell,
    table_of,
)
from quantx.pipeline.reporting.coverage_evidence import agreement_view, findings_view, proof_tables, rejects_view
from quantx.pipeline.reporting.coverage_facts import CoverageFacts
from quantx.pipeline.reporting.coverage_items import item_tables
from quantx.pipeline.reporting.coverage_options import option_tables
from quantx.pipeline.reporting.coverage_rates import rate_tables

_WORST = 25  # symbols
_NO_UNIVERSE = "in no universe"
PAGE_VALUES = {
    *("title", "lake", "made_at", "policy_version", "summary", "freshness", "completeness", "rejects", "findings"),
    *("proofs", "agreement", "items", "rates", "limits", "updated"),
}


def coverage_page(facts: CoverageFacts) -> str:
    """Return the page as HTML."""
    return page_of(coverage_values(facts))


def page_of(values: Mapping[str, Any]) -> str:
    """Return the page as HTML, from the values that `coverage_values` returns."""
    return render_page("quantx.pipeline.reporting", "coverage.html", **values)


def coverage_values(facts: CoverageFacts) -> dict[str, Any]:
    """Return the values of the templates coverage.html and coverage_body.html."""
    return {
        "title": "Coverage" + (f" of {facts.universe}" if facts.universe else ""),
        "lake": facts.lake,
        "made_at": f"{facts.made_at:%Y-%m-%d %H:%M}",
        "policy_version": facts.policy_version,
        "summary": list(_summary(facts)),
        "freshness": list(_freshness(facts)),
        "completeness": _completeness(facts),
        "rejects": rejects_view(facts),
        "findings": findings_view(facts),
        "proofs": proof_tables(facts),
        "agreement": agreement_view(facts),
        "items": list(item_tables(facts.items)),
        "rates": list(rate_tables(facts.rates)),
        "options": list(option_tables(facts.options)),
        "limits": facts.limits,
        "updated": _updated(facts),
    }


def _updated(facts: CoverageFacts) -> list[str] | None:
    """Return the universes of daily updates; None where the state did not name them."""
    universes = facts.freshness
    if universes.is_empty() or universes["updated"].null_count():
        return None
    return sorted(universes.filter("updated")["universe"].drop_nulls().unique())


def _summary(facts: CoverageFacts) -> Iterable[tuple[str, str, str]]:
    """Yield the cards of the summary: name, figure, detail."""
    expected, present = (int(facts.months[c].sum()) for c in ("expected", "present"))
    yield "Completeness", _share(present, expected), f"{present:,} of {expected:,} expected sessions"
    members, up_to_date, behind = (int(facts.freshness[c].sum()) for c in ("members", "up_to_date", "behind"))
    yield "Members up to date", f"{up_to_date:,} of {members:,}", f"{behind:,} stale"
    if facts.findings is None:
        yield "Open findings", "–", "not in the lake"
    else:
        severities = Counter(row["severity"] for row in facts.findings)
        counted = ", ".join(f"{severities[s]:,} {s}" for s in SEVERITIES if severities[s])
        yield "Open findings", f"{len(facts.findings):,}", counted or "none"
    yield "Rejected rows", f"{facts.rejected_rows:,}", "in quarantine"
    proven, agreement = ("–", "not checked yet"), ("–", "not checked yet")
    if facts.proofs is not None:
        proven = f"{facts.proofs['proven'].sum():,} series", f"{facts.proofs['disagrees'].sum():,} disagree"
    if facts.agreement is not None:
        agreed, compared = (int(facts.agreement[c].sum()) for c in ("agreed", "sessions"))
        agreement = _share(agreed, compared), f"of {compared:,} compared sessions"
    yield "Adjustments proven", *proven
    yield "Vendor agreement", *agreement


def _share(part: int, whole: int) -> str:
    return f"{per_cent(part, whole):g} %" if whole else "–"


def _freshness(facts: CoverageFacts) -> Iterable[HtmlTable]:
    heads = {
        "universe": "universe",
        "market": "market",
        "members": "members",
        "up_to_date": "up to date",
        "behind": "stale",
        "delisted": "delisted",
        "without_bars": "without bars",
        "newest": "newest session",
        "settled": "last settled",
        "note": "note",
    }
    notes = {False: "not updated daily"}
    rows = [
        row | {"universe": row["universe"] or _NO_UNIVERSE, "note": notes.get(row["updated"], "")}
        for row in facts.freshness.iter_rows(named=True)
    ]
    yield table_of(rows, "Current members by universe", heads)
    for title, members, end in (
        ("Stale members", facts.behind, {"due": "due"}),
        ("Delisted members", facts.delisted, {"delisted_on": "delisted on"}),
    ):
        shown = members.head(_WORST).with_columns(pl.col("universe").fill_null(_NO_UNIVERSE))
        columns = {"universe": "universe", "symbol": "symbol", "newest": "newest session", **end}
        if members.height:
            yield table_of(shown.iter_rows(named=True), first_of(title, shown.height, members.height), columns)


def _completeness(facts: CoverageFacts) -> dict[str, Any]:
    levels = [(css, f"{least} and more" if least < 100 else "100") for least, css in SHARE_LEVELS]
    grids = []
    for (universe, market), months in facts.months.group_by("universe", "market", maintain_order=True):
        columns = months.select("month", "present", "expected").iter_rows()
        cells = {month: share_cell(present, expected, "sessions") for month, present, expected in columns}
        grids.append(month_grid(f"{universe or _NO_UNIVERSE} ({market})", cells))
    tables = [_missing(facts.symbols), _most_missing(facts.symbols)]
    return {"levels": [*levels, ("poor", "less")], "grids": grids, "tables": tables}


def _most_missing(symbols: pl.DataFrame) -> HtmlTable:
    incomplete = symbols.filter(pl.col("present") < pl.col("expected"))
    rows = [
        row
        | {
            "universe": row["universe"] or _NO_UNIVERSE,
            "missing": row["expected"] - row["present"],
            "share": per_cent(row["present"], row["expected"]),
            "explanation": (row["explanation"] or "–").replace("_", " "),
            "lacks_from": month_text(row["lacks_from"]),
            "lacks_to": month_text(row["lacks_to"]),
        }
        for row in incomplete.head(_WORST).iter_rows(named=True)
    ]
    heads = {
        "symbol": "symbol",
        "missing": "missing",
        "explained": "explained",
        "expected": "expected",
        "share": "completeness, %",
        "lacks_from": "first gap",
        "lacks_to": "last gap",
        "newest": "newest session",
        "rejected": "rejected rows",
        "explanation": "most frequent explanation",
        "universe": "universe",
    }
    return table_of(rows, first_of("Symbols with most missing sessions", len(rows), incomplete.height), heads)


def _missing(symbols: pl.DataFrame) -> HtmlTable:
    """Return the missing and the explained sessions by universe."""
    missing, named = pl.col("expected") - pl.col("present"), pl.col("universe").fill_null(_NO_UNIVERSE)
    counts = (
        symbols.filter(missing > 0)
        .group_by(named, "market")
        .agg(missing.sum().alias("missing"), pl.col("explained").sum())
        .sort("missing", descending=True)
    )
    return table_of(counts.iter_rows(named=True), "Missing sessions, and how many of them are explained")
