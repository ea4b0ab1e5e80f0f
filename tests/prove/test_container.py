"""The image is built and run: it drains a queue in the cloud's way, and SIGTERM to its first process ends it well."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import socketserver
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from quantx.sandbox import Sandbox, load_market
from quantx.sandbox import running as serving

from .. import azurite
from ..azurite import SecureAzurite, start_secure
from ..fleet.fleet import Fleet, Vendor, wait_until
from ..fleet.market import LAST, SYMBOLS, write_market
from ..token_postgres import TokenPostgres, token_postgres
from .image import Image, built, mounted, running, stand_in, why_missing

CONSOLE = ("--start", "2016-01-04", "--end", "2016-12-30", "--symbols", ",".join(SYMBOLS), "--enqueue-only")


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    if missing := why_missing() or azurite.why_missing():
        pytest.skip(missing)
    with built(stand_in()) as found:
        print(
            f"\nbuilt in {found.seconds:.0f} s: {found.megabytes:.0f} MB, of which the stand-in of the base is"
            f" {found.base_megabytes:.0f} MB"
        )
        yield found


class Insights:
    """Takes what Application Insights takes, and counts the spans by name."""

    def __init__(self) -> None:
        self.spans: Counter[str] = Counter()
        insights = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                items = json.loads(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                for item in items:
                    if item["data"]["baseType"] == "RemoteDependencyData":
                        insights.spans[item["data"]["baseData"]["name"]] += 1
                answer = {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}
                told = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def connection_string(self) -> str:
        at = f"http://127.0.0.1:{self.server.server_port}/"
        return f"InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint={at};LiveEndpoint={at}"


class Relay:
    """A port of this machine that leads to a socket which only the owner of its folder may use."""

    def __init__(self, path: str) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.socket(socket.AF_UNIX) as inside:
                    inside.connect(path)
                    back = threading.Thread(target=_pass_on, args=(inside, self.request), daemon=True)
                    back.start()
                    _pass_on(self.request, inside)
                    back.join()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass
class Cloud:
    """The services of a container in Azure: storage without keys, PostgreSQL without passwords, traces, a vendor."""

    secure: SecureAzurite
    postgres: TokenPostgres
    insights: Insights
    fleet: Fleet
    folders: list[Path] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.fleet.settings,
            "QUANTX_LOG_LEVEL": "INFO",
            "APPLICATIONINSIGHTS_CONNECTION_STRING": self.insights.connection_string,
        }

    def states(self) -> Counter[str]:
        name = urlsplit(self.fleet.settings["QUANTX_STATE_URL"]).path.lstrip("/")
        with psycopg.connect(self.postgres.admin.replace("/postgres?", f"/{name}?")) as connection:
            return Counter(row[0] for row in connection.execute("select state from quantx.tasks").fetchall())

    def plan(self) -> None:
        """Plan in this process, as a trigger would."""
        self.fleet.here("backfill", *CONSOLE)
        assert self.states() == {"pending": len(SYMBOLS)}


@pytest.fixture
def clouds(server_folder: Callable[[], Path], tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    with contextlib.ExitStack() as ending:

        def start(quota: str) -> Cloud:
            secure = start_secure(server_folder(), keyless=True)
            ending.callback(secure.identity.stop)
            ending.callback(secure.azurite.stop, kill=True)
            postgres = ending.enter_context(token_postgres(server_folder(), secure.identity))
            insights = Insights()
            ending.callback(insights.server.server_close)
            ending.callback(insights.server.shutdown)
            market = load_market(write_market(tmp_path))
            vendor = ending.enter_context(serving(Sandbox(market, now=LAST)))
            folder = parse_qs(urlsplit(postgres.admin).query)["host"][0]
            relay = Relay(f"{folder}/.s.PGSQL.5432")
            ending.callback(relay.close)
            name = f"proof-{uuid.uuid4().hex[:12]}"
            postgres.new_database(name)
            settings = {
                **secure.environment,
                "QUANTX_LAKE_URL": f"az://{name}/lake",
                "QUANTX_QUEUE_URL": f"{secure.azurite.queue_endpoint}/{name}",
                "QUANTX_STATE_URL": f"postgresql://owner@{relay.address}/{name}",
                "QUANTX_STATE_IDENTITY": "true",
                "QUANTX_YFINANCE_BASE_URL": vendor,
                "QUANTX_YFINANCE_QUOTA": quota,
            }
            certificates = Path(secure.environment["SSL_CERT_FILE"]).parent
            certificates.chmod(0o755)
            return Cloud(secure, postgres, insights, Fleet(settings, Vendor(vendor), tmp_path), [certificates])

        yield start


def test_it_holds_what_runs_and_nothing_that_builds(image: Image) -> None:
    assert image.config["User"] == "10001"
    assert image.config["Entrypoint"] == ["python", "/app/container/cli.py"]
    assert not [v for v in image.config["Env"] if "TOKEN" in v or "KEY" in v or "PASSWORD" in v]
    with mounted(image) as root:
        libraries = next(root.glob("venv/lib/python3*/site-packages"))
        for builder in ("pip", "setuptools", "hatchling", "wheel"):
            assert not (libraries / builder).exists(), builder
        for program in ("gcc", "cc", "make", "git", "curl"):
            assert not any((root / folder / program).exists() for folder in ("usr/bin", "usr/local/bin", "venv/bin")), (
                program
            )
        for part in ("tools", "build", "wheels", "app/src", "app/tests"):
            assert not (root / part).exists(), part
        assert (libraries / "azure/monitor/opentelemetry").is_dir()
        assert (root / "app").stat().st_uid == 10001
        assert (root / "app/container/cli.py").stat().st_mode & 0o022 == 0


def test_it_drains_a_queue_without_a_key(image: Image, clouds: Callable[..., Cloud]) -> None:
    cloud = clouds("unlimited")
    cloud.plan()
    begun = time.monotonic()
    with running(image, ["work", "--until-empty", "--time-budget", "120"], cloud.environment, cloud.folders) as worker:
        assert worker.wait() == 0, worker.said[-6000:]
        said = worker.said
    print(f"\ndrained {len(SYMBOLS)} tasks in {time.monotonic() - begun:.1f} s, start and imports included")
    assert f"fetched {len(SYMBOLS)} replies" in said
    assert cloud.states() == {"done": len(SYMBOLS)}
    rows = cloud.fleet.told("show-manifest")["series"]
    assert sum(row["rows"] for row in rows) == 252 * len(SYMBOLS) - 1  # one day of the invented market is impossible
    assert not [token for token in cloud.postgres.tokens if token in said]
    assert cloud.insights.spans["fetch"] == len(SYMBOLS)
    assert {"batch", "land", "round", "commit"} <= cloud.insights.spans.keys()


def test_in_the_middle_of_its_work_sigterm_ends_it_well(image: Image, clouds: Callable[..., Cloud]) -> None:
    cloud = clouds("2/s")
    cloud.plan()
    work = ["work", "--until-empty"]
    with running(image, work, {**cloud.environment, "QUANTX_CHUNK_SIZE": "4"}, cloud.folders) as worker:
        wait_until(lambda: cloud.states()["landed"] + cloud.states()["done"] > 0 or not worker.is_running())
        assert worker.is_running(), worker.said[-6000:]
        assert (worker.command.split()[0], worker.number_inside) == ("python", 1)
        begun = time.monotonic()
        worker.terminate()
        assert worker.wait(30) == 0, worker.said[-6000:]
        print(f"\nended {time.monotonic() - begun:.1f} s after SIGTERM")
        assert "Traceback" not in worker.said
    left = cloud.states()
    assert left["leased"] == left["failed"] == 0, left  # what it held was given back
    assert left["pending"] > 0, left
    with running(image, work, {**cloud.environment, "QUANTX_YFINANCE_QUOTA": "unlimited"}, cloud.folders) as worker:
        assert worker.wait() == 0, worker.said[-6000:]
    assert cloud.states() == {"done": len(SYMBOLS)}


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.5])
def test_while_it_starts_sigterm_ends_it_well(image: Image, seconds: float) -> None:
    nowhere = {"QUANTX_STATE_URL": "postgresql://nobody@127.0.0.1:1/none", "QUANTX_LAKE_URL": "/app/data/lake"}
    with running(image, ["work"], nowhere) as worker:
        wait_until(lambda: worker.command.startswith("python ") or not worker.is_running())
        time.sleep(seconds)
        begun = time.monotonic()
        _insist(worker.terminate, worker.is_running)
        assert worker.wait(20) == 0, worker.said[-3000:]
        print(f"\nended {time.monotonic() - begun:.1f} s after SIGTERM")


def _insist(terminate: Callable[[], None], is_running: Callable[[], bool]) -> None:
    """Send SIGTERM again while nobody listens yet: to process 1 it is nothing before Python has read the first line."""
    for _ in range(100):
        if not is_running():
            return
        with contextlib.suppress(IndexError, ProcessLookupError):
            terminate()
        time.sleep(0.1)
