"""Findings about events: recorded with each reply, and resolved when the vendor corrects its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from quantx.core.model import Finding
from quantx.core.quality.event_rules import EVENT_RULES
from quantx.core.quality.evidence_rules import DOUBT_RULES
from quantx.core.tables import ACTIONS
from quantx.state.findings.port import Findings

_RULES = [rule.id for rule in (*EVENT_RULES, *DOUBT_RULES)]
_GONE = "the vendor's events do not show it any more"


@dataclass(frozen=True, kw_only=True)
class EventFindings:
    """The findings of replies about events, and the days over which the replies list them."""

    found: Sequence[Finding] = ()
    spans: Mapping[str, tuple[date, date]] = field(default_factory=dict)  # by symbol
    all_days: bool = False  # the replies list all events of their symbols, whatever the days

    def note(self, findings: Findings, source: str) -> None:
        """Record the findings; resolve earlier ones that the replies do not show any more."""
        if not self.spans:
            findings.note(self.found)
        elif self.all_days:
            findings.restate(_RULES, source, ACTIONS.name, self.found, _GONE, list(self.spans))
        else:
            findings.restate(_RULES, source, ACTIONS.name, self.found, _GONE, days=self.spans)
