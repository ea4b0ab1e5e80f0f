"""The coverage page: facts as one HTML file, readable on a phone, by a screen reader and in print, without a request."""

from __future__ import annotations

from collections import Counter
from html import escape
from importlib import resources
from string import Template

import polars as pl

from quantx.core.html import (
    POLICY,
    SHARE_LEVELS,
    STYLE,
    bullets,
    first_of,
    month_grid,
    month_text,
    per_cent,
    share_cell,
    table,
)
from quantx.core.model import SEVERITIES
from quantx.pipeline.reporting.coverage_evidence import (
    agreement_section,
    findings_section,
    proofs_section,
    rejects_section,
)
from quantx.pipeline.reporting.coverage_facts import CoverageFacts

_WORST = 25  # symbols
_NO_UNIVERSE = "in no universe"


def coverage_page(facts: CoverageFacts) -> str:
    """Return the page."""
    sections = {
        "Summary": _summary(facts),
        "Freshness": _freshness(facts),
        "Completeness": _completeness(facts),
        "Rejected rows": rejects_section(facts),
        "Open findings": findings_section(facts),
        "Adjustment proofs": proofs_section(facts),
        "Vendor agreement": agreement_section(facts),
        "Known limits": bullets(facts.limits),
    }
    places = {name: name.lower().replace(" ", "-") for name in sections}
    template = Template(
        resources.files("quantx.pipeline.reporting").joinpath("templates", "coverage.html").read_text("utf-8")
    )
    return template.substitute(
        policy=POLICY,
        style=STYLE,
        title=escape("Coverage" + (f" of {facts.universe}" if facts.universe else "")),
        lake=escape(facts.lake),
        made_at=f"{facts.made_at:%Y-%m-%d %H:%M}",
        policy_version=facts.policy_version,
        links="".join(f'<li><a href="#{place}">{name}</a></li>' for name, place in places.items()),
        sections="\n".join(
            f'<section id="{places[name]}" aria-labelledby="{places[name]}-title">'
            f'<h2 id="{places[name]}-title">{name}</h2>\n{body}\n</section>'
            for name, body in sections.items()
        ),
    )


def _summary(facts: CoverageFacts) -> str:
    expected, present = (int(facts.months[c].sum()) for c in ("expected", "present"))
    members, up_to_date, behind = (int(facts.freshness[c].sum()) for c in ("members", "up_to_date", "behind"))
    severities = Counter(row["severity"] for row in facts.findings)
    counted = ", ".join(f"{severities[s]:,} {s}" for s in SEVERITIES if severities[s])
    proven, agreement = ("–", "not checked yet"), ("–", "not checked yet")
    if facts.proofs is not None:
        proven = f"{facts.proofs['proven'].sum():,} series", f"{facts.proofs['disagrees'].sum():,} disagree"
    if facts.agreement is not None:
        agreed, compared = (int(facts.agreement[c].sum()) for c in ("agreed", "sessions"))
        agreement = _share(agreed, compared), f"of {compared:,} compared sessions"
    cards = {
        "Sessions there": (_share(present, expected), f"{present:,} of {expected:,} expected"),
        "Members up to date": (f"{up_to_date:,} of {members:,}", f"{behind:,} behind"),
        "Open findings": (f"{len(facts.findings):,}", counted or "none"),
        "Rejected rows": (f"{facts.rejected_rows:,}", "in quarantine"),
        "Adjustments proven": proven,
        "Vendor agreement": agreement,
    }
    shown = (f"<div><dt>{name}</dt><dd>{fact} <small>{more}</small></dd></div>" for name, (fact, more) in cards.items())
    return f"<dl>{''.join(shown)}</dl>"


def _share(part: int, whole: int) -> str:
    return f"{per_cent(part, whole):g} %" if whole else "–"


def _freshness(facts: CoverageFacts) -> str:
    heads = {
        "universe": "universe",
        "market": "market",
        "members": "members",
        "up_to_date": "up to date",
        "behind": "behind",
        "delisted": "delisted",
        "without_bars": "without bars",
        "newest": "newest session",
        "settled": "last settled",
        "note": "",
    }
    rows = [
        row | {"universe": row["universe"] or _NO_UNIVERSE, "note": "" if row["updated"] else "not updated daily"}
        for row in facts.freshness.iter_rows(named=True)
    ]
    parts = [table(rows, "Current members by universe", heads)]
    for title, found, ends in (
        ("Members that lack the last session that is due", facts.behind, {"due": "due"}),
        ("Members that are delisted", facts.delisted, {"delisted_on": "delisted on"}),
    ):
        shown = found.head(_WORST).with_columns(pl.col("universe").fill_null(_NO_UNIVERSE))
        columns = {"universe": "universe", "symbol": "symbol", "newest": "newest session", **ends}
        if found.height:
            parts.append(table(shown.iter_rows(named=True), first_of(title, shown.height, found.height), columns))
    return "".join(parts)


def _completeness(facts: CoverageFacts) -> str:
    levels = ((css, f"{least} and more" if least < 100 else "100") for least, css in SHARE_LEVELS)
    keys = " ".join(f'<span class="key {css}">{text}</span>' for css, text in (*levels, ("poor", "less")))
    parts = [f"<p>Sessions that are there, in per cent of those expected, by month. {keys}</p>"]
    for (universe, market), months in facts.months.group_by("universe", "market", maintain_order=True):
        columns = months.select("month", "present", "expected").iter_rows()
        cells = {month: share_cell(present, expected, "sessions") for month, present, expected in columns}
        parts.append(month_grid(f"{universe or _NO_UNIVERSE} ({market})", cells))
    parts.append(_missing(facts.symbols))
    lacking = facts.symbols.filter(pl.col("present") < pl.col("expected"))
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
        for row in lacking.head(_WORST).iter_rows(named=True)
    ]
    heads = {
        "symbol": "symbol",
        "missing": "missing",
        "explained": "explained",
        "expected": "expected",
        "share": "per cent there",
        "lacks_from": "first gap",
        "lacks_to": "last gap",
        "newest": "newest session",
        "rejected": "rejected rows",
        "explanation": "commonest explanation",
        "universe": "universe",
    }
    parts.append(table(rows, first_of("Symbols that lack most sessions", len(rows), lacking.height), heads))
    return "".join(parts)


def _missing(symbols: pl.DataFrame) -> str:
    """Return, by universe, how many of the missing sessions somebody was asked for and are explained."""
    missing, named = pl.col("expected") - pl.col("present"), pl.col("universe").fill_null(_NO_UNIVERSE)
    counts = (
        symbols.filter(missing > 0)
        .group_by(named, "market")
        .agg(missing.sum().alias("missing"), pl.col("explained").sum())
        .sort("missing", descending=True)
    )
    return table(counts.iter_rows(named=True), "Missing sessions, and of how many it is explained why")
