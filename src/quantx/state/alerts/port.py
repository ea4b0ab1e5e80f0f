"""The port of alerts in the state, and its values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from quantx.core.alerts import Alert, AlertMessage
from quantx.state.values import Row


@dataclass(frozen=True, kw_only=True)
class AlertBook:
    """What a decision about messages needs."""

    alerts: Sequence[Alert]
    made: Mapping[str, int]  # messages of the last day by topic
    digest_at: datetime | None  # when the last digest was made
    dead: int  # deliveries of the last day that failed permanently


@dataclass(frozen=True, kw_only=True)
class AlertChange:
    """A decision: the alerts as they are now, and each new message with the channels that get it."""

    alerts: Mapping[str, Alert]
    messages: Sequence[tuple[AlertMessage, Collection[str]]]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message on its way to a channel."""

    message: AlertMessage
    channel: str
    attempts: int  # failed ones
    not_before: datetime


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How a job ended last."""

    job: str
    succeeded_at: datetime | None
    failed_at: datetime | None
    error: str | None  # of the last failure

    @property
    def failed(self) -> bool:
        """Return whether the last execution failed."""
        return self.failed_at is not None and (self.succeeded_at is None or self.failed_at > self.succeeded_at)


@dataclass(frozen=True, kw_only=True)
class RunProblem:
    """Tasks of a run: those that failed with one class of error at a vendor and were not retried, or the unfinished."""

    run_id: str
    kind: str
    created_at: datetime
    running: bool  # the run has unfinished tasks
    unfinished: bool  # these tasks are
    source: str | None = None  # of failed tasks
    error_class: str | None = None
    tasks: int
    error: str | None = None  # of one of them


@dataclass(frozen=True, kw_only=True)
class MemberProgress:
    """Members of a universe that have the same newest session and the same letters after the dot of their symbols."""

    universe: str
    symbol: str  # one of them
    watermark: date | None  # None: no bars
    members: int


class Alerts(Protocol):
    """Alerts and the outbox of their messages."""

    def change(self, decide: Callable[[AlertBook], AlertChange], now: datetime) -> list[AlertMessage]:
        """Store what `decide` makes of the alerts, and its messages for their channels, in one transaction.

        Only one process decides at a time. `decide` is pure and fast: it may be called again. Alerts that it leaves
        out are forgotten, and so are messages that are older than 30 days. Return the messages.
        """
        ...

    def listed(self) -> list[Alert]:
        """Return all alerts, those that are present first, the newest first."""
        ...

    def waiting(self, channel: str, most: int) -> list[Delivery]:
        """Return the messages that a channel has not accepted yet, the oldest first."""
        ...

    def end_delivery(self, delivery: Delivery, state: Literal["sent", "dead"], error: str | None = None) -> None:
        """Record that a message was accepted, or that no further attempt is made."""
        ...

    def delay_delivery(self, delivery: Delivery, seconds: float, error: str, *, counted: bool = True) -> None:
        """Record a failed attempt; the next one is made in `seconds`. One that is not `counted` was only too early."""
        ...

    def deliveries(self, most: int) -> list[Row]:
        """Return message, title, channel, state, attempts, not_before, last_error, changed_at, the newest first."""
        ...


class JobOutcomes(Protocol):
    """The outcomes of jobs that are no runs."""

    def record(self, job: str, error: str | None) -> None:
        """Record that a job has ended now: without an error (None), or with one."""
        ...

    def listed(self) -> list[JobOutcome]:
        """Return the last outcomes by job."""
        ...


class AlertFacts(Protocol):
    """Facts of the other nouns from which conditions follow."""

    def run_problems(self, days: int) -> list[RunProblem]:
        """Return the failed tasks of the runs of the last `days` that were not retried, and the unfinished tasks.

        A failed task of a daily run or of healing counts no more once its series was fetched later.
        """
        ...

    def member_progress(self) -> list[MemberProgress]:
        """Return the newest session of daily bars of the members of each enabled universe, as counts."""
        ...

    def open_findings(self, rules: Collection[str], most: int) -> tuple[list[Row], dict[str, int]]:
        """Return the open findings of severity error and of `rules`, and the rules with more than `most`, by number.

        A finding has rule, severity, subject, source, dataset, first_day and message. Those of the rules with more are
        left out.
        """
        ...

    def refused_since(self) -> list[Row]:
        """Return source, reason, closed_until and refused_since of the vendors in back-off."""
        ...
