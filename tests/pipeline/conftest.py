"""A vendor in memory that a test controls, and a platform around it: a real PostgreSQL, a real lake."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.model import Payload, Window
from quantx.core.tables import TABLES
from quantx.errors import MalformedPayload
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.fetching.landing import Progress
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reprocessing.summary import ReprocessSummary
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.wiring import reprocessor_of, worker_of
from quantx.providers.drift import FieldChange, Shape
from quantx.providers.events import SentEvent, day_of, read_events
from quantx.providers.protocol import VENDOR_BARS, Capabilities, Page, Request, VendorFrames
from quantx.providers.reply_values import parsed_json
from quantx.queues.postgres import PostgresQueue
from quantx.settings import load_settings
from quantx.state.database import Database
from quantx.state.postgres import PostgresState
from quantx.state.tasks.port import Plan

from ..databases import Databases

Bar = tuple[float | None, ...]  # open, high, low, close, volume


class Dies(BaseException):
    """The process ends here."""


class DyingTable:
    """A table at whose commit the process dies: before it, or after it."""

    def __init__(self, real: Any, *, after: bool) -> None:
        self._real, self._after = real, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def commit(self, *arguments: Any, **named: Any) -> bool:
        if self._after:
            self._real.commit(*arguments, **named)
        raise Dies


@dataclass
class StoppedClock:
    """Tells the time that a test sets."""

    at: datetime = datetime(2024, 1, 12, 23, 0, tzinfo=UTC)  # a Friday, after New York's close

    def now(self) -> datetime:
        return self.at

    def goes_to(self, day: date, hour: int = 23) -> None:
        self.at = datetime.combine(day, time(hour), UTC)


SHAPE = Shape("bars", {"bars": "any", "actions": "any", "adjusted?": "any"})


@dataclass
class Tape:
    """A vendor of as-traded bars: `shows` are its bars, `answers` replace its next replies about a symbol."""

    clock: StoppedClock
    shows: dict[str, dict[date, Bar]] = field(default_factory=dict)
    pays: dict[str, list[tuple[date, str, float, str | None]]] = field(default_factory=dict)
    adjusts: dict[str, dict[date, float]] = field(default_factory=dict)  # adjusted closes, where it sends any
    answers: dict[str, list[Exception | bytes | Callable[[], object]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    asked: list[tuple[str, Window]] = field(default_factory=list)
    extra: dict[str, object] = field(default_factory=dict)  # further fields of its replies
    shape: Shape = SHAPE
    capabilities: ClassVar = Capabilities(
        source="tape",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
    )

    def trades(self, symbol: str, start: date, end: date) -> None:
        """Show a bar for each session between two days."""
        bars = self.shows.setdefault(symbol, {})
        for day in calendar("XNYS").sessions(start, end):
            level = 100.0 + day.day
            bars[day] = (level, level + 1, level - 1, level + 0.5, 1000.0)

    def prepare(self) -> None:
        """Nothing has to be loaded."""

    def fetch(self, request: Request) -> Iterator[Page]:
        (symbol,) = request.symbols
        yield Page.whole(self._reply(symbol, request.window), [symbol])

    def _reply(self, symbol: str, window: Window) -> Payload:
        self.asked.append((symbol, window))
        body = None
        if self.answers[symbol]:
            answer = self.answers[symbol].pop(0)
            if isinstance(answer, bytes):
                body = answer
            elif isinstance(answer, Exception):
                raise answer
            else:
                answer()
        now = self.clock.now()
        if body is None:
            today = now.date()
            bars = [[str(d), *b] for d, b in self.shows.get(symbol, {}).items() if window.start <= d <= today]
            adjusted = {str(d): close for d, close in self.adjusts.get(symbol, {}).items()}
            actions = [[str(d), *e] for d, *e in self.pays.get(symbol, [])]
            body = json.dumps({"bars": bars, "actions": actions, "adjusted": adjusted, **self.extra}).encode()
        payload = Payload(symbol, f"tape:{symbol}", 200, now, content_type="application/json", body=body)
        if body.startswith(b"<html>"):
            raise MalformedPayload("the tape is torn", payload)
        return payload

    def normalize(self, payload: Payload) -> VendorFrames:
        try:
            document = json.loads(payload.body)
        except ValueError as error:
            raise MalformedPayload(f"no JSON: {error}", payload) from error
        bars = pl.DataFrame(
            [(date.fromisoformat(day), *values) for day, *values in document["bars"]],
            schema={"date": pl.Date, **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64)},
            orient="row",
        )
        bars = bars.with_columns(
            pl.col("date").cast(VENDOR_BARS["time"]).alias("time"),
            pl.Series(
                "vendor_adj_close", map(document.get("adjusted", {}).get, map(str, bars["date"])), dtype=pl.Float64
            ),
            pl.lit(payload.symbol).alias("symbol"),
        )
        events = read_events(
            SentEvent(
                symbol=payload.symbol,
                kind=kind,
                place=f"actions[{position}]",
                sent=[day, kind, value, paid_in],
                day=day_of(day),
                value=value,
                paid_in=paid_in,
            )
            for position, (day, kind, value, paid_in) in enumerate(document["actions"])
        )
        return VendorFrames(
            bars.select(list(VENDOR_BARS)),
            events.actions,
            "USD",
            rejected=events.rejected,
            drift=self.shape.changes(document),
        )

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        return self.shape.changes(parsed_json(payload), every_value=True)


@dataclass
class StateWith:
    """A state with some of its parts replaced."""

    real: Any
    parts: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        return self.parts[name] if name in self.parts else getattr(self.real, name)


@dataclass
class Desk:
    """A platform and its vendor, with the few moves that tests make."""

    platform: Platform
    tape: Tape
    clock: StoppedClock
    database: Database

    def backfill(self, *symbols: str, start: str = "2024-01-02", end: str = "2024-01-12") -> Plan:
        window = Window(date.fromisoformat(start), date.fromisoformat(end))
        return plan_backfill(self.platform, Scope(symbols), window, source="tape")

    def daily(self, *symbols: str, lookback: int = 5) -> Plan:
        return plan_daily(self.platform, Scope(symbols), source="tape", lookback=lookback)

    def work(self, plan: Plan | None = None, platform: Platform | None = None) -> Progress:
        return worker_of(platform or self.platform).run(task_ids=plan.task_ids if plan else None)

    def with_(self, **parts: Any) -> Platform:
        """The platform of another worker, with some of its parts replaced."""
        return replace(self.platform, runtime=Threads(), **parts)

    def with_state(self, **parts: Any) -> Platform:
        """The platform of another worker, with some parts of its state replaced."""
        return self.with_(state=StateWith(self.platform.state, parts))

    def rows(self, table: str = "bars_1d") -> pl.DataFrame:
        return self.platform.tables[table].scan().collect().sort(list(TABLES[table].sort))

    def sql(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with self.database.transaction() as connection:
            cursor = connection.execute(statement, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def task(self, symbol: str) -> dict[str, Any]:
        return self.sql("select * from tasks where symbol = %s order by id desc limit 1", symbol)[0]

    def series(self, symbol: str) -> dict[str, Any]:
        return self.sql(
            "select *, covered::text as covered, nothing::text as nothing from series where symbol = %s", symbol
        )[0]

    def versions(self) -> dict[str, int | None]:
        return {name: table.version() for name, table in self.platform.tables.items()}


def reprocess(platform: Platform, *choice: Any, **options: Any) -> ReprocessSummary:
    return reprocessor_of(platform).reprocess(*choice, **options)


@pytest.fixture(scope="session", autouse=True)
def calendars() -> None:
    calendar("XNYS")


class Reads:
    """A table that keeps what was asked of it."""

    def __init__(self, table: Any) -> None:
        self._table, self.plans = table, list[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def collect(self, rows: pl.LazyFrame) -> pl.DataFrame:
        self.plans.append(rows.explain())
        return self._table.collect(rows)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """A desk on Friday 2024-01-12 after the close; AAA and BBB have traded since the year began."""
    return open_desk(database, tmp_path / "lake")


@pytest.fixture
def another_desk(tmp_path: Path) -> Callable[..., Desk]:
    return lambda database, folder="lake": open_desk(database, tmp_path / folder)


def open_desk(database: Database, folder: Path) -> Desk:
    sources = {"1d": {"any": ("tape",)}}
    settings = load_settings(
        lease_seconds=1.2,
        max_attempts=2,
        max_workers=2,
        lake_url=str(folder),
        sources=sources,
        universe_path=folder.parent / "universes.yaml",  # none: what the state knows is enabled
    )
    clock = StoppedClock()
    tape = Tape(clock)
    for symbol in ("AAA", "BBB", "CCC", "DDD"):
        tape.trades(symbol, date(2024, 1, 2), date(2024, 3, 28))
    location = open_location(settings.lake_url, settings)
    platform = Platform(
        settings=settings,
        clock=clock,
        location=location,
        tables=open_tables(location, TABLES),
        state=PostgresState(database),
        queue=PostgresQueue(database),
        providers={"tape": tape},
        quotas={},
    )
    return Desk(platform, tape, clock, database)


@pytest.fixture(scope="session", name="open_desk")
def opens_desks() -> Callable[[Database, Path], Desk]:
    return open_desk


@pytest.fixture(scope="session")
def new_database(databases: Databases) -> Callable[[], AbstractContextManager[Database]]:
    """Opens databases beside that of the test, for histories that are compared with it."""

    @contextmanager
    def make() -> Iterator[Database]:
        with databases.migrated() as url, contextlib.closing(Database(url)) as opened:
            yield opened

    return make


@pytest.fixture
def fresh_database(new_database: Callable[[], AbstractContextManager[Database]]) -> Iterator[Database]:
    with new_database() as opened:
        yield opened
