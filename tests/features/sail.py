"""A real Sail server whose workers are processes of this machine, and can be killed.

Sail starts workers as pods of Kubernetes. Here a fake of that API starts `sail worker` with the pod's environment.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv" / "spark"
SAIL = HOME / "bin" / "sail"
WORKERS = 2
_LAG = 2  # seconds without a heartbeat after which a worker counts as lost


@dataclass
class Pods:
    """The workers that Sail has asked for, as processes."""

    folder: Path
    environment: Mapping[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)  # Sail asks for all workers at once

    def create(self, pod: dict[str, object]) -> None:
        """Start a worker with the environment of its pod; its address is this machine's."""
        [container] = pod["spec"]["containers"]  # type: ignore[index]
        given = {each["name"]: each.get("value") or "127.0.0.1" for each in container["env"]}
        environment = {**os.environ, **self.environment, **given, "SAIL_CLUSTER__WORKER_LISTEN_HOST": "127.0.0.1"}
        with self.lock, (self.folder / f"worker-{len(self.started)}.log").open("wb") as log:
            environment["QUANTX_TEST_WORKER"] = str(len(self.started))
            self.started.append(subprocess.Popen([SAIL, "worker"], env=environment, stdout=log, stderr=log))

    def stop(self) -> None:
        for worker in self.started:
            worker.kill()
            worker.wait()


@dataclass(frozen=True)
class Sail:
    """A running server."""

    remote: str
    pods: Pods


@contextmanager
def running_sail(folder: Path, environment: Mapping[str, str]) -> Iterator[Sail]:
    """Run a server with two workers; `environment` is also that of the workers."""
    pods = Pods(folder, environment)
    with _kubernetes(pods) as config:
        port = _free_port()
        settings = {
            "KUBECONFIG": str(config),
            "SAIL_MODE": "kubernetes-cluster",
            "SAIL_KUBERNETES__NAMESPACE": "default",
            "SAIL_CLUSTER__WORKER_INITIAL_COUNT": str(WORKERS),
            "SAIL_CLUSTER__WORKER_MAX_COUNT": str(WORKERS),
            "SAIL_CLUSTER__WORKER_TASK_SLOTS": "1",
            "SAIL_CLUSTER__WORKER_HEARTBEAT_INTERVAL_SECS": "1",
            "SAIL_CLUSTER__WORKER_HEARTBEAT_TIMEOUT_SECS": str(_LAG),
            "SAIL_EXECUTION__DEFAULT_PARALLELISM": str(WORKERS),
        }
        with (folder / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [SAIL, "spark", "server", "--ip", "127.0.0.1", "--port", str(port)],
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
            )
        try:
            _await(port, server)
            yield Sail(f"sc://127.0.0.1:{port}", pods)
        finally:
            server.kill()
            server.wait()
            pods.stop()


@contextmanager
def _kubernetes(pods: Pods) -> Iterator[Path]:
    """Serve the part of Kubernetes' API that Sail uses; return the configuration of its client."""

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            pod = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pods.create(pod)
            self._answer(201, pod)

        def do_DELETE(self) -> None:
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []})

        def _answer(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    named = {"cluster": "c", "user": "u", "namespace": "default"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": named}],
        "current-context": "x",
    }
    path = pods.folder / "kubeconfig"
    path.write_text(json.dumps(config))
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _await(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return when the server listens."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError("the Sail server does not listen")
