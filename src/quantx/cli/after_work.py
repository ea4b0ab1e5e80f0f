"""What commands do after their work: look at the data of runs that have ended."""

from __future__ import annotations

import time

from quantx.cli.output import err
from quantx.pipeline.runtime.platform import Platform


def inspect(platform: Platform, until: float | None = None) -> None:
    """Look at the data of runs that have ended, and tell of looks that have failed; the work is done all the same.

    No look is begun when `until` (of the monotonic clock) is past, or the process is to stop.
    """
    from quantx.pipeline.inspecting.inspection import inspect_ended_runs

    def stopping() -> bool:
        return platform.runtime.stopping or (until is not None and time.monotonic() >= until)

    if failed := inspect_ended_runs(platform, platform.tables, stopping=stopping):
        err.print(f"the look at {', '.join(failed)} failed; `quantx findings list --rule inspection_failed` tells why")
