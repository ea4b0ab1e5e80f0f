"""The parts together, and the roles."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from quantx.core.model import Clock
from quantx.errors import StateError
from quantx.state.findings.memory import MemoryFindings
from quantx.state.findings.port import Findings
from quantx.state.gaps.memory import MemoryGaps
from quantx.state.gaps.port import Gaps
from quantx.state.instruments.memory import MemoryInstruments
from quantx.state.instruments.port import Instruments
from quantx.state.memory_records import Records
from quantx.state.port import Hold, Role
from quantx.state.quotas.memory import MemoryQuotas
from quantx.state.quotas.port import Quotas
from quantx.state.replies.memory import MemoryReplies
from quantx.state.replies.port import Replies
from quantx.state.rounds.memory import MemoryRounds
from quantx.state.rounds.port import Rounds
from quantx.state.runs.memory import MemoryRuns
from quantx.state.runs.port import Runs
from quantx.state.series.memory import MemorySeries
from quantx.state.series.port import SeriesBook
from quantx.state.tasks.memory import MemoryTasks
from quantx.state.tasks.port import Tasks
from quantx.state.universes.memory import MemoryUniverses
from quantx.state.universes.port import Universes


class MemoryState:
    """A State that lives as long as the object. `actor` tells who is calling: roles end with `holder_died`."""

    shown_url = "memory://"

    def __init__(self, clock: Clock, actor: Callable[[], object] = threading.get_ident) -> None:
        self.records = Records(clock)
        self.tasks: Tasks = MemoryTasks(self.records)
        self.rounds: Rounds = MemoryRounds(self.records)
        self.replies: Replies = MemoryReplies(self.records)
        self.series: SeriesBook = MemorySeries(self.records)
        self.quotas: Quotas = MemoryQuotas(self.records)
        self.runs: Runs = MemoryRuns(self.records)
        self.universes: Universes = MemoryUniverses(self.records)
        self.findings: Findings = MemoryFindings(self.records)
        self.gaps: Gaps = MemoryGaps(self.records)
        self.instruments: Instruments = MemoryInstruments(self.records)
        self._actor = actor
        self._holds: dict[Role, _Held] = {}
        self._lake: tuple[str, str] | None = None

    def now(self) -> datetime:
        """Return the clock's time."""
        return self.records.clock.now()

    def bind_lake(self, lake_id: str, state_id: str) -> tuple[str, str]:
        """Bind the state to a lake on first use; return the ids of the lake it is bound to and of this state."""
        with self.records.lock:
            self._lake = self._lake or (lake_id, state_id)
            return self._lake

    def bound_lake(self) -> str | None:
        """Return the id of the lake that this state speaks about."""
        with self.records.lock:
            return self._lake[0] if self._lake else None

    @contextmanager
    def exclusive(self, role: Role) -> Iterator[Hold | None]:
        """Hold a role while the block lasts; yield None where another process holds it."""
        mine = _Held(self, role, self._actor())
        with self.records.lock:
            got = self._holds.setdefault(role, mine) is mine
        try:
            yield mine if got else None
        finally:
            with self.records.lock:
                if self.has(mine):
                    del self._holds[role]

    def holder_died(self, actor: object) -> None:
        """Free the roles of an actor, as a database does when it notices that a connection has ended."""
        with self.records.lock:
            self._holds = {role: held for role, held in self._holds.items() if held.actor != actor}

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def has(self, held: _Held) -> bool:
        """Tell whether a role is still held."""
        with self.records.lock:
            return self._holds.get(held.role) is held


@dataclass(frozen=True, eq=False)
class _Held:
    state: MemoryState
    role: Role
    actor: object

    def confirm(self) -> None:
        """Raise a StateError where the role is lost."""
        if not self.state.has(self):
            raise StateError(f"the role {self.role!r} is lost")
