"""A fleet on Amazon S3, without Azure: the queue is in PostgreSQL, the lake in a bucket."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from ..moto import Moto
from .conftest import FIRST_RUN, SECOND_RUN, revise
from .fleet import Fleet, Vendor, assert_counted, assert_same
from .market import SYMBOLS

pytestmark = pytest.mark.slow


def test_four_workers_on_s3_make_the_tables_of_one_process(
    fleets: Callable[..., Fleet],
    vendors: Callable[..., Vendor],
    clean: dict[str, pl.DataFrame],
    moto: Moto,
    s3_lake: str,
) -> None:
    settings = {"QUANTX_LAKE_URL": s3_lake, "QUANTX_QUEUE_URL": "postgresql", **moto.environment}
    fleet = fleets(vendors(), QUANTX_CHUNK_SIZE="3", QUANTX_MAX_WORKERS="2", **settings)
    fleet.here(*FIRST_RUN)
    revise(fleet.vendor)
    fleet.told(*SECOND_RUN, "--enqueue-only")
    for process in [fleet.start("work") for _ in range(4)]:
        fleet.ends(process, 0)
    tables = fleet.tables()
    assert_same(tables, clean)
    assert_counted(fleet, tables)

    csv = fleet.here("query", "--symbols", SYMBOLS[0], "--start", "2016-12-01", "--format", "csv")
    assert csv.count(SYMBOLS[0]) == 21  # sessions of December
    assert "up to date" in fleet.here("update-daily", "--symbols", ",".join(SYMBOLS))
    fleet.here("compact", "--timeframe", "1d")
    fleet.here("reprocess")
    assert_same(fleet.tables(), clean)
    assert f"{len(SYMBOLS)} symbols in " in fleet.here("export", fleet.folder / "out", "--layout", "hive-ticker")
    manifest = fleet.told("show-manifest")
    assert manifest["lake"] == s3_lake
    assert fleet.location.paths("reports")
