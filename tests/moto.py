"""moto's server: a mock of Amazon S3, STS and IAM that honours conditional puts.

`make test` installs it in .venv/aws, an environment of its own. Tests that need it are skipped where it can't be
installed. Everything is in its memory.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ENVIRONMENT = Path(os.environ.get("QUANTX_AWS_TOOLS") or Path(sys.prefix) / "aws")
PID_FILE = "moto.pid"  # the janitor ends what it names
_TIMEOUT = 60  # seconds


def why_missing() -> str | None:
    """Return the reason why there is no moto, None where there is one."""
    if (ENVIRONMENT / "bin" / "moto_server").is_file():
        return None
    return "no mock of Amazon S3 in .venv/aws; `make test` puts it there where a package registry can be reached"


@dataclass
class Moto:
    """A running server."""

    folder: Path
    checks_rights: bool = False  # refuse keys that it did not issue
    _port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which a process reaches it, and no file of this machine's user."""
        files = {name: str(self.folder / "none") for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
        return {**files, **keys, "AWS_ENDPOINT_URL": self.endpoint}

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        command = [ENVIRONMENT / "bin" / "python", ENVIRONMENT / "bin" / "moto_server", "-H", "127.0.0.1"]
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "1" if self.checks_rights else "inf"}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, "-p", str(self._port)], stdout=log, stderr=log, env=environment)
        (self.folder / PID_FILE).write_text(str(self._process.pid))
        until = time.monotonic() + _TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"moto did not start: {(self.folder / 'log').read_text()[-1000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(_TIMEOUT)
        (self.folder / PID_FILE).unlink(missing_ok=True)

    def new_bucket(self) -> str:
        """Make a bucket and return its name."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        signed = (
            "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        )
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)) as connection:
            connection.request("PUT", f"/{name}", headers={"Authorization": signed})
            assert connection.getresponse().status == 200
        return name

    def _answers(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)) as connection:
                connection.request("GET", "/moto-api/")
                return connection.getresponse().status < 500
        except OSError:
            return False


@contextmanager
def running_moto(folder: Path, *, checks_rights: bool = False) -> Iterator[Moto]:
    """Run a server for a while; skip the test where there is none."""
    if missing := why_missing():
        pytest.skip(missing)
    server = Moto(folder, checks_rights)
    server.start()
    try:
        yield server
    finally:
        server.stop()
