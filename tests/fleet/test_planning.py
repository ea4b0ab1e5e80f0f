"""Two triggers at once, work that overlaps, and a timer that was missed: one set of tasks, and nothing is left out."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from .conftest import NAMES, SECOND_RUN, revise
from .fleet import Fleet, Vendor, assert_at_rest, assert_same, depth_of
from .market import SYMBOLS

pytestmark = pytest.mark.slow


def test_two_triggers_plan_one_set_of_tasks_and_a_backfill_unites_with_them(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor], clean: dict[str, pl.DataFrame]
) -> None:
    fleet = fleets(vendors(), QUANTX_CHUNK_SIZE="4", QUANTX_MAX_WORKERS="2")
    revise(fleet.vendor)
    fleet.vendor.tell("now", now="2016-12-27")
    fleet.here("backfill", "--start", "2016-06-01", "--end", "2016-12-27", "--symbols", NAMES)
    fleet.vendor.tell("now", now="2016-12-30")  # the timer was missed for three sessions

    for trigger in [fleet.start("update-daily", "--enqueue-only", "--symbols", NAMES) for _ in range(2)]:
        fleet.ends(trigger, 0)
    planned = fleet.rows("select symbol from tasks where kind = 'daily' and state = 'pending'")
    assert sorted(row["symbol"] for row in planned) == SYMBOLS
    assert depth_of(fleet) == len(SYMBOLS)

    fleet.told(*(part for part in SECOND_RUN if part != "--again"), "--enqueue-only")
    for worker in [fleet.start("work") for _ in range(2)]:
        fleet.ends(worker, 0)
    assert_at_rest(fleet, runs=3)
    assert_same(fleet.tables(), clean | {"bars_1d_revisions": clean["bars_1d_revisions"].clear()}, payloads=False)
