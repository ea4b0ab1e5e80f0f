"""Systems with one safeguard less: the simulator must find out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from tests.simulation.fleet import Parts
from tests.simulation.ports import OverwritingLocation
from tests.simulation.weather import CURATORS, Weather

from quantx.core.model import FetchTask, Series, Window
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, Committer
from quantx.state.memory import MemoryState
from quantx.state.memory_records import TaskRecord
from quantx.state.tasks.memory import MemoryTasks


class UnfencedTasks(MemoryTasks):
    """Whoever comes lands, also with an old fencing number."""

    def _may_land(self, task: FetchTask) -> TaskRecord | None:
        found = self._records.tasks.get(task.id)
        return found if found is not None and found.state == "leased" else None


class UnsharedTasks(MemoryTasks):
    """There is no unique key: each trigger plans its own."""

    def _unfinished_equal(self, kind: str, series: Series, window: Window) -> TaskRecord | None:
        return None


def unfenced(state: MemoryState) -> None:
    state.tasks = UnfencedTasks(state.records)


def unshared(state: MemoryState) -> None:
    state.tasks = UnsharedTasks(state.records)


class ForgetfulTable(MemoryTable):
    """A table that does not know which rounds it has."""

    def committed_round(self, state_id: str | None = None) -> int:
        return 0


class UnboundTable(MemoryTable):
    """A table that commits whatever has changed since the rows were read."""

    def _is_at(self, read_at: int | None) -> bool:
        return True

    def _replace(self, before: int, rows: pl.DataFrame, context: CommitContext) -> None:
        read = self.versions[before - 1] if before else self._empty
        added, gone = (a.join(b, on=a.columns, how="anti", nulls_equal=True) for a, b in ((rows, read), (read, rows)))
        kept = self.read().join(gone, on=gone.columns, how="anti", nulls_equal=True)
        super()._replace(len(self.versions), pl.concat([kept, added]), context)


class UnfencedTable(MemoryTable):
    """A table that takes commits of any epoch."""

    def commit(self, context: CommitContext, *frames: pl.DataFrame | None, **how: Any) -> bool:
        by = None if context.by is None else Unconfirmed(context.by)
        return super().commit(replace(context, by=by), *frames, **how)  # type: ignore[arg-type]


class UnsealedTable(MemoryTable):
    """A table whose seal stops nothing."""

    def seal(self, context: CommitContext) -> None:
        pass


class SharedRounds(MemoryTable):
    """A table in which a round of any state counts."""

    def commit(self, context: CommitContext, *frames: pl.DataFrame | None, **how: Any) -> bool:
        if context.round_id is not None and max(self._rounds.values(), default=0) >= context.round_id:
            return False
        return super().commit(context, *frames, **how)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Unconfirmed:
    """A role that is not confirmed."""

    real: Committer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def confirm(self) -> None:
        pass


# Committers that are suspended between their confirmation and their commit, and go on.
SUSPENDED = Weather(suspended=0.2, revised=0.9)

# And the rule that each breaks. Those of the curator show only where one has lost its role and goes on: they have a
# weather of their own.
MUTANTS = {
    "unfenced": (Parts(state=unfenced), "fence"),
    "unshared": (Parts(state=unshared), "planned-once"),
    "overwriting": (Parts(location=OverwritingLocation), "I1"),
    "curators": (Parts(weather=CURATORS), ""),  # no mutant: only another weather
    "suspended": (Parts(weather=SUSPENDED, takeover=True), ""),  # the same
    "forgetful": (Parts(table=ForgetfulTable, weather=CURATORS), "I2"),
    "unbound": (Parts(table=UnboundTable, weather=SUSPENDED), "I3"),
    "unfenced-role": (Parts(table=UnfencedTable, weather=CURATORS, takeover=True), "fenced"),
    "unsealed": (Parts(table=UnsealedTable, weather=SUSPENDED, takeover=True), "fenced"),
    "shared-rounds": (Parts(table=SharedRounds, weather=CURATORS, takeover=True), "I5"),
}
