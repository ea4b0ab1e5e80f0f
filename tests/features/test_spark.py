"""The engine `spark` on a real Sail server with two workers, one of which is killed while it writes a chunk."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from quantx.core.features.feature import FeatureSet
from quantx.core.features.minute import MINUTE
from quantx.core.features.sets import SETS
from quantx.core.features.tables import table_of
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M
from quantx.lake.snapshots import snapshot_names

from .sail import HOME, Sail, running_sail
from .site import DAYS, FeatureSite, action, bars_of
from .test_minutes import minutes_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (HOME / "bin" / "sail").exists(), reason="no Sail; `sh requirements/spark.sh` installs it"),
]

TECHNICAL = SETS["technical"]
# The first worker of the first session hangs in its second chunk: its files are in the lake, its answer never comes.
HANG = """
import os, pathlib, threading
if os.environ.get("QUANTX_TEST_WORKER") == "0":
    from quantx.lake import files
    write, written = files.TableFiles.write, []
    def hang(self, rows):
        added = write(self, rows)
        written.append(added)
        if len(written) == 2:
            pathlib.Path(os.environ["QUANTX_TEST_HUNG"]).write_text(str(os.getpid()))
            threading.Event().wait()
        return added
    files.TableFiles.write = hang
"""


@pytest.fixture
def site(tmp_path: Path) -> FeatureSite:
    """Twenty series with a split and a dividend, and minutes of two of them."""
    site = FeatureSite(tmp_path / "here")
    site.commit(BARS_1D, pl.concat([bars_of(f"S{n:02}", n, DAYS[-300:]) for n in range(20)]))
    site.commit(ACTIONS, action("S03", DAYS[-100], "split", 4.0))
    site.commit(ACTIONS, action("S07", DAYS[-50], "dividend", 0.5, 50.0))
    site.commit(BARS_1M, pl.concat([minutes_of("S01", 1), minutes_of("S02", 2)]))
    return site


@pytest.fixture
def sail(tmp_path: Path) -> Iterator[Sail]:
    (tmp_path / "sail").mkdir()
    (tmp_path / "sail" / "sitecustomize.py").write_text(HANG)
    environment = {"PYTHONPATH": str(tmp_path / "sail"), "QUANTX_TEST_HUNG": str(tmp_path / "hung")}
    with running_sail(tmp_path / "sail", environment) as server:
        yield server


def test_two_workers_with_one_killed_build_what_this_machine_builds(
    site: FeatureSite, sail: Sail, tmp_path: Path, migrated_database_url: str
) -> None:
    there = site.copy(tmp_path / "there")
    (there.folder / "meta" / "state_id").unlink()  # the lake belongs to the state of the command
    killer = threading.Thread(target=_kill_hung, args=(tmp_path / "hung",), daemon=True)
    killer.start()
    done = subprocess.run(
        [HOME / "bin" / "quantx", "features", "build", "--set", "technical", "--set", "minute", "--engine", "spark"],
        env={
            **os.environ,
            "QUANTX_LAKE_URL": str(there.folder),
            "QUANTX_STATE_URL": migrated_database_url,
            "QUANTX_SPARK_REMOTE": sail.remote,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not killer.is_alive()
    assert "features.cluster_failed" in done.stderr
    assert len(sail.pods.started) >= 3  # one in the place of the killed one
    for feature_set in (TECHNICAL, MINUTE):
        site.build(feature_set.name)
        assert _rows(there, feature_set).equals(_rows(site, feature_set))
    # The chunk of the killed worker was written twice, and is in the table once.
    table = there.platform.tables["technical_1d"]
    files = {path.name for path in (there.folder / table.table.path).rglob("*.parquet")}
    committed = {path.rpartition("/")[2] for paths in table.parts().values() for path in paths}
    assert committed < files
    assert all(len(paths) == 1 for paths in table.parts().values())  # folded
    assert snapshot_names(there.platform.location) == []


# Bars that are in Spark already, in groups by symbol, beside what the same kernels make of them here.
GROUPS = """
import sys, warnings
warnings.simplefilter("ignore")
import polars as pl
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession
from quantx.core.features.compute import compute
from quantx.core.features.sets import SETS
from quantx.features.kernels import arrow_kernel, spark_schema

server = SparkConnectServer(ip="127.0.0.1", port=0)
server.start(background=True)
spark = SparkSession.builder.remote("sc://127.0.0.1:{1}".format(*server.listening_address)).getOrCreate()
for name, file in (("technical", sys.argv[1]), ("minute", sys.argv[2])):
    bars = pl.read_parquet(file)
    bars = bars.sort([c for c in ("symbol", "date", "time") if c in bars.columns])
    groups = spark.read.parquet(file).groupBy("symbol")
    found = pl.DataFrame(groups.applyInArrow(arrow_kernel(name), spark_schema(name)).toArrow())
    key = [c for c in ("symbol", "date", "time") if c in bars.columns]
    expected = compute(SETS[name].features, bars)
    assert found.cast(dict(expected.schema)).sort(key).equals(expected.sort(key)), name
print("equal")
"""


def test_kernels_run_in_groups_of_any_frame_of_spark(tmp_path: Path) -> None:
    one = [pl.lit(1.0).alias("split_factor"), pl.lit(1.0).alias("total_factor")]
    prices = ["open", "high", "low", "close", "volume"]
    daily = pl.concat([bars_of(f"S{n}", n, DAYS[-120:]) for n in range(3)]).select("symbol", "date", *prices, *one)
    minutes = pl.concat([minutes_of("AAA", 1), minutes_of("BBB", 2)]).select("symbol", "date", "time", *prices, *one)
    # Rows of a group come in any order from a cluster.
    daily.sample(fraction=1, shuffle=True, seed=1).write_parquet(tmp_path / "mixed.parquet")
    minutes.write_parquet(tmp_path / "minutes.parquet")
    (tmp_path / "groups.py").write_text(GROUPS)
    done = subprocess.run(
        [HOME / "bin" / "python", "groups.py", "mixed.parquet", "minutes.parquet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr[-3000:]


def _rows(site: FeatureSite, feature_set: FeatureSet) -> pl.DataFrame:
    table = table_of(feature_set)
    rows = site.platform.tables[table.name].read()
    assert rows.height > 0
    return rows.drop("known_from").sort(table.key)


def _kill_hung(note: Path) -> None:
    until = time.monotonic() + 120
    while not (note.exists() and note.read_text()):
        if time.monotonic() > until:
            return
        time.sleep(0.05)
    os.kill(int(note.read_text()), signal.SIGKILL)
