"""The platform as its users meet it: commands in processes of their own, a vendor behind HTTP, a lake in a folder."""

from __future__ import annotations

import contextlib
import csv
import http.client
import io
import json
import lzma
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from deltalake import DeltaTable

import quantx
from quantx.cli import main
from quantx.core.calendars import calendar
from quantx.sandbox import Sandbox, load_market, running

SOURCE = str(Path(quantx.__file__).parents[1])
HEADER = "Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio,AdjOpen,AdjHigh,AdjLow,AdjClose,AdjVolume"
CSV = {
    **dict.fromkeys(("symbol", "date"), pl.String),
    **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
    "volume": pl.Int64,
    "adj_close": pl.Float64,
    "source": pl.String,
    "known_from": pl.String,
}
RECORDED = ("AAPL", "ABT", "AIG", "BAC", "C", "GE", "GGP", "HPQ", "MSFT", "NFLX", "NKE", "ORCL", "V")
TABLES = ("bars_1d", "bars_1d_revisions", "actions", "actions_revisions", "quarantine")


@dataclass(frozen=True)
class Traded:
    """One row of a file: what was traded on a day, and what happened on its morning."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    dividend: float
    ratio: float

    @property
    def possible(self) -> bool:
        """Whether such a day can have been: NFLX of 2016-11-17 opens below its low, in the recorded file."""
        prices = (self.open, self.high, self.low, self.close)
        return min(prices) > 0 and self.low == min(prices) and self.high == max(prices) and self.volume >= 0


class Vendor:
    """The sandbox behind HTTP, in a process of its own or in a thread of this one (which saves the imports)."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        return self._ask("GET", "stats")

    def requests(self) -> int:
        return int(self.stats()["total"])

    def tell(self, control: str, **body: object) -> None:
        self._ask("POST", control, json.dumps(body))

    def _ask(self, method: str, control: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=5)
        with contextlib.closing(connection):
            connection.request(method, f"/_sandbox/{control}", body)
            reply = connection.getresponse()
            said = json.loads(reply.read())
            assert reply.status == 200, said
            return said


@contextlib.contextmanager
def vendor_process(folder: Path, now: str, log: Path, port: int) -> Iterator[Vendor]:
    command = [sys.executable, "-m", "quantx", "sandbox", "--data", str(folder), "--now", now, "--port", str(port)]
    with log.open("wb") as sink:
        environment = {**os.environ, "PYTHONPATH": SOURCE}
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True, env=environment)
    vendor = Vendor(f"http://127.0.0.1:{port}")
    try:
        for _ in range(300):
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError):
                vendor.stats()
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"the sandbox does not answer: {log.read_text()}")
        yield vendor
    finally:
        kill_group(process)


@contextlib.contextmanager
def vendor_thread(folder: Path, now: str, **options: Any) -> Iterator[Vendor]:
    with running(Sandbox(load_market(folder), now=now, **options)) as url:
        yield Vendor(url)


@dataclass
class Ran:
    code: int
    out: str
    err: str

    def ends_with(self, code: int) -> Ran:
        assert self.code == code, f"exit {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.out + self.err
        return self


