"""An explanation of a value of an option contract, as the command, a notebook and JSON show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from quantx.reader.explain.facts import Fact
from quantx.reader.explain.reply import ReplyEvidence
from quantx.reader.explain.screen import ScreenSection, html_of, instant, text_of


@dataclass(frozen=True, kw_only=True, repr=False)
class OptionValue:
    """Why a contract has its value, or why it has none (`row` is None; see `absence`). Instants are UTC."""

    subject: str  # as in `SPY250808C00630000 2025-08-06 14:31 UTC`
    table: str
    contract: str
    day: date
    field: str
    value: float | None
    source: str | None
    known_from: datetime | None
    row: Fact | None
    reply: ReplyEvidence | None = None  # the raw object of the archive's member
    member: Mapping[str, Any] | None = None  # archive, member, size, sha256, as recorded at the import
    terms: Fact | None = None  # of the contract: multiplier, deliverable, settlement
    rules: Sequence[str] = ()  # that the row passed
    revisions: Sequence[Fact] = ()  # values that this system replaced
    rejected: Sequence[Fact] = ()
    findings: Sequence[Fact] = ()
    absence: Sequence[str] = ()

    def as_facts(self) -> dict[str, Any]:
        """Return all parts as plain values for JSON, without the member's bytes."""
        facts = asdict(self)
        if facts["reply"] is not None:
            del facts["reply"]["body"]
        return facts

    def headline(self) -> str:
        """Return the value with its source in one line."""
        if self.row is None:
            return f"{self.subject}: no {self.field}"
        shown = "undefined" if self.value is None else f"{self.value:g}"
        return f"{self.subject}: {self.field} {shown}, from {self.source}, known since {instant(self.known_from)}"

    def sections(self) -> list[ScreenSection]:
        """Return the sections of the explanation; the last one names the parts of which there is nothing."""
        parts = {
            "Why there is none": list(self.absence),
            "Contract": [] if self.terms is None else [_terms(self.terms)],
            "Archive": self._archive(),
            "Rules that the row passed": [", ".join(self.rules)] if self.rules and self.row is not None else [],
            "Rejected rows": [f"{each['rules']}: {each['row']}" for each in self.rejected],
            "Earlier values": [self._revision(each) for each in self.revisions],
            "Findings": [f"{f['severity']} {f['rule']} ({f['status']}): {f['message']}" for f in self.findings],
        }
        found = [ScreenSection(title, lines) for title, lines in parts.items() if lines]
        nothing = [title.lower() for title in ("Rejected rows", "Earlier values", "Findings") if not parts[title]]
        return [*found, *([ScreenSection("Nothing recorded", [", ".join(nothing)])] if nothing else [])]

    def _archive(self) -> list[str]:
        if self.reply is None:
            return []
        if self.member is None:
            return [f"raw object {self.reply.raw}: {self.reply.problem}"]
        return [
            f"{self.member['member']} of {self.member['archive']}, {self.member['size']:,} bytes",
            f"SHA-256 {self.member['sha256']}",
            f"raw object {self.reply.path}",
        ]

    def _revision(self, row: Fact) -> str:
        value = row[self.field]
        shown = "undefined" if value is None else f"{value:g}"
        return f"from {instant(row['known_from'])} until {instant(row['known_to'])}: {shown}; raw object {row['raw']}"

    def __repr__(self) -> str:
        """Return the explanation as the command shows it."""
        return text_of(self.headline(), self.sections())

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return html_of(self.headline(), self.sections())


def _terms(terms: Fact) -> str:
    units = "unknown" if terms["multiplier"] is None else f"{terms['multiplier']:g}"
    return (
        f"multiplier {units}, deliverable {terms['deliverable'] or 'unknown'},"
        f" settlement {terms['settlement'] or 'unknown'}"
    )
