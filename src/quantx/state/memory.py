"""The state in memory: all parts and the roles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from typing_extensions import override

from quantx.core.model import Clock
from quantx.errors import StateError
from quantx.state.alerts.memory import MemoryAlertFacts, MemoryAlerts, MemoryJobOutcomes
from quantx.state.audit.memory import MemoryAudit
from quantx.state.deletions.memory import MemoryDeletions
from quantx.state.findings.memory import MemoryFindings
from quantx.state.gaps.memory import MemoryGaps
from quantx.state.instruments.memory import MemoryInstruments
from quantx.state.memory_records import Records
from quantx.state.option_members.memory import MemoryOptionMembers
from quantx.state.port import Hold, Role, State
from quantx.state.quotas.memory import MemoryQuotas
from quantx.state.replies.memory import MemoryReplies
from quantx.state.rounds.memory import MemoryRounds
from quantx.state.runs.memory import MemoryRuns
from quantx.state.series.memory import MemorySeries
from quantx.state.tasks.memory import MemoryTasks
from quantx.state.universes.memory import MemoryUniverses
from quantx.state.values import Binding


class MemoryState(State):
    """A State that lives as long as the object. `actor` identifies the caller: `holder_died` ends its roles."""

    shown_url = "memory://"

    def __init__(self, clock: Clock, actor: Callable[[], object] = threading.get_ident) -> None:
        self.records = Records(clock)
        self.tasks = MemoryTasks(self.records)
        self.rounds = MemoryRounds(self.records)
        self.replies = MemoryReplies(self.records)
        self.series = MemorySeries(self.records)
        self.quotas = MemoryQuotas(self.records)
        self.runs = MemoryRuns(self.records)
        self.universes = MemoryUniverses(self.records)
        self.findings = MemoryFindings(self.records)
        self.gaps = MemoryGaps(self.records)
        self.instruments = MemoryInstruments(self.records)
        self.deletions = MemoryDeletions(self.records, self.findings, self.gaps)
        self.option_members = MemoryOptionMembers(self.records, actor)
        self.audit = MemoryAudit(self.records)
        self.alerts = MemoryAlerts(self.records)
        self.alert_facts = MemoryAlertFacts(self.records, self.findings)
        self.job_outcomes = MemoryJobOutcomes(self.records)
        self._actor = actor
        self._holds: dict[Role, _Held] = {}
        self._lake: Binding | None = None

    @override
    def now(self) -> datetime:
        return self.records.clock.now()

    @override
    def bind_lake(self, lake_id: str, state_id: str) -> Binding:
        with self.records.lock:
            self._lake = self._lake or Binding(lake_id, state_id, took_over=False)
            return self._lake

    @override
    def took_over(self) -> None:
        with self.records.lock:
            self._lake = self._lake and replace(self._lake, took_over=True)

    @override
    def binding(self) -> Binding | None:
        with self.records.lock:
            return self._lake

    @override
    @contextmanager
    def exclusive(self, *roles: Role) -> Iterator[Hold | None]:
        mine = _Held(self, roles, self._actor())
        with self.records.lock:
            got = self._holds.keys().isdisjoint(roles)
            if got:
                self._holds |= dict.fromkeys(roles, mine)
        try:
            yield mine if got else None
        finally:
            with self.records.lock:
                if self.has(mine):
                    for role in roles:
                        del self._holds[role]

    def holder_died(self, actor: object) -> None:
        """Free the roles of an actor, as a database does when a connection ends."""
        with self.records.lock:
            self._holds = {role: held for role, held in self._holds.items() if held.actor != actor}
            self.option_members.holder_died(actor)

    @override
    def close(self) -> None:
        pass

    def has(self, held: _Held) -> bool:
        """Return whether a role is still held."""
        with self.records.lock:
            return all(self._holds.get(role) is held for role in held.roles)


@dataclass(frozen=True, eq=False)
class _Held(Hold):
    state: MemoryState
    roles: tuple[Role, ...]
    actor: object

    @override
    def confirm(self) -> None:
        if not self.state.has(self):
            raise StateError(f"the role {self.roles[0]!r} is lost")
