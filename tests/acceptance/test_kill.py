"""kill -9 at any moment, then the same command: the same tables as without the kill."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

pytestmark = pytest.mark.slow

SYMBOLS = ["AAA", "BBB", "CCC", "DDD", "EEE", "BRK.B", "GGG", "HHH", "III", "JJJ", "KKK", "LLL", "MMM", "NNN"]
COMMAND = ("backfill", "--start", "2005-01-01", "--end", "2016-12-30", "--symbols", ",".join(SYMBOLS))
MORE = {"QUANTX_LEASE_SECONDS": "1.5", "QUANTX_CHUNK_SIZE": "2", "QUANTX_MAX_WORKERS": "2"}


@pytest.fixture(scope="module")
def vendor(vendors: Callable[..., Any], invented_files: Path) -> Any:
    """A vendor that takes its time, so that a kill falls into the work."""
    return vendors(invented_files, latency=0.05)


@pytest.fixture(scope="module")
def undisturbed(vendor: Any, installations: Callable[..., Any]) -> Any:
    installation = installations(vendor.url)
    installation.here(*COMMAND).ends_with(0)
    return installation


class Watcher:
    """Reads the table again and again while others write it, and remembers what was wrong."""

    def __init__(self, installation: Any) -> None:
        self._path = str(installation.path("bars_1d"))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.wrong: list[str] = []

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(20)

    def _watch(self) -> None:
        rows = 0
        while not self._over.wait(0.2):
            try:
                if not DeltaTable.is_deltatable(self._path):
                    continue
                seen = pl.read_delta(self._path)
                if seen.select("symbol", "date").is_duplicated().any():
                    self.wrong.append("a bar twice")
                if seen.height < rows:
                    self.wrong.append(f"{rows} bars, then {seen.height}")
                rows = seen.height
            except Exception as error:  # noqa: BLE001 — whatever a reader meets is what this looks for
                self.wrong.append(repr(error))


def _same_tables(one: Any, other: Any) -> None:
    for name in ("bars_1d", "bars_1d_revisions", "actions", "actions_revisions", "quarantine"):
        a, b = (
            t.drop("raw", "known_from", strict=False).sort(pl.all()) if t.width else t
            for t in (one.table(name), other.table(name))
        )
        assert a.equals(b), (name, a, b)


@pytest.fixture
def watched(installations: Callable[..., Any], vendor: Any) -> Iterator[Any]:
    installation = installations(vendor.url, embedded=True, **MORE)
    with Watcher(installation) as watcher:
        yield installation
    assert watcher.wrong == []


def test_killed_at_random_moments(
    watched: Any, vendor: Any, undisturbed: Any, stop_postgres: Callable[..., Any], kill: Callable[..., Any]
) -> None:
    """The process alone, or its PostgreSQL with it, at once or by force."""
    chance = random.Random(20161230)
    servers = [None, signal.SIGQUIT, None, signal.SIGKILL, None, signal.SIGQUIT]
    for server in servers:
        asked, wanted = vendor.requests(), chance.randrange(0, 5)
        process = watched.start(*COMMAND)
        while process.poll() is None and vendor.requests() < asked + wanted:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.7))
        kill(process)
        if server is not None:
            stop_postgres(Path(watched.state), server)
        process.communicate()
    watched.run(*COMMAND).ends_with(0)

    _same_tables(watched, undisturbed)
    bars = watched.table("bars_1d")
    assert sorted(bars["symbol"].unique()) == sorted(SYMBOLS)
    assert not bars.select("source", "symbol", "date").is_duplicated().any()
    for path in watched.lake.rglob("*.parquet"):
        pq.read_table(path)  # nothing half-written has a name that a reader takes


def test_afterwards_nothing_is_asked_again(undisturbed: Any, vendor: Any) -> None:
    asked, versions = vendor.requests(), undisturbed.versions()
    undisturbed.here(*COMMAND).ends_with(0)
    assert vendor.requests() == asked
    assert undisturbed.versions() == versions
