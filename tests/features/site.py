"""An installation without a vendor: a lake in a folder, a state in memory, and series that a test changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from quantx.core.calendars import calendar
from quantx.core.features.feature import FeatureSet
from quantx.core.features.sets import SETS
from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS, BARS_1D, SYMBOL_HISTORY, TABLES, UNIVERSE_MEMBERS
from quantx.features.build import Built, build
from quantx.features.engines.local import LocalEngine
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.queues.memory import MemoryQueue
from quantx.reader.lake import Lake, lake_of
from quantx.settings import load_settings
from quantx.state.memory import MemoryState

KNOWN = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = [day for day in calendar("XNYS").days if date(2019, 1, 2) <= day <= date(2022, 12, 30)]


@dataclass
class TestClock:
    """A clock that a test sets."""

    __test__ = False
    at: datetime = datetime(2023, 1, 2, 9, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Dies(BaseException):
    """The process ends here."""


class DyingLocation(LakeLocation):
    """A store at whose n-th write the process dies: before it, or after it. None: it lives."""

    writes_left: int | None = None
    after = False

    @staticmethod
    def of(location: LakeLocation) -> DyingLocation:
        return DyingLocation(**{each.name: getattr(location, each.name) for each in fields(location)})

    def create(self, path: str, body: bytes) -> bool:
        self._count(lambda: LakeLocation.create(self, path, body))
        return super().create(path, body)

    def put_new(self, path: str, body: bytes) -> None:
        self._count(lambda: LakeLocation.put_new(self, path, body))
        super().put_new(path, body)

    def _count(self, write: Callable[[], object]) -> None:
        if self.writes_left is None:
            return
        self.writes_left -= 1
        if self.writes_left < 0:
            if self.after:
                write()
            raise Dies


@dataclass
class FeatureSite:
    """A lake whose bars and actions a test commits."""

    folder: Path
    clock: TestClock = field(default_factory=TestClock)

    def __post_init__(self) -> None:
        self.settings = load_settings(lake_url=str(self.folder))
        location, state = DyingLocation.of(open_location(str(self.folder))), MemoryState(self.clock)
        confirm_lake(location, state)
        self.platform = Platform(
            settings=self.settings,
            clock=self.clock,
            location=location,
            state=state,
            queue=MemoryQueue(self.clock),
            providers={},
            tables=open_tables(location, TABLES),
            quotas={},
        )
        self.location = location

    def lake(self) -> Lake:
        return lake_of(self.settings)

    def build(self, chosen: str | FeatureSet = "technical", symbols: Sequence[str] | None = None) -> Built:
        self.clock.at += timedelta(hours=1)
        feature_set = SETS[chosen] if isinstance(chosen, str) else chosen
        built = build(self.platform, feature_set, LocalEngine(), symbols=symbols)
        assert built is not None
        return built

    def commit(self, table: Table, new: pl.DataFrame, changed: pl.DataFrame | None = None) -> None:
        self.clock.at += timedelta(minutes=1)
        instant = pl.lit(self.clock.at, INSTANT).alias("known_from")
        changed = table.empty() if changed is None else changed
        stored = self.platform.tables[table.name]
        stored.commit(CommitContext(), new.with_columns(instant), changed.with_columns(instant))

    def withdraw(self, rows: pl.DataFrame) -> None:
        self.platform.tables[BARS_1D.name].commit(CommitContext(), BARS_1D.empty(), gone=rows)

    def bars(self, symbol: str) -> pl.DataFrame:
        return self.platform.tables[BARS_1D.name].read(pl.col("symbol") == symbol).sort("date")

    def copy(self, folder: Path) -> FeatureSite:
        """Return a site with the same curated tables, and no features."""
        shutil.copytree(self.folder / "curated", folder / "curated")
        return FeatureSite(folder)


def bars_of(symbol: str, seed: int, days: Sequence[date] = DAYS, level: float = 50.0) -> pl.DataFrame:
    """Return a random walk as rows of bars."""
    random = np.random.default_rng(seed)
    close = level * np.exp(np.cumsum(random.normal(0, 0.015, len(days))))
    spread = 1 + np.abs(random.normal(0, 0.006, (2, len(days))))
    frame = pl.DataFrame(
        {
            "source": "yahoo",
            "year": [day.year for day in days],
            "symbol": symbol,
            "date": list(days),
            "open": close * (1 + random.normal(0, 0.002, len(days))),
            "high": close * spread[0],
            "low": close / spread[1],
            "close": close,
            "volume": random.integers(1_000, 900_000, len(days)),
            "currency": "USD",
            "raw": "raw1",
            "known_from": KNOWN,
        }
    )
    return frame.cast(dict(BARS_1D.schema)).select(list(BARS_1D.schema))


def named(instrument: str, *namings: tuple[str, date | None, date | None]) -> pl.DataFrame:
    """Return the symbol history of one security."""
    rows = [(instrument, symbol, first, last, "test", KNOWN) for symbol, first, last in namings]
    return pl.DataFrame(rows, schema=dict(SYMBOL_HISTORY.schema), orient="row")


def member(universe: str, symbol: str, first: date | None = None, last: date | None = None) -> pl.DataFrame:
    row = (universe, "phase_1", symbol, "us", symbol, first, last, KNOWN)
    return pl.DataFrame([row], schema=dict(UNIVERSE_MEMBERS.schema), orient="row")


def action(symbol: str, day: date, kind: str, value: float, reference: float | None = None) -> pl.DataFrame:
    row = ("yahoo", symbol, day, kind, value, reference, "USD", "raw1", KNOWN)
    return pl.DataFrame([row], schema=dict(ACTIONS.schema), orient="row")
