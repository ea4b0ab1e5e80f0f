"""The findings: by rule, severity, subject and vendor; one with its rule, facts and neighbours; acknowledge.

Without the database, the findings that the lake publishes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.core.model import SEVERITIES
from quantx.core.quality import FINDING_RULES
from quantx.core.tables import FINDINGS
from quantx.dashboard.actions import Action, Form
from quantx.dashboard.context import Dashboard
from quantx.dashboard.filters import PAGE_ROWS, Filter, Filters, filters_of, number_of, page_links
from quantx.dashboard.lake_rows import collected
from quantx.dashboard.neighbours import neighbours, stored_bars
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.tables import ShownCell, ShownColumn, ShownTable, days_of_row, shortened, shown_table
from quantx.errors import NotInLake
from quantx.pages.views import text_of
from quantx.reader.lake import Lake
from quantx.state.values import Row

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

_STATUSES = ("open", "acknowledged", "resolved")
_FILTERS = (
    Filter("status", "status", tuple((each, each) for each in _STATUSES)),
    Filter("severity", "severity", tuple((each, each) for each in SEVERITIES)),
    Filter("rule", "rule"),
    Filter("subject", "subject"),
    Filter("source", "vendor"),
)
_MOST_RULES = 30  # in the table of counts
Found = tuple[list[Row], list[Row]]  # the findings of a page; counts by rule, status and severity


def finding_address(row: Mapping[str, Any]) -> str:
    """Return the address of a finding's page; of one that only the lake has, no address."""
    return "" if row["id"] is None else f"/findings/{row['id']}"