@dataclass
class Installation:
    """A lake, a state, and the environment that names them."""

    lake: Path
    state: str
    vendor_url: str
    more: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "QUANTX_LAKE_URL": str(self.lake),
            "QUANTX_STATE_URL": self.state,
            "QUANTX_YFINANCE_BASE_URL": self.vendor_url,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
            **self.more,
        }

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start the command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "quantx", *map(str, arguments)],
            env={**os.environ, **self.settings, "PYTHONPATH": SOURCE},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: object, patience: float = 120) -> Ran:
        """Run the command in a process of its own."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=patience)
        finally:
            kill_group(process)
        return Ran(process.returncode, out, err)

    def here(self, *arguments: object) -> Ran:
        """Run the command in this process, which saves the two seconds of its imports."""
        out, err = io.StringIO(), io.StringIO()
        before = dict(os.environ)
        os.environ.update(self.settings)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main([str(a) for a in arguments])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return Ran(code, out.getvalue(), err.getvalue())

    def query(self, symbols: Sequence[str], *options: object) -> pl.DataFrame:
        """What `quantx query` gives as CSV."""
        ran = self.here("query", "--symbols", ",".join(symbols), "--format", "csv", *options).ends_with(0)
        return pl.read_csv(ran.out.encode(), schema=CSV).with_columns(pl.col("date").str.to_date())

    def path(self, table: str) -> Path:
        return self.lake / ("quarantine" if table == "quarantine" else f"curated/{table}")

    def table(self, name: str) -> pl.DataFrame:
        """Return a table as any Delta reader sees it."""
        path = self.path(name)
        return pl.read_delta(str(path)) if DeltaTable.is_deltatable(str(path)) else pl.DataFrame()

    def versions(self) -> dict[str, int]:
        return {
            name: DeltaTable(str(self.path(name))).version()
            for name in TABLES
            if DeltaTable.is_deltatable(str(self.path(name)))
        }


def kill_group(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def read_traded(path: Path) -> list[Traded]:
    """Read an as-traded file, oldest first, with nothing but the csv module."""
    text = lzma.decompress(path.read_bytes()).decode() if path.suffix == ".xz" else path.read_text()
    rows = []
    for row in csv.DictReader(text.splitlines()):
        names = ("Open", "High", "Low", "Close", "Volume", "ExDividend", "SplitRatio")
        if any(row[name] == "" for name in names):
            continue
        rows.append(Traded(date.fromisoformat(row["Date"]), *(float(row[name]) for name in names)))
    return sorted(rows, key=lambda r: r.day)


def yahoo_rule(rows: Sequence[Traded]) -> dict[date, tuple[float, float]]:
    """Return (factor of prices, factor of volume) per day by Yahoo's rule, one row after the other from the end.

    A price is divided by every later split and multiplied by 1 - D / (close of the session before) of every later
    dividend, with D and that close in the shares of the ex-date.
    """
    factors = {}
    price = volume = 1.0
    for i in range(len(rows) - 1, -1, -1):
        factors[rows[i].day] = (price, volume)
        if i and rows[i].dividend:
            price *= 1 - rows[i].dividend / (rows[i - 1].close / rows[i].ratio)
        price /= rows[i].ratio
        volume *= rows[i].ratio
    return factors


def invent(seed: int, first: date, last: date, events: Mapping[date, tuple[float, float]]) -> list[Traded]:
    """Return a random walk as traded; `events` are dividend and split ratio by ex-date (the session from then on)."""
    chance = random.Random(seed)
    worth, shares, rows = 60.0 + 20 * seed, 1.0, []
    waiting = dict(sorted(events.items()))
    for day in calendar("XNYS").sessions(first, last):
        dividend, ratio = 0.0, 1.0
        if waiting and day >= min(waiting):
            dividend, ratio = waiting.pop(min(waiting))
        shares *= ratio
        worth *= 1 + chance.gauss(0.0004, 0.015)
        close = worth / shares
        opened = close * (1 + chance.gauss(0, 0.004))
        high, low = (
            max(opened, close) * (1 + abs(chance.gauss(0, 0.004))),
            min(opened, close) * (1 - abs(chance.gauss(0, 0.004))),
        )
        opened, high, low, close = (round(x, 4) for x in (opened, high, low, close))
        rows.append(Traded(day, opened, high, low, close, float(chance.randrange(10_000, 9_000_000)), dividend, ratio))
    return rows


def write_traded(path: Path, rows: Sequence[Traded]) -> None:
    """Write rows in Quandl's form, newest first as they did."""
    lines = [HEADER]
    for r in sorted(rows, key=lambda r: r.day, reverse=True):
        numbers = (
            r.open,
            r.high,
            r.low,
            r.close,
            r.volume,
            r.dividend,
            r.ratio,
            *(r.open, r.high, r.low, r.close, r.volume),
        )
        lines.append(",".join([r.day.isoformat(), *map(repr, numbers)]))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def invented_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen symbols from 2000 (some later) to the middle of 2017, with what makes histories hard.

    Splits in the window and after it, 3:2, a reverse split, a dividend on the day of a split, a spin-off's odd ratio.
    """
    folder = tmp_path_factory.mktemp("invented")
    quarterly = {date(2000, 2, 10) + timedelta(days=91 * k): (0.25 + 0.01 * (k % 7), 1.0) for k in range(69)}
    histories: dict[str, dict[date, tuple[float, float]]] = {
        "AAA": {**quarterly, date(2005, 2, 28): (0.0, 2.0), date(2014, 6, 9): (0.0, 7.0)},
        "BBB": {date(2003, 1, 7): (0.0, 1.5), date(2017, 3, 1): (0.0, 2.0)},
        "CCC": {date(2009, 6, 1): (0.0, 0.1), date(2017, 2, 1): (0.3, 1.0)},
        "DDD": {date(2008, 5, 5): (0.5, 2.0), date(2012, 5, 7): (1.25, 1.0)},
        "EEE": {date(2011, 7, 1): (0.0, 1.0441)},
        "BRK.B": {date(2010, 1, 21): (0.0, 50.0)},
        **dict.fromkeys(("GGG", "HHH", "III", "JJJ", "KKK", "LLL", "MMM"), quarterly),
        "NNN": {},
    }
    for seed, (symbol, events) in enumerate(histories.items()):
        first = date(2007, 11, 1) if symbol in ("EEE", "NNN") else date(2000, 1, 3)
        write_traded(folder / f"{symbol}.csv", invent(seed, first, date(2017, 6, 30), events))
    return folder


@pytest.fixture(scope="session")
def recorded_files(recorded_market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen recorded symbols and one more."""
    folder = tmp_path_factory.mktemp("recorded")
    for symbol in RECORDED:
        name = f"{symbol}.csv.xz"
        (folder / name).symlink_to(recorded_market_data / "daily_us_unadjusted_with_events_quandl_wiki" / name)
    return folder


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Callable[..., Vendor]]:
    """Starts sandboxes, which end with the module."""
    with contextlib.ExitStack() as started:

        def start(folder: Path, *, process: bool = False, now: str = "2016-12-30", **options: Any) -> Vendor:
            if process:
                log = tmp_path_factory.mktemp("sandbox") / "log"
                return started.enter_context(vendor_process(folder, now, log, free_port()))
            return started.enter_context(vendor_thread(folder, now, **options))

        yield start


