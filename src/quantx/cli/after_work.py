"""Inspection after the work of a command: check the data of ended runs."""

from __future__ import annotations

import time

from quantx.cli.output import err
from quantx.pipeline.runtime.platform import Platform


def inspect(platform: Platform, until: float | None = None) -> None:
    """Inspect the data of ended runs, and print which inspections failed; the exit code stays that of the work.

    No inspection starts after `until` (monotonic clock), or once the process is stopping.
    """
    from quantx.pipeline.inspecting.inspection import inspect_ended_runs

    def stopping() -> bool:
        return platform.runtime.stopping or (until is not None and time.monotonic() >= until)

    if failed := inspect_ended_runs(platform, platform.tables, stopping=stopping):
        err.print(
            f"inspection failed: {', '.join(failed)}; `quantx findings list --rule inspection_failed` shows the reasons"
        )
