"""The sweep: what a second trigger does every quarter of an hour, so that nothing waits for one that has died.

It may run at any time, any number at once: what it does a second time changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from quantx.pipeline.planning.deadline import Missed, check_deadlines
from quantx.pipeline.planning.plan import Scope, plan_daily, send_outbox
from quantx.pipeline.runtime.context import Context

log = structlog.get_logger()


@dataclass(frozen=True)
class Swept:
    """What a sweep has found and done."""

    resent: int  # tasks whose message was lost
    sent: int  # messages, with those
    missed: tuple[Missed, ...]  # deadlines without a run
    run_id: str | None  # the run that makes up for them


def sweep(context: Context) -> Swept:
    """Send what waits, look for missed deadlines, and plan what they missed; nothing is written to the lake.

    A market that has missed its deadline gets a finding, which the next sweep resolves where the run was planned.
    """
    missed = check_deadlines(context)  # first: whoever is to be woken is, whatever fails below
    for each in missed:
        log.error("deadline.missed", market=each.market, session=str(each.session), universes=each.universes)
    sent, resent, run_id = send_outbox(context), 0, None
    depth, now = context.queue.depth(), context.clock.now()
    if depth.total == 0:  # else workers come for what is there, and end with the same look
        resent = context.state.tasks.resend_lost(context.settings.lease_seconds * 2)
        sent += send_outbox(context)
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
    return Swept(resent, sent, tuple(missed), run_id)
