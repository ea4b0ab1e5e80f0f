"""Workers that receive SIGTERM, whose time budget ends, or that have no work: they leave no lease behind."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

import polars as pl
import pytest

from .conftest import SECOND_RUN, revise
from .fleet import Fleet, Vendor, assert_at_rest, assert_same
from .market import SYMBOLS

pytestmark = pytest.mark.slow


def test_a_stopped_worker_gives_its_tasks_back_and_the_others_finish(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor], clean: dict[str, pl.DataFrame]
) -> None:
    fleet, slow, stuck = fleets(vendors()), vendors(latency=0.4), vendors(latency=60)
    revise(fleet.vendor)
    revise(slow)
    fleet.told(*SECOND_RUN, "--enqueue-only")

    stopped = fleet.start("work", QUANTX_YFINANCE_BASE_URL=stuck.url, QUANTX_LEASE_SECONDS="600", QUANTX_CHUNK_SIZE="4")
    fleet.wait_until(stuck.requests)
    one = {"QUANTX_MAX_WORKERS": "1", "QUANTX_CHUNK_SIZE": "2"}
    timed = fleet.start("work", "--time-budget", 2, QUANTX_YFINANCE_BASE_URL=slow.url, **one)
    stopped.send_signal(signal.SIGTERM)
    fleet.ends(stopped, 0, patience=30)  # ten seconds are promised; its fetches would take sixty
    fleet.ends(timed, 0)
    states = Counter(row["state"] for row in fleet.rows("select state from tasks"))
    assert states["leased"] == 0, states
    assert states["pending"] > len(SYMBOLS) / 2  # a fetch takes 0.4 seconds, and none begins after 1.6

    for finisher in [fleet.start("work") for _ in range(2)]:
        fleet.ends(finisher, 0)  # the stopped one had leases of ten minutes
    fleet.ends(fleet.start("work"), 0)  # there is nothing to do
    assert_at_rest(fleet, runs=1)
    assert_same(fleet.tables(), clean | {"bars_1d_revisions": clean["bars_1d_revisions"].clear()})
    assert set(fleet.vendor.stats()["by_symbol"].values()) == {1}
