"""The coverage page: facts as one HTML file, readable on a phone, by a screen reader and in print, without a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx.core.html import POLICY, STYLE, Cell, bullets, month_grid, table, text_of
from quantx.core.model import SEVERITIES
from quantx.core.quality import RULES

if TYPE_CHECKING:
    from quantx.pipeline.coverage import CoverageFacts

_WORST = 25  # symbols
_MOST = 200  # findings, disagreements
_NOT_CHECKED = "<p>Not checked yet.</p>"
_NO_UNIVERSE = "in no universe"


def coverage_page(facts: CoverageFacts) -> str:
    """Return the page."""
    sections = {
        "Summary": _summary(facts),
        "Freshness": _freshness(facts),
        "Completeness": _completeness(facts),
        "Rejected rows": _rejects(facts),
        "Open findings": _findings(facts),
        "Adjustment proofs": _proofs(facts),
        "Vendor agreement": _agreement(facts),
        "Known limits": bullets(facts.limits),
    }
    places = {name: name.lower().replace(" ", "-") for name in sections}
    template = Template(resources.files("quantx.pipeline").joinpath("templates", "coverage.html").read_text("utf-8"))
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


def percent(part: float, whole: float) -> str:
    """Return a share in per cent, cut and not rounded: only what is whole says 100.

    >>> percent(9999, 10000), percent(1, 1), percent(873, 1000), percent(1, 1000)
    ('99.9', '100', '87', '<1')
    """
    if part == whole:
        return "100"
    tenths = int(1000 * part / whole)
    if tenths >= 990:
        return f"{tenths / 10:.1f}"
    return "<1" if 0 < tenths < 10 else str(tenths // 10)


def _level(share: float) -> str:
    steps = ((1.0, "full"), (0.99, "high"), (0.95, "part"), (0.5, "low"))
    return next((css for least, css in steps if share >= least), "poor")


def _summary(facts: CoverageFacts) -> str:
    expected, present = (int(facts.months[c].sum()) for c in ("expected", "present"))
    fresh = (
        facts.freshness.filter(pl.col("universe").is_not_null())
        if facts.freshness["universe"].count()
        else facts.freshness
    )
    severities = Counter(row["severity"] for row in facts.findings)
    counted = ", ".join(f"{severities[s]:,} {s}" for s in SEVERITIES if severities[s])
    cards = [
        (
            "Sessions there",
            f"{percent(present, expected)} %" if expected else "–",
            f"{present:,} of {expected:,} expected",
        ),
        (
            "Members up to date",
            f"{fresh['up_to_date'].sum():,} of {fresh['members'].sum():,}",
            f"{fresh['behind'].sum():,} behind",
        ),
        ("Open findings", f"{len(facts.findings):,}", counted or "none"),
        ("Rejected rows", f"{facts.rejects['rows'].sum():,}", "a row counts under each rule that it breaks"),
    ]
    if facts.proofs is None:
        cards.append(("Adjustment proofs", "–", "not checked yet"))
    else:
        proven, against = (int(facts.proofs[c].sum()) for c in ("proven", "disagrees"))
        cards.append(("Series proven", f"{proven:,}", f"{against:,} disagree"))
    if facts.agreement is None:
        cards.append(("Vendor agreement", "–", "not checked yet"))
    else:
        agreed, compared = (int(facts.agreement[c].sum()) for c in ("agreed", "sessions"))
        cards.append(
            (
                "Vendor agreement",
                f"{percent(agreed, compared)} %" if compared else "–",
                f"of {compared:,} compared sessions",
            )
        )
    return f"<dl>{''.join(f'<div><dt>{a}</dt><dd>{b} <small>{c}</small></dd></div>' for a, b, c in cards)}</dl>"


def _freshness(facts: CoverageFacts) -> str:
    heads = {
        "universe": "universe",
        "market": "market",
        "members": "members",
        "up_to_date": "up to date",
        "behind": "behind",
        "without_bars": "without bars",
        "newest": "newest session",
        "settled": "last settled",
        "note": "",
    }
    rows = [
        row | {"universe": row["universe"] or _NO_UNIVERSE, "note": "" if row["updated"] else "not updated daily"}
        for row in facts.freshness.iter_rows(named=True)
    ]
    behind = facts.behind.head(_WORST).with_columns(pl.col("universe").fill_null(_NO_UNIVERSE))
    late = table(
        behind.iter_rows(named=True),
        _first("Members that lack the last session that is due", behind.height, facts.behind.height),
        {"universe": "universe", "symbol": "symbol", "newest": "newest session", "due": "due"},
    )
    return table(rows, "Current members by universe", heads) + (late if facts.behind.height else "")


def _completeness(facts: CoverageFacts) -> str:
    keys = "".join(
        f'<span class="key {css}">{text}</span> '
        for css, text in (
            ("full", "100"),
            ("high", "99 and more"),
            ("part", "95 and more"),
            ("low", "50 and more"),
            ("poor", "less"),
        )
    )
    parts = [f"<p>Sessions that are there, in per cent of those expected, by month. {keys}</p>"]
    for (universe, market), months in facts.months.group_by("universe", "market", maintain_order=True):
        cells = {
            row["month"]: Cell(
                percent(row["present"], row["expected"]),
                _level(row["share"]),
                f"{row['present']:,} of {row['expected']:,} sessions",
            )
            for row in months.iter_rows(named=True)
        }
        parts.append(month_grid(f"{universe or _NO_UNIVERSE} ({market})", cells))
    lacking = facts.symbols.filter(pl.col("present") < pl.col("expected"))
    rows = [
        row
        | {
            "universe": row["universe"] or _NO_UNIVERSE,
            "missing": row["expected"] - row["present"],
            "share": percent(row["present"], row["expected"]),
            "lacks_from": _month(row["lacks_from"]),
            "lacks_to": _month(row["lacks_to"]),
        }
        for row in lacking.head(_WORST).iter_rows(named=True)
    ]
    heads = {
        "symbol": "symbol",
        "missing": "missing",
        "expected": "expected",
        "share": "per cent there",
        "lacks_from": "first gap",
        "lacks_to": "last gap",
        "newest": "newest session",
        "rejected": "rejected rows",
        "universe": "universe",
    }
    parts.append(table(rows, _first("Symbols that lack most sessions", len(rows), lacking.height), heads))
    return "".join(parts)


def _rejects(facts: CoverageFacts) -> str:
    if facts.rejects.is_empty():
        return "<p>No row was rejected.</p>"
    by_rule = (
        facts.rejects.group_by("rule", "source")
        .agg(pl.col("rows").sum(), pl.col("month").min().alias("first"), pl.col("month").max().alias("last"))
        .sort("rows", "rule", "source", descending=[True, False, False])
    )
    rows = [
        row | {"first": _month(row["first"]), "last": _month(row["last"]), "meaning": _meaning(row["rule"])}
        for row in by_rule.iter_rows(named=True)
    ]
    parts = [
        table(
            rows,
            "By rule and vendor",
            {
                "rule": "rule",
                "source": "vendor",
                "rows": "rows",
                "first": "first month",
                "last": "last month",
                "meaning": "what must hold",
            },
        )
    ]
    for (source,), months in facts.rejects.group_by("source", maintain_order=True):
        summed = months.group_by("month").agg(pl.col("rows").sum()).sort("month")
        cells = {
            row["month"]: Cell(_short(row["rows"]), _amount(row["rows"]), f"{row['rows']:,} rows")
            for row in summed.iter_rows(named=True)
        }
        parts.append(month_grid(f"Rejected rows of {source} by month", cells))
    return "".join(parts)


def _findings(facts: CoverageFacts) -> str:
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
    return f'<h3>{_first(title, len(shown), len(rows))}</h3><ul class="notes">{items}</ul>'


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


def _proofs(facts: CoverageFacts) -> str:
    about = "<p>Our total-adjusted close against the vendor's, at each split and dividend.</p>"
    if facts.proofs is None or facts.disagreements is None:
        return about + _NOT_CHECKED
    heads = {
        "source": "vendor",
        "series": "series",
        "proven": "proven",
        "disagrees": "disagree",
        "nothing_to_prove": "nothing to prove",
    }
    shown = facts.disagreements.head(_MOST)
    columns = {
        "symbol": "symbol",
        "source": "vendor",
        "ex_date": "date",
        "ours": "our factor",
        "vendors": "vendor's factor",
        "verdict": "likely cause",
    }
    caption = _first("Steps that disagree", shown.height, facts.disagreements.height)
    rows = [row | {"verdict": row["verdict"].replace("_", " ")} for row in shown.iter_rows(named=True)]
    return about + table(facts.proofs.iter_rows(named=True), "Series by vendor", heads) + table(rows, caption, columns)


def _agreement(facts: CoverageFacts) -> str:
    about = "<p>Closes of two vendors for the same session, as traded: the share that agrees within the tolerance.</p>"
    if facts.agreement is None or facts.scores is None:
        return about + _NOT_CHECKED
    scores = [row | {"score": percent(row["right"], row["sessions"])} for row in facts.scores.iter_rows(named=True)]
    heads = {
        "source": "vendor",
        "market": "market",
        "year": "year",
        "sessions": "compared sessions",
        "score": "score, per cent",
    }
    scores = [row | {"year": str(row["year"])} for row in scores]
    parts = [
        about,
        table(scores, "Score of each vendor: sessions on which it agreed, or was found right", heads),
    ]
    pairs = facts.agreement.group_by("source_a", "source_b", "market", maintain_order=True)
    for (a, b, market), months in pairs:
        cells = {
            row["month"]: Cell(
                percent(row["agreed"], row["sessions"]),
                _level(row["share"]),
                f"{row['agreed']:,} of {row['sessions']:,} sessions agree, worst difference {row['worst']:.2%}",
            )
            for row in months.iter_rows(named=True)
        }
        parts.append(month_grid(f"{a} and {b} ({market})", cells))
    return "".join(parts)


def _first(title: str, shown: int, all_: int) -> str:
    return title if shown == all_ else f"{title}: the first {shown:,} of {all_:,}"


def _meaning(rule: str) -> str:
    return RULES[rule].meaning if rule in RULES else ""


def _month(number: int | None) -> str:
    return "–" if number is None else f"{number // 100}-{number % 100:02}"


def _short(count: int) -> str:
    return str(count) if count < 1000 else f"{count // 1000}k"


def _amount(count: int) -> str:
    steps = ((1000, "poor"), (100, "low"), (10, "part"))
    return next((css for least, css in steps if count >= least), "high")
