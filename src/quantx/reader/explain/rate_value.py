"""An explanation of a published rate, as the command, a notebook and JSON show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from quantx.reader.explain.facts import Fact
from quantx.reader.explain.reply import ReplyEvidence
from quantx.reader.explain.screen import ScreenSection, html_of, instant, reply_lines, text_of


@dataclass(frozen=True, kw_only=True, repr=False)
class RateValue:
    """Why a rate has its value, or why there is none (`row` is None; `absence` has the reasons). Instants are UTC."""

    subject: str  # as in `UST 2020-03-09`
    table: str
    symbol: str
    day: date
    field: str
    value: float | None
    unit: str | None
    source: str | None
    public_at: datetime | None
    known_from: datetime | None
    row: Fact | None
    reply: ReplyEvidence | None = None
    revisions: Sequence[Fact] = ()  # values that this system replaced
    rejected: Sequence[Fact] = ()
    findings: Sequence[Fact] = ()
    absence: Sequence[str] = ()

    def as_facts(self) -> dict[str, Any]:
        """Return all parts as plain values for JSON, without the reply's bytes."""
        facts = asdict(self)
        if facts["reply"] is not None:
            del facts["reply"]["body"]
        return facts

    def headline(self) -> str:
        """Return the value with its source in one line."""
        if self.row is None:
            return f"{self.subject}: no {self.field}"
        public = f"public since {instant(self.public_at)}, known since {instant(self.known_from)}"
        return f"{self.subject}: {self.field} {self.value:g} {self.unit}, from {self.source}, {public}"

    def sections(self) -> list[ScreenSection]:
        """Return the sections of the explanation; the last one names the parts of which there is nothing."""
        parts = {
            "Why there is none": list(self.absence),
            "Document": [] if self.row is None else reply_lines(self.reply),
            "Rejected rows": [f"{each['rules']}: {each['row']}" for each in self.rejected],
            "Earlier values": [_revision(each) for each in self.revisions],
            "Findings": [f"{f['severity']} {f['rule']} ({f['status']}): {f['message']}" for f in self.findings],
        }
        found = [ScreenSection(title, lines) for title, lines in parts.items() if lines]
        nothing = [title.lower() for title in ("Rejected rows", "Earlier values", "Findings") if not parts[title]]
        return [*found, *([ScreenSection("Nothing recorded", [", ".join(nothing)])] if nothing else [])]

    def __repr__(self) -> str:
        """Return the explanation as the command shows it."""
        return text_of(self.headline(), self.sections())

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return html_of(self.headline(), self.sections())


def _revision(row: Fact) -> str:
    value = row.get("value", row.get("rate"))
    return f"from {instant(row['known_from'])} until {instant(row['known_to'])}: {value:g}; raw object {row['raw']}"