@pytest.fixture(scope="module")
def installations(
    tmp_path_factory: pytest.TempPathFactory, server_folder: Callable[[], Path], database_url: str
) -> Iterator[Callable[..., Installation]]:
    """Makes installations with a database on the tests' server, or (`embedded=True`) with an embedded server each."""
    servers: list[Path] = []
    databases: list[str] = []

    def make(vendor_url: str, *, embedded: bool = False, **more: str) -> Installation:
        lake = tmp_path_factory.mktemp("installation") / "lake"
        if embedded:
            servers.append(server_folder())
            state = str(servers[-1])
        else:
            databases.append(f"acceptance_{os.urandom(6).hex()}")
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(f"create database {databases[-1]}")
            state = database_url.replace("/postgres?", f"/{databases[-1]}?")
        return Installation(lake, state, vendor_url, more)

    yield make
    for folder in servers:
        stop_server(folder, signal.SIGQUIT)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in databases:
            connection.execute(f"drop database {name} with (force)")


def stop_server(folder: Path, how: signal.Signals) -> None:
    """End the embedded server of a folder, if there is one: at once (SIGQUIT), or by force (SIGKILL)."""
    pid_file = folder / "postmaster.pid"
    with contextlib.suppress(OSError, IndexError, ValueError):
        os.kill(int(pid_file.read_text().split()[0]), how)
        for _ in range(100):
            if how is signal.SIGKILL or not pid_file.exists():
                break
            time.sleep(0.02)


@pytest.fixture(scope="session")
def traded() -> Callable[[Path, str], list[Traded]]:
    """Reads what a folder has of a symbol."""

    def read(folder: Path, symbol: str) -> list[Traded]:
        return read_traded(next(iter(sorted(folder.glob(f"{symbol}.csv*")))))

    return read


@pytest.fixture(scope="session")
def by_yahoos_rule() -> Callable[[Sequence[Traded]], dict[date, tuple[float, float]]]:
    return yahoo_rule


@pytest.fixture(scope="session")
def write_file() -> Callable[[Path, Sequence[Traded]], None]:
    return write_traded


@pytest.fixture(scope="session")
def stop_postgres() -> Callable[[Path, signal.Signals], None]:
    return stop_server


@pytest.fixture(scope="session")
def kill() -> Callable[[subprocess.Popen[Any]], None]:
    return kill_group
