"""Systems with one safeguard less: the simulator must find out."""

from __future__ import annotations

from tests.simulation.fleet import Parts
from tests.simulation.ports import OverwritingLocation

from quantx.core.model import FetchTask, Series, Window
from quantx.state.memory import MemoryState, MemoryTasks
from quantx.state.memory.records import TaskRecord


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


MUTANTS = {  # and the rule that each breaks
    "unfenced": (Parts(state=unfenced), "fence"),
    "unshared": (Parts(state=unshared), "planned-once"),
    "overwriting": (Parts(location=OverwritingLocation), "I1"),
}
