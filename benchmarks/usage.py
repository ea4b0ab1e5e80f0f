"""`python -m benchmarks.usage --write`: storage requests and statements of a daily run, by stage.

The lake and the queue are in Azurite, each behind a recording proxy, the state is in PostgreSQL; the vendor is in the
process and answers at once. A quarter is stored before; the run brings one new session and repeats five. The counts of
two sizes are the table of docs/reference/usage.md, and what `quantx cost` computes with; `--write` stores them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tests.azurite import ACCOUNT

from benchmarks.cloud import CONTAINER, cloud, row_of, why_missing
from benchmarks.daily import BEFORE, FIRST, UPDATES, queue_requests
from benchmarks.measure import apart
from benchmarks.prepared import prepare_replies
from benchmarks.proxy import LOG
from benchmarks.servers import get_json, server
from benchmarks.stages import STAGES, requests_by_stage
from quantx.pipeline.reporting import usage

SIZES = (500, 5_000)
DATA = Path(usage.__file__).with_name(usage.DATA)


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Return the counts of a daily run of `count` symbols, as the data file has them."""
    start, end = UPDATES["PostgreSQL's"]
    replies = prepare_replies(
        folder / "replies", count, date.fromisoformat(FIRST), map(date.fromisoformat, (FIRST, start))
    )
    what = {"replies": replies, "count": count}
    with cloud(folder / "cloud", yfinance_quota="unlimited") as servers:
        text = servers.settings["azure_storage_connection_string"]
        ends = (servers.azurite.blob_endpoint, servers.azurite.queue_endpoint)
        apart("benchmarks.daily:update", settings=servers.settings, **what, start=FIRST, end=BEFORE)
        with (
            server("benchmarks.proxy:serve", target=ends[0], delay=0) as blobs,
            server("benchmarks.proxy:serve", target=ends[1], delay=0) as queue,
        ):
            for address, proxy in zip(ends, (blobs, queue), strict=True):
                text = text.replace(address, f"{proxy}/{ACCOUNT}")
            settings = servers.settings | {"azure_storage_connection_string": text}
            before = _stored(servers.postgres.url)
            when = {"start": start, "end": end, "proxy": blobs}
            done = apart("benchmarks.daily:update", settings=settings, **what, **when)
            inspected, queued = get_json(blobs, LOG), get_json(queue, LOG)
        stored = _stored(servers.postgres.url) - before
    requests = _by_stage(done["blobs"])
    for kind, each in _by_stage(inspected).items():
        requests[kind]["inspect"] = sum(each.values())
    columns = requests | {"queue": queue_requests(queued), "statements": _statements(done["stages"])}
    stages = {name: {column: counts[name] for column, counts in columns.items()} for name in STAGES}
    return {
        "symbols": count,
        "tasks": done["landed"],
        "reply_bytes": round(stored / done["landed"]),
        "stages": {name: counts for name, counts in stages.items() if any(counts.values())},
    }


def _by_stage(recorded: Sequence[Sequence[Any]]) -> dict[str, Counter[str]]:
    """Return the requests of a stage by price class: writes and lists cost ten times as much as reads."""
    parts: dict[str, list[Sequence[Any]]] = {"writes": [], "reads": []}
    for request in recorded:
        method, target, _ = request
        if method != "DELETE":  # which costs nothing
            parts["writes" if method == "PUT" or "comp=list" in target else "reads"].append(request)
    return {kind: requests_by_stage(some, CONTAINER) for kind, some in parts.items()}


def _statements(costs: dict[str, dict[str, float]]) -> Counter[str]:
    return Counter({name: int(cost["statements"]) for name, cost in costs.items()})


def _stored(url: str) -> int:
    return int(row_of(url, "select coalesce(sum(bytes), 0)::bigint from raw_objects")[0])


def main() -> None:
    """Measure each number of symbols; print the counts, or store them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.usage", description=__doc__)
    parser.add_argument(
        "sizes", nargs="*", type=int, default=list(SIZES), help="numbers of symbols (default: 500 5000)"
    )
    parser.add_argument("--write", action="store_true", help=f"store the counts in {DATA.name}, then run `make docs`")
    options = parser.parse_args()
    if missing := why_missing():
        raise SystemExit(missing)
    runs = []
    for count in options.sizes:
        with tempfile.TemporaryDirectory(prefix="quantx-usage-") as folder:
            runs.append(measure(Path(folder).resolve(), count))
    text = json.dumps({"measured": f"{datetime.now(UTC):%Y-%m-%d}", "runs": runs}, indent=1) + "\n"
    if options.write:
        DATA.write_text(text, "utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
