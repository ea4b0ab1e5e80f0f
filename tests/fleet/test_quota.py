"""One quota for the whole fleet: six processes at once, and the vendor refuses nobody."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from .conftest import NAMES
from .fleet import Fleet, Vendor, assert_at_rest
from .market import LAST, SYMBOLS

QUOTA = 10  # requests per second


def test_six_workers_together_keep_the_vendors_quota(fleets: Callable[..., Fleet], market_folder: Path) -> None:
    vendor = Vendor(f"http://127.0.0.1:{free_port()}")
    fleet = fleets(vendor, QUANTX_YFINANCE_QUOTA=f"{QUOTA}/s", QUANTX_CHUNK_SIZE="4", QUANTX_LEASE_SECONDS="15")
    options = ("--data", market_folder, "--now", LAST, "--quota", f"{QUOTA}/s", "--port", vendor.url.rpartition(":")[2])
    fleet.start("sandbox", *options)
    fleet.told("backfill", "--start", "2016-10-03", "--end", "2016-12-30", "--symbols", NAMES, "--enqueue-only")
    fleet.wait_until(lambda: answers(vendor))
    for worker in [fleet.start("work") for _ in range(6)]:
        fleet.ends(worker, 0)

    assert vendor.stats()["by_status"] == {"200": len(SYMBOLS)}
    assert_at_rest(fleet, runs=1)
    (took,) = fleet.rows("select extract(epoch from max(fetched_at) - min(fetched_at))::float8 as s from landings")
    print(f"{len(SYMBOLS) / QUOTA / (1 + took['s']):.0%} of the quota were used")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(vendor: Vendor) -> bool:
    with contextlib.suppress(OSError):
        vendor.stats()
        return True
    return False
