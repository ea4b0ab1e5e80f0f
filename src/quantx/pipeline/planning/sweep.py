"""The sweep: what a second trigger does every quarter of an hour, so that a dead timer or worker leaves no work behind.

It may run at any time, and several may run at once: a repetition changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from quantx.pipeline.planning.deadline import MissedDeadline, check_deadlines
from quantx.pipeline.planning.plan import plan_daily, send_outbox
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.context import Context

log = structlog.get_logger()


@dataclass(frozen=True)
class SweepResult:
    """What a sweep did."""

    resent: int  # tasks whose message was lost
    sent: int  # messages, those of `resent` included
    missed: tuple[MissedDeadline, ...]
    run_id: str | None  # the run that was planned for the missed deadlines


def sweep(context: Context) -> SweepResult:
    """Send waiting messages, check the deadlines, and plan what they missed; nothing is written to the lake.

    A market that has missed its deadline gets a finding. The next sweep resolves it where the run was planned.
    """
    state, queue = context.state, context.queue
    missed = check_deadlines(
        state, context.settings, context.clock.now()
    )  # first: the alert must not depend on what follows
    for deadline in missed:
        log.error(
            "deadline.missed", market=deadline.market, session=str(deadline.session), universes=deadline.universes
        )
    sent, resent, run_id = send_outbox(state.tasks, queue, context.runtime), 0, None
    depth, now = queue.depth(), context.clock.now()
    if depth.total == 0:  # else workers come for the messages, and check for lost ones when they end
        resent = state.tasks.resend_lost(context.settings.lease_seconds * 2)
        sent += send_outbox(state.tasks, queue, context.runtime)
    if missed:
        run_id = plan_daily(context, Scope(), lookback=context.settings.lookback_days).run_id
    log.info(
        "sweep.done",
        resent=resent,
        sent=sent,
        missed=len(missed),
        run_id=run_id,
        queued=depth.total,
        oldest_seconds=None if depth.oldest is None else round((now - depth.oldest).total_seconds(), 1),
        poisoned=depth.poisoned,
    )
    return SweepResult(resent, sent, tuple(missed), run_id)
