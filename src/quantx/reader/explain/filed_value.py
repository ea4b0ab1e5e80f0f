"""An explanation of a fact, or of a concept made of facts, as the command, a notebook and JSON show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from quantx.reader.explain.facts import Fact
from quantx.reader.explain.reply import ReplyEvidence
from quantx.reader.explain.screen import ScreenSection, html_of, instant, reply_lines, text_of


@dataclass(frozen=True, kw_only=True)
class FactOperand:
    """A fact that a value is made of, with the sign with which it counts."""

    sign: int
    taxonomy: str | None
    tag: str
    unit: str | None
    start: date | None  # None: a balance
    end: date
    value: float
    form: str | None
    accession: str | None
    public_at: datetime | None  # UTC
    public_how: str | None
    revision: str | None  # the class of its change against the filing before; None: the first report
    reply: ReplyEvidence | None


@dataclass(frozen=True, kw_only=True, repr=False)
class FiledValue:
    """Why a fact or a concept has its value, or why it has none (`row` is None; `absence` has the reasons).

    Instants are in UTC. `as_facts()` gives everything but the replies' bytes for JSON; the repr is what the command
    shows.
    """

    subject: str  # as in `AAPL 2024-09-28`
    table: str
    symbol: str  # as requested
    filer: str | None  # the series in the lake
    day: date  # the last day of the period
    field: str
    value: float | None
    unit: str | None
    source: str | None
    public_at: datetime | None
    known_from: datetime | None
    row: Fact | None
    operands: Sequence[FactOperand] = ()
    declaration: Fact | None = None  # of the concept: its tags and what decides among them
    versions: Sequence[Fact] = ()  # all values of the period in the order in which they became public
    revisions: Sequence[Fact] = ()  # values that this system replaced
    others: Sequence[Fact] = ()  # values of other sources
    findings: Sequence[Fact] = ()
    absence: Sequence[str] = ()

    @property
    def reply(self) -> ReplyEvidence | None:
        """Return the reply of the last operand that has one."""
        return next((each.reply for each in reversed(self.operands) if each.reply is not None), None)

    def as_facts(self) -> dict[str, Any]:
        """Return all parts as plain values for JSON, without the replies' bytes."""
        facts = asdict(self)
        for operand in facts["operands"]:
            if operand["reply"] is not None:
                del operand["reply"]["body"]
        return facts

    def headline(self) -> str:
        """Return the value with its source in one line."""
        if self.row is None:
            return f"{self.subject}: no {self.field}"
        value = "no value" if self.value is None else f"{amount(self.value)} {self.unit or ''}".rstrip()
        public = f"public since {instant(self.public_at)}, known since {instant(self.known_from)}"
        return f"{self.subject}: {self.field} {value}, from {self.source} ({self.filer}), {public}"

    def sections(self) -> list[ScreenSection]:
        """Return the sections of the explanation; the last one names the parts of which there is nothing."""
        parts = {
            "Why there is none": list(self.absence),
            "Value": [] if self.row is None else _value(self.row),
            "Filings": [line for each in self.operands for line in _operand(each)],
            "Concept": [] if self.declaration is None else _declaration(self.declaration),
            "Versions": [_version(each) for each in self.versions],
            "Earlier values": [_revision(each) for each in self.revisions],
            "Other sources": [
                f"{each['source']}: {amount(each['value'])} {each['unit'] or ''}" for each in self.others
            ],
            "Findings": [f"{f['severity']} {f['rule']} ({f['status']}): {f['message']}" for f in self.findings],
        }
        found = [ScreenSection(title, lines) for title, lines in parts.items() if lines]
        nothing = [title.lower() for title in ("Earlier values", "Other sources", "Findings") if not parts[title]]
        return [*found, *([ScreenSection("Nothing recorded", [", ".join(nothing)])] if nothing else [])]

    def __repr__(self) -> str:
        """Return the explanation as the command shows it."""
        return text_of(self.headline(), self.sections())

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return html_of(self.headline(), self.sections())


def _value(row: Mapping[str, Any]) -> list[str]:
    start = row.get("start")
    lines = [f"period {'at' if start is None else f'{start} to'} {row['end']}"]
    if row.get("origin"):
        lines.append(f"{row['origin']}, tag {row['tag']}")
    if row.get("reason"):
        lines.append(f"reason: {row['reason']}")
    return lines


def _operand(each: FactOperand) -> list[str]:
    period = f"at {each.end}" if each.start is None else f"{each.start} to {each.end}"
    change = "" if each.revision is None else f", change {each.revision}"
    taxonomy = "" if each.taxonomy is None else f"{each.taxonomy}:"
    head = f"{'-' if each.sign < 0 else '+'} {amount(each.value)} {each.unit or ''}: {taxonomy}{each.tag}, {period}"
    how = "" if each.public_how is None else f" ({each.public_how})"
    filing = f"{each.form or 'filing'} {each.accession}, public since {instant(each.public_at)}{how}{change}"
    return [head, f"  {filing}", *(f"  {line}" for line in reply_lines(each.reply))]


def _declaration(about: Mapping[str, Any]) -> list[str]:
    lines = [f"{about['name']}: {about['title']}; {about['rule']} decides among the tags"]
    lines += [f"{taxonomy}: {', '.join(tags)}" for taxonomy, tags in about["tags"].items()]
    lines += [f"else {formula}" for formula in about["formulas"]]
    return [*lines, about["notes"]] if about["notes"] else lines


def _version(row: Mapping[str, Any]) -> str:
    change = "" if row.get("revision") is None else f", {row['revision']}"
    form = "" if row.get("form") is None else f"{row['form']} "
    return f"{instant(row['public_at'])}: {amount(row['value'])}, {form}{row['accession']}{change}"


def _revision(row: Mapping[str, Any]) -> str:
    return (
        f"from {instant(row['known_from'])} until {instant(row['known_to'])}: {amount(row['value'])}, filing"
        f" {row['accession']}; raw object {row['raw']}"
    )


def amount(value: float | None) -> str:
    """Return a value as the lake has it, in full, or a dash."""
    return "–" if value is None else f"{value:,.0f}" if value.is_integer() else f"{value:,.10g}"
