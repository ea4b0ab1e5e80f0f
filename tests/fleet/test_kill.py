"""kill -9 at every marked step: the others go on, and the tables are those of a run without a kill."""

from __future__ import annotations

import signal
from collections.abc import Callable

import polars as pl
import pytest

from .conftest import FIRST_RUN, SECOND_RUN, revise
from .dying_worker import MARKS
from .fleet import Fleet, Vendor, assert_at_rest, assert_counted, assert_same, go

pytestmark = pytest.mark.slow

IN_THE_FETCH = [
    "received",
    "fetched",
    "raw object put",
    "landed in the state",
    "before the messages' delete",
    "in a heartbeat",
]
# One after the other, as only one of them has the curator's role; each but the first finds what the last one left.
IN_THE_CURATION = ["normalized", "revisions committed", "bars committed", "round recorded", "report put"]


def test_killed_at_every_marked_step(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor], clean: dict[str, pl.DataFrame]
) -> None:
    fleet = fleets(vendors(), QUANTX_CHUNK_SIZE="3", QUANTX_MAX_WORKERS="1")
    assert {*IN_THE_FETCH, *IN_THE_CURATION} == set(MARKS)
    fleet.here(*FIRST_RUN)
    revise(fleet.vendor)
    fleet.told(*SECOND_RUN, "--enqueue-only")

    in_the_fetch = [fleet.start_dying(mark) for mark in IN_THE_FETCH]
    in_the_curation = [fleet.start_dying(mark) for mark in IN_THE_CURATION]  # they load meanwhile
    for process in in_the_fetch:
        go(process)
    for process in in_the_fetch:
        fleet.ends(process, -signal.SIGKILL)
    for process in in_the_curation:
        go(process)
        fleet.ends(process, -signal.SIGKILL)
    for process in [fleet.start("work") for _ in range(2)]:
        fleet.ends(process, 0)

    assert_at_rest(fleet, runs=2)
    tables = fleet.tables()
    assert_same(tables, clean)
    assert_counted(fleet, tables)
