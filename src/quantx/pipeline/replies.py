"""Stored replies: which there are to be read, and reading them from the raw zone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import structlog

from quantx.errors import DamagedObject
from quantx.lake.raw import parse_raw_path, read_batch
from quantx.pipeline.normalized import Landed
from quantx.pipeline.platform import Platform
from quantx.state.protocol import Landing

log = structlog.get_logger()

Lost = tuple[Landing, str]  # a reply that is not in the raw zone as it was stored, and why


def read_replies(platform: Platform, landings: Sequence[Landing]) -> tuple[list[Landed], list[Lost]]:
    """Return the replies, and those whose raw object is missing or damaged with the reason."""
    by_path: dict[str, list[Landing]] = defaultdict(list)
    for landing in landings:
        by_path[landing.path].append(landing)
    read: list[Landed] = []
    lost: list[Lost] = []
    for path, wanted in by_path.items():
        try:
            numbers = sorted({row for x in wanted for row in range(x.row, x.row + x.rows)})
            replies = dict(zip(numbers, read_batch(platform.location, path, numbers), strict=True))
        except DamagedObject as error:
            log.error("raw.damaged", path=path, error=str(error))
            lost += [(landing, str(error)) for landing in wanted]
            continue
        read += [
            Landed(
                task_id=landing.task_id,
                run_id=landing.run_id,
                source=landing.series.source,
                dataset=landing.series.dataset,
                timeframe=landing.series.timeframe,
                symbol=landing.series.symbol,
                window=landing.window,
                raw=parse_raw_path(path)[2],
                pages=tuple(replies[row].payload for row in range(landing.row, landing.row + landing.rows)),
                malformed=landing.malformed,
            )
            for landing in wanted
        ]
    return read, lost
