"""The memory of one worker with small and with large replies, at the default settings."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import alone
from benchmarks.prepared import prepare_replies
from benchmarks.queued import HISTORY, WINDOW
from benchmarks.table import Line, Outcome

# Megabytes of a reply: symbols. A reply of five sessions has 1.4 kB; twenty years of daily bars have 0.5 MB.
_REPLIES = {0: 2_000, 2: 64, 20: 24}
_AIMS = {0: "< 350", 20: "< 1,000"}  # the last: a container of 1 GiB


def run(folder: Path, *, quick: bool) -> Outcome:
    """Plan, fetch and curate by one worker, for each size of the replies."""
    lines, landed = [], 0
    for megabytes, most in _REPLIES.items():
        count, here = min(most, 32) if quick else most, folder / str(megabytes)
        replies = prepare_replies(here / "replies", count, HISTORY, [WINDOW[0]], megabytes * 1_000_000)
        settings = {"lake_url": f"{here}/lake", "state_url": f"{here}/state", "yfinance_quota": "unlimited"}
        alone("benchmarks.queued:plan", settings=settings, count=count)
        done = alone("benchmarks.fleet:work", settings=settings, replies=replies, waits=False)
        size = f"{megabytes} MB" if megabytes else "1.4 kB"
        what = f"peak memory, MB, with {count:,} replies of {size}"
        lines.append(Line(what, done["peak_mb"], aim=_AIMS.get(megabytes, ""), digits=0))
        landed += done["landed"]
    return Outcome("Memory of a worker", tuple(lines), {"landed": landed})