def findings_table(rows: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the table of findings, the worst and newest first."""
    columns = [
        ShownColumn("severity", level=True),
        ShownColumn("subject", link=finding_address),
        ShownColumn("rule"),
        ShownColumn("source", "vendor", value=lambda row: row["source"] or "–"),
        ShownColumn("days", value=days_of_row),
        ShownColumn("status", level=True),
        ShownColumn("last_seen", "last seen (UTC)"),
        ShownColumn("message", text=True),
    ]
    return shown_table(rows, "findings, the worst and newest first", columns)


def rules_table(counts: Sequence[Mapping[str, Any]], filters: Filters) -> ShownTable:
    """Return the number of findings by rule, the most open first, with links to the lists."""
    by_rule: dict[str, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(_STATUSES, 0))
    for row in counts:
        by_rule[row["rule"]][row["status"]] += row["findings"]
        by_rule[row["rule"]] |= {"rule": row["rule"], "severity": row["severity"]}
    most = sorted(by_rule.values(), key=lambda row: (-row["open"], row["rule"]))[:_MOST_RULES]
    columns = [
        ShownColumn("rule", link=lambda row: filters.address(rule=row["rule"], status=None)),
        ShownColumn("severity", level=True),
        *(ShownColumn(name) for name in _STATUSES),
        ShownColumn("meaning", value=lambda row: meaning_of(row["rule"])[0], text=True),
    ]
    return shown_table(most, "rules with findings", columns)


def meaning_of(rule: str) -> tuple[str, str]:
    """Return the meaning of a rule, and the damage that such data does."""
    known = FINDING_RULES.get(rule)
    return (known.meaning, known.why) if known else ("a rule that this program does not know", "")


def counted(counts: Sequence[Mapping[str, Any]], filters: Filters) -> int:
    """Return the number of findings that the filters choose, from the counts by rule, status and severity."""
    wanted = {name: filters.get(name) for name in ("rule", "status", "severity")}
    return sum(row["findings"] for row in counts if all(v in (None, row[k]) for k, v in wanted.items()))


def published(lake: Lake, filters: Filters) -> Found:
    """Return a page of the findings that the lake publishes (open and acknowledged), and their counts."""
    known = lake.scan(FINDINGS.name)
    for column, name in (("subject", "subject"), ("source", "source")):
        if (value := filters.get(name)) is not None:
            known = known.filter(pl.col(column) == value)
    chosen = known
    for name in ("status", "severity", "rule"):
        if (value := filters.get(name)) is not None:
            chosen = chosen.filter(pl.col(name) == value)
    order = pl.col("severity").replace_strict({each: i for i, each in enumerate(SEVERITIES)}, default=len(SEVERITIES))
    page = chosen.sort(order, pl.col("known_from"), descending=[False, True]).slice(filters.offset, PAGE_ROWS)
    counts = known.group_by("rule", "status", "severity").agg(pl.len().alias("findings"))
    rows = collected(page.with_columns(pl.lit(None).alias("id"), pl.col("known_from").alias("last_seen")))
    return rows.to_dicts(), collected(counts).to_dicts()


def finding_facts(row: Mapping[str, Any]) -> list[tuple[str, ShownCell]]:
    """Return the facts of a finding."""
    closed = None if row["status"] == "open" else f"{row['settled_by']} at {text_of(row['settled_at'])}"
    texts = {
        "subject": row["subject"],
        "severity": row["severity"],
        "status": row["status"],
        "rule": row["rule"],
        "vendor": row["source"] or None,
        "dataset": row["dataset"] or None,
        "days": days_of_row(row),
        "first seen (UTC)": row["first_seen"],
        "last seen (UTC)": row["last_seen"],
        "closed by": closed,
        "reason": row["reason"],
    }
    facts = row["facts"] if isinstance(row["facts"], Mapping) else json.loads(row["facts"] or "{}")
    more = {name.replace("_", " "): shortened(fact_text(value), 400) for name, value in facts.items()}
    return [(name, ShownCell(text_of(value))) for name, value in (texts | more).items() if value is not None]


def fact_text(value: object) -> str:
    """Return a fact as a person reads it, also one of several parts.

    >>> fact_text([{"first": "2026-09-28", "sessions": 1}, {"first": "2026-10-02", "sessions": 2}])
    'first 2026-09-28, sessions 1; first 2026-10-02, sessions 2'
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {fact_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(fact_text, value)) or "–"
    return text_of(value)


def list_findings(request: Request, dashboard: Dashboard) -> Response:
    """Return a page of findings, and the counts by rule."""
    filters = filters_of(request, *_FILTERS)
    found = dashboard.from_state(lambda platform: _found(platform, filters))
    no_database = dashboard.no_database if found is None else ""
    rows, counts = published(dashboard.lake, filters) if found is None else found
    opened = [row for row in rows if row["status"] == "open" and row["id"] is not None]
    return rendered(
        request,
        "findings.html",
        title="Findings",
        filters=filters,
        no_database=no_database,
        table=findings_table(rows),
        rules=rules_table(counts, filters),
        links=page_links(filters, len(rows), counted(counts, filters)),
        opened=[(row["id"], shortened(f"{row['subject']}: {row['rule']} {days_of_row(row)}", 100)) for row in opened],
    )


def show_finding(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of a finding: its message, its rule, its facts, and the sessions around its days."""
    text = request.path_params["finding"]
    number = number_of(text)
    if number is None:
        raise NotInLake("a finding has a number; the list of findings has all of them")
    found = dashboard.from_state(lambda platform: (platform.state.findings.find(number),))
    if found == (None,):
        raise NotInLake(f"there is no finding {text}; the list of findings has all of them")
    row = found[0] if found else None
    meaning, why = meaning_of(row["rule"]) if row else ("", "")
    return rendered(
        request,
        "finding.html",
        title=f"Finding {text}",
        no_database="" if found else dashboard.no_database,
        row=row,
        facts=finding_facts(row) if row else [],
        meaning=meaning,
        why=why,
        around=_around(dashboard.lake, row) if row and row["last_day"] else None,
        series=f"/series?symbol={quote(row['subject'], safe='')}" if row else "",
        rejected=f"/quarantine?{urlencode({'symbol': row['subject']})}" if row else "",
    )


def _around(lake: Lake, row: Mapping[str, Any]) -> Any:
    days = row["first_day"] or row["last_day"], row["last_day"]
    bars = stored_bars(lake, row["subject"], row["source"], *days)
    return None if bars is None or bars.is_empty() else neighbours(bars, row["subject"], days)


def _found(platform: Platform, filters: Filters) -> Found:
    findings = platform.state.findings
    wanted = {each.name: filters.get(each.name) for each in _FILTERS}
    rows = findings.listed(PAGE_ROWS, offset=filters.offset, **wanted)
    return rows, findings.count(subject=filters.get("subject"), source=filters.get("source"))


def _acknowledge(platform: Platform, form: Form) -> str:
    from quantx.pipeline.inspecting.acknowledge import acknowledge

    changed = acknowledge(platform, form.numbers("finding"), form.actor, form.reason)
    return "the finding is acknowledged" if changed == 1 else f"{changed:,} findings are acknowledged"


PAGES = (
    WebPage(path="/findings", title="Findings", handler=list_findings),
    WebPage(path="/findings/{finding}", handler=show_finding),
)
ACTIONS = (Action(name="findings.acknowledge", label="Acknowledge", run=_acknowledge, fields=("finding",)),)
