"""The port of findings, and its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, Protocol

from quantx.core.model import Finding
from quantx.state.values import Row

ClosedStatus = Literal["acknowledged", "resolved"]


@dataclass(frozen=True)
class OpenFinding(Finding):
    """A finding that is open, with its id in the state."""

    id: int = field(kw_only=True)
    facts: Mapping[str, Any] = field(default_factory=dict)  # as JSON: days and instants are texts


class Findings(Protocol):
    """Findings about the data or the system's own work. One is open until it is acknowledged or resolved."""

    def note(self, findings: Sequence[Finding]) -> int:
        """Record findings; return how many are new.

        A finding with the same rule, subject, source, dataset and first day is the same one: its message and facts are
        replaced, and a resolved one is open again. An acknowledged one stays acknowledged, unless `times` in its facts
        has grown: then it is open again and keeps its former reason.
        """
        ...

    def resolve(self, rule: str, subjects: Collection[str], reason: str) -> int:
        """Resolve the open findings of a rule about these subjects; return how many."""
        ...

    def restate(
        self,
        rules: Collection[str],
        source: str | None,
        dataset: str | None,
        findings: Sequence[Finding],
        reason: str,
        subjects: Collection[str] | None = None,
        days: Mapping[str, tuple[date, date]] | None = None,
    ) -> tuple[int, int]:
        """Record all current findings of these rules in a dataset of a source (None: any); return the new and resolved.

        Open findings that are not among them are resolved with that `reason`. With `subjects`, only those about these
        subjects are. With `days`, only those about its subjects whose first and last day lie within the subject's days.
        """
        ...

    def close(self, finding_id: int, status: ClosedStatus, by: str, reason: str) -> bool:
        """Acknowledge or resolve a finding; return False if no such finding exists or it has that status already."""
        ...

    def open(
        self,
        rule: str,
        source: str | None = None,
        dataset: str | None = None,
        subjects: Collection[str] | None = None,
    ) -> list[OpenFinding]:
        """Return all open findings of a rule by subject, source, dataset and first day; None: any of them."""
        ...

    def listed(
        self,
        limit: int | None,
        *,
        status: str | None = None,
        rule: str | None = None,
        subject: str | None = None,
        source: str | None = None,
        severity: str | None = None,
        offset: int = 0,
    ) -> list[Row]:
        """Return findings as rows for display, by severity and the latest first, without the first `offset` ones.

        limit None: all of them.
        """
        ...

    def find(self, finding_id: int) -> Row | None:
        """Return a finding as `listed` does."""
        ...

    def count(self, *, subject: str | None = None, source: str | None = None) -> list[Row]:
        """Return the number of findings by rule, status and severity: rule, status, severity, findings."""
        ...

    def count_open(self) -> dict[str, int]:
        """Return the number of open findings by severity."""
        ...
