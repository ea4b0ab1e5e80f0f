"""Planning that records nothing: the tasks that a request would plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quantx.core.model import Finding
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.planning.update_request import UpdateRequest
from quantx.pipeline.runtime.context import Context
from quantx.settings import source_of
from quantx.state.tasks.port import NewTask, Plan
from quantx.state.values import NewRun


@dataclass
class _Unrecorded:
    """The parts of a state to which planning writes; `tasks` are those that it would record."""

    tasks: list[NewTask] = field(default_factory=list)

    def plan(self, run: NewRun, wanted: Sequence[NewTask]) -> Plan:
        self.tasks += wanted
        return Plan(run.id, (), run.skipped)

    def to_send(self, most: int, seconds: float) -> list[Any]:
        return []

    def note(self, findings: Sequence[Finding]) -> int:
        return 0

    def resolve(self, rule: str, subjects: Collection[str], reason: str) -> int:
        return 0


class _ReadOnlyState:
    """A state whose tasks and findings stay as they are."""

    def __init__(self, real: Any, unrecorded: _Unrecorded) -> None:
        self._real = real
        self.tasks = self.findings = unrecorded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def tasks_of_request(context: Context, request: UpdateRequest) -> tuple[Plan, list[NewTask]]:
    """Return the plan of a request for bars and its tasks; nothing is recorded or sent."""
    unrecorded = _Unrecorded()
    state: Any = _ReadOnlyState(context.state, unrecorded)
    dry = replace(context, state=state)
    scope = Scope(request.symbols, request.universe, request.phase)
    timeframe, source = request.timeframe, None if request.source is None else source_of(request.source)
    if request.window is not None:
        plan = plan_backfill(dry, scope, request.window, source=source, timeframe=timeframe, again=request.again)
    else:
        lookback = context.settings.lookback_days if request.lookback_days is None else request.lookback_days
        plan = plan_daily(dry, scope, source=source, lookback=lookback, timeframe=timeframe)
    return plan, unrecorded.tasks
