"""What the state promises of findings, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Literal, Protocol

from quantx.core.model import Finding
from quantx.state.values import Row

Settlement = Literal["acknowledged", "resolved"]


class Findings(Protocol):
    """What was noticed about data or the system's own work: open until it is acknowledged or resolved."""

    def note(self, findings: Sequence[Finding]) -> int:
        """Record findings; return how many are new.

        One with the same rule, subject, source, dataset and first day is seen again: its words and figures are
        replaced, and it is open again where it had been resolved. An acknowledged one stays so, unless `times` in its facts
        has grown: then it is open again, and keeps the reason of before.
        """
        ...

    def resolve(self, rule: str, subjects: Collection[str], reason: str) -> int:
        """Settle the open findings of a rule about these subjects, since it does not hold any more; how many."""
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
        """Record all that these rules find now in a dataset of a source (None: any); return how many are new, and resolved.

        What is open and is not found any more is resolved for that `reason`; with `subjects`, only what is about these.
        With `days`, only what is about its subjects and lies, from its first to its last day, between those two days.
        """
        ...

    def settle(self, finding_id: int, status: Settlement, by: str, reason: str) -> bool:
        """Acknowledge or resolve a finding on somebody's word; False where there is none that is not settled so."""
        ...

    def listed(
        self, most: int, *, status: str | None = None, rule: str | None = None, subject: str | None = None
    ) -> list[Row]:
        """Return findings for people, the worst and newest first."""
        ...

    def count_open(self) -> dict[str, int]:
        """Return how many findings are open, by severity."""
        ...
