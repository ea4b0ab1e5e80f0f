"""What the timer of the sweep calls: the sweep, and the alerts about what it finds."""

from __future__ import annotations

from quantx.alerts.run import check_and_send
from quantx.pipeline.planning.sweep import SweepResult, sweep
from quantx.pipeline.runtime.context import open_context
from quantx.settings import Settings

_HEAVY = ("freshness_missed", "cost_above_budget")  # their libraries load slowly; workers and `quantx sweep` check them


def sweep_and_alert(settings: Settings) -> SweepResult:
    """Send, check and plan once what a timer may have missed (see `sweep`), and send alerts."""
    with open_context(settings) as context:
        swept = sweep(context)
        check_and_send(context, leave_out=_HEAVY)
    return swept
