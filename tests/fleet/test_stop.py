"""Workers that are told to stop, whose time is over, or that have nothing to do: they leave nothing behind."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

import polars as pl

from .conftest import SECOND_RUN, revise
from .fleet import Fleet, Vendor, assert_at_rest, assert_same
from .market import SYMBOLS


def test_a_stopped_worker_gives_its_tasks_back_and_the_others_finish(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor], clean: dict[str, pl.DataFrame]
) -> None:
    fleet, slow, stuck = fleets(vendors()), vendors(latency=0.4), vendors(latency=60)
    revise(fleet.vendor)
    revise(slow)
    fleet.told(*SECOND_RUN, "--enqueue-only")

    # Six tasks a batch, each of which takes 0.4 seconds at the least: ten seconds for all, and 1.6 to begin them.
    one = {"QUANTX_MAX_WORKERS": "1", "QUANTX_CHUNK_SIZE": "2"}
    fleet.ends(fleet.start("work", "--time-budget", 2, QUANTX_YFINANCE_BASE_URL=slow.url, **one), 0)
    states = states_of(fleet)
    assert states["pending"] + states["done"] == len(SYMBOLS)
    assert states["pending"] > 0

    worker = fleet.start("work", QUANTX_YFINANCE_BASE_URL=stuck.url, QUANTX_LEASE_SECONDS="600")
    fleet.wait_until(stuck.requests)
    worker.send_signal(signal.SIGTERM)
    fleet.ends(worker, 0, patience=30)  # ten seconds are promised; the fetches would take sixty
    assert states_of(fleet) == states

    for finisher in [fleet.start("work") for _ in range(2)]:
        fleet.ends(finisher, 0)  # the stopped one had leases of ten minutes
    fleet.ends(fleet.start("work"), 0)  # there is nothing to do
    assert_at_rest(fleet, runs=1)
    assert_same(fleet.tables(), clean | {"bars_1d_revisions": clean["bars_1d_revisions"].clear()})
    assert set(fleet.vendor.stats()["by_symbol"].values()) == {1}


def states_of(fleet: Fleet) -> Counter[str]:
    return Counter(row["state"] for row in fleet.rows("select state from tasks"))
