"""What the state promises: tasks, runs, landed replies and rounds, series, quotas, universes, and roles.

One database holds it all, and its clock is the only one that leases, quotas and stored instants go by. Each method is
one transaction: it has happened as a whole or not at all. Every method may raise StateError; then what was asked for
may have happened or not, and asking again with the same arguments does no harm.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

from quantx.state.findings.port import Findings
from quantx.state.gaps.port import Gaps
from quantx.state.instruments.port import Instruments
from quantx.state.quotas.port import Quotas
from quantx.state.replies.port import Replies
from quantx.state.rounds.port import Rounds
from quantx.state.runs.port import Runs
from quantx.state.series.port import SeriesBook
from quantx.state.tasks.port import Tasks
from quantx.state.universes.port import Universes

Role = Literal["curator", "reporter", "universes", "instruments", "healer", "inspector", "reconciler"]


class Hold(Protocol):
    """A role that is held as long as its connection lives."""

    def confirm(self) -> None:
        """Raise a StateError where the role is lost."""
        ...


class State(Protocol):
    """The parts together."""

    shown_url: str  # without a password

    @property
    def tasks(self) -> Tasks: ...  # noqa: D102 — the parts say what they are
    @property
    def rounds(self) -> Rounds: ...  # noqa: D102
    @property
    def replies(self) -> Replies: ...  # noqa: D102
    @property
    def series(self) -> SeriesBook: ...  # noqa: D102
    @property
    def quotas(self) -> Quotas: ...  # noqa: D102
    @property
    def runs(self) -> Runs: ...  # noqa: D102
    @property
    def universes(self) -> Universes: ...  # noqa: D102
    @property
    def findings(self) -> Findings: ...  # noqa: D102
    @property
    def gaps(self) -> Gaps: ...  # noqa: D102
    @property
    def instruments(self) -> Instruments: ...  # noqa: D102

    def now(self) -> datetime:
        """Return the database's time, aware and in UTC."""
        ...

    def bind_lake(self, lake_id: str, state_id: str) -> tuple[str, str]:
        """Bind the state to a lake on first use; return the ids of the lake it is bound to and of this state."""
        ...

    def bound_lake(self) -> str | None:
        """Return the id of the lake that this state speaks about."""
        ...

    def exclusive(self, role: Role) -> AbstractContextManager[Hold | None]:
        """Hold a role while the block lasts; yield None where another process holds it. It is free when its holder dies."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
