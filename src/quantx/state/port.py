"""The port of the state: one part per noun, the binding to a lake, and the roles.

One database holds it all. Leases, quotas and stored instants use its clock only. Each method is one transaction: it
takes effect as a whole or not at all. Every method may raise StateError. Its effect is then unknown, and a repeated
call with the same arguments does no harm.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

from quantx.state.alerts.port import AlertFacts, Alerts, JobOutcomes
from quantx.state.audit.port import Audit
from quantx.state.deletions.port import Deletions
from quantx.state.findings.port import Findings
from quantx.state.gaps.port import Gaps
from quantx.state.instruments.port import Instruments
from quantx.state.option_members.port import OptionMembers
from quantx.state.quotas.port import Quotas
from quantx.state.replies.port import Replies
from quantx.state.rounds.port import Rounds
from quantx.state.runs.port import Runs
from quantx.state.series.port import SeriesBook
from quantx.state.tasks.port import Tasks
from quantx.state.universes.port import Universes
from quantx.state.values import Binding

Role = Literal[
    "curator",
    "reporter",
    "universes",
    "instruments",
    "healer",
    "inspector",
    "reconciler",
    "verifier",
    "publisher",
    "backup",
    "features",
    "alerts",
    "options",
]


class Hold(Protocol):
    """A role that its holder keeps as long as the connection lives."""

    def confirm(self) -> None:
        """Raise a StateError where the role is lost."""
        ...


class State(Protocol):
    """All parts of the state."""

    shown_url: str  # without a password

    tasks: Tasks
    rounds: Rounds
    replies: Replies
    series: SeriesBook
    quotas: Quotas
    runs: Runs
    universes: Universes
    findings: Findings
    gaps: Gaps
    instruments: Instruments
    deletions: Deletions
    option_members: OptionMembers
    audit: Audit
    alerts: Alerts
    alert_facts: AlertFacts
    job_outcomes: JobOutcomes

    def now(self) -> datetime:
        """Return the database's time, aware and in UTC."""
        ...

    def bind_lake(self, lake_id: str, state_id: str) -> Binding:
        """Bind the state to a lake on first use; return the recorded binding."""
        ...

    def took_over(self) -> None:
        """Record that this state has made itself the owner of its lake."""
        ...

    def binding(self) -> Binding | None:
        """Return the binding of this state to a lake; None before it."""
        ...

    def exclusive(self, *roles: Role) -> AbstractContextManager[Hold | None]:
        """Hold roles while the block lasts; yield None, and hold none, if another process holds one of them.

        The death of a holder frees its roles.
        """
        ...

    def close(self) -> None:
        """Release the database."""
        ...
