"""An explanation as lines in sections: the one form that the terminal, a repr and a notebook show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from quantx.core.prices import PRICES
from quantx.reader.explain.facts import ActionEffect, Adjustment, ExplanationFacts, RuleResults
from quantx.reader.explain.reply import ReplyEvidence

_FIELDS = (*PRICES, "volume")
_ID = 10  # of an id's 64 digits
_MOST = 12  # actions on the screen


@dataclass(frozen=True)
class ScreenSection:
    """A title and its lines."""

    title: str
    lines: Sequence[str]


def sections(facts: ExplanationFacts) -> list[ScreenSection]:
    """Return the sections of an explanation; the last one names the parts of which there is nothing."""
    parts = {
        "Why there is none": [line for reason in facts.absence for line in _reason(reason)],
        "Reply": reply_lines(facts.reply),
        "Rules": _rules(facts.rules),
        "Rejected rows of the day": [line for row in facts.rejected for line in _rejected(row)],
        "Earlier values": [_revision(row) for row in facts.revisions],
        "Other vendors": [*_others(facts), *map(_verdict, facts.verdicts), *map(_agreement, facts.agreements)],
        "Adjustment": _adjustment(facts.adjustment),
        "Findings": [f"{f['severity']} {f['rule']} ({f['status']}): {f['message']}" for f in facts.findings],
    }
    found = [ScreenSection(title, lines) for title, lines in parts.items() if lines]
    optional = ("Rejected rows of the day", "Earlier values", "Other vendors", "Findings")
    nothing = [title.lower() for title in optional if not parts[title]]
    return [*found, *([ScreenSection("Nothing recorded", [", ".join(nothing)])] if nothing else [])]


def headline(facts: ExplanationFacts) -> str:
    """Return the value with its source in one line."""
    if facts.row is None:
        return f"{facts.subject}: no {facts.field}"
    unit = "" if facts.field == "volume" else facts.currency or ""
    value = f"{facts.field} {number(facts.value)} {unit}".rstrip()
    symbol = "" if facts.stored_symbol == facts.symbol else f" as {facts.stored_symbol}"
    return f"{facts.subject}: {value}, as traded, from {facts.source}{symbol}, known since {instant(facts.known_from)}"


def text_of(head: str, parts: Iterable[ScreenSection]) -> str:
    """Return a headline and sections as text."""
    lines = [head]
    for section in parts:
        lines += [section.title, *(f"  {line}" for line in section.lines)]
    return "\n".join(lines)


def html_of(head: str, parts: Iterable[ScreenSection]) -> str:
    """Return a headline and sections as HTML."""
    body = "".join(
        f"<tr><th style='text-align:left;vertical-align:top'>{escape(section.title)}</th><td style='text-align:left'>"
        f"{'<br>'.join(escape(line) for line in section.lines)}</td></tr>"
        for section in parts
    )
    return f"<div><b>{escape(head)}</b><table>{body}</table></div>"


def number(value: float | int | None) -> str:
    """Return a number as the lake has it, or a dash."""
    return "–" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.10g}"


def instant(value: datetime | None) -> str:
    """Return an instant in UTC."""
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _values(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{c} {number(row[c])}" for c in _FIELDS)


def reply_lines(reply: ReplyEvidence | None) -> list[str]:
    """Return the lines about a reply and the place of the value in it."""
    if reply is None:
        return []
    lines = [f"raw object {reply.path or reply.raw}" + ("" if reply.row is None else f", row {reply.row}")]
    if reply.sha256 is not None:
        lines.append(f"SHA-256 {reply.sha256}, {reply.size:,} bytes, {reply.content_type}")
        lines.append(f"{reply.request}: HTTP {reply.status}, fetched {instant(reply.fetched_at)}")
    if reply.place is not None:
        lines.append(f"{reply.place}: {_as_sent(reply)}")
        lines += [f"  {line}" for line in (reply.text or "").splitlines()]
    return lines if reply.problem is None else [*lines, reply.problem]


def _as_sent(reply: ReplyEvidence) -> str:
    if reply.sent is None:
        return "the row's stamp; its values were converted, or are elsewhere in the reply"
    if len(reply.sent) == 1:
        return "the reply has the value"
    if reply.ratio == 1:
        return "the reply has all five values as traded"
    return f"the reply has all five values, split-adjusted: prices × {number(reply.ratio)} are as traded"


def _rules(rules: RuleResults | None) -> list[str]:
    if rules is None or not rules.results:
        return []
    heads = {
        "passed": f"passes rules version {rules.policy}, evaluated now",
        "checked": "checked when the row was curated",
        "overridden": "broken, and accepted by a manual decision",
        "broken": "broken by rules newer than the row; `quantx reprocess` applies them",
    }
    lines = []
    for state, head in heads.items():
        named = [
            f"{r.id} ({r.meaning})" if state in ("overridden", "broken") else r.id
            for r in rules.results
            if r.state == state
        ]
        if named:
            lines.append(f"{head}: {', '.join(named)}")
    return lines


def _reason(reason: str) -> Iterator[str]:
    first, *evidence = reason.splitlines()
    yield first
    yield from (f"  {line}" for line in evidence)


def _rejected(row: Mapping[str, Any]) -> Iterator[str]:
    by = f" by {row['by']}: {row['reason']}" if row["by"] else ""
    rules = row["rules"].replace(",", ", ")
    yield f"{row['id'][:_ID]} {row['source']} {row['dataset']}, {row['state']}{by}; rules {rules}"
    yield f"  {row['row']}"


def _revision(row: Mapping[str, Any]) -> str:
    withdrawn = row["known_from"] == row["known_to"]
    period = "withdrawn by reprocessing" if withdrawn else f"until {instant(row['known_to'])}"
    return f"from {instant(row['known_from'])} {period}: {_values(row)}; raw object {row['raw']}"


def _others(facts: ExplanationFacts) -> Iterator[str]:
    for row in facts.others:
        apart = "" if row["difference"] is None else f"; {facts.field} {row['difference']:+.4%}"
        yield f"{row['source']}: {_values(row)} {row['currency'] or ''}{apart}"


def _verdict(row: Mapping[str, Any]) -> str:
    values = f"{row['field']} {number(row['value'])} against {number(row['other_value'])}"
    why = f"{row['rule']}, against {row['against']}, decided by {row['decided_by']}"
    return f"verdict: {row['source']} is {row['verdict']} ({why}): {values}"


def _agreement(row: Mapping[str, Any]) -> str:
    pair = f"{row['source_a']} and {row['source_b']}"
    return f"{pair} agree on {row['agreed']} of {row['sessions']} sessions of {row['month']}: {row['verdict']}"


def _adjustment(adjustment: Adjustment | None) -> list[str]:
    if adjustment is None:
        return []
    if not adjustment.actions:
        return ["no later split or dividend is known: adjusted values are those as traded"]
    shown = adjustment.actions[-_MOST:]
    before = adjustment.actions[:-_MOST]
    lines = [f"{len(before)} actions from {before[0].ex_date} to {before[-1].ex_date}, and"] if before else []
    lines += [_action(action) for action in shown]
    lines.append(f"split-adjusted (× {number(adjustment.split_factor)}): {_values(adjustment.split)}")
    lines.append(f"total-adjusted (× {number(adjustment.total_factor)}): {_values(adjustment.total)}")
    return lines


def _action(action: ActionEffect) -> str:
    what = f"{action.ex_date} {action.kind} {number(action.value)}"
    if action.kind != "split":
        close = "" if action.reference_close is None else f" / close before {number(action.reference_close)}"
        what = f"{what} {action.currency or ''}{close}"
    effect = "moves no price" if action.factor is None else f"× {number(action.factor)}"
    doubts = [f"proof {action.proof}"] if action.proof else []
    doubts += [f"verdict {action.verdict}"] if action.verdict else []
    return f"{what}: {effect} ({', '.join([action.source, *doubts])})"
