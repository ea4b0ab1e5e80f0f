"""Queries of callers that are not trusted, in a process of its own with limited memory.

DuckDB's own limits do not hold for every function: `repeat('x', 2000000000)` passes its limit of memory, and no
interrupt stops it. The process is kept for further queries, and ended where a query exceeds a limit.
"""

from __future__ import annotations

import io
import json
import pickle
import selectors
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import IO, Any

import polars as pl

from quantx import errors
from quantx.errors import QuantxError, SqlError, SqlMemoryError
from quantx.reader.sql.limits import Limits, Parameters, Result
from quantx.reader.sql.lockdown import late_error

MEMORY = 2**30  # bytes that a query may use
_OPENING = 60.0  # seconds for the start of the process
_GRACE = 1.0  # seconds after which a query that no interrupt stops is ended with its process
_ENDED = "the query needs more memory than it may use, and its process was ended; narrow it by symbol or date"


class UntrustedQueries:
    """One process that runs queries over a lake, one after the other; it starts with the first one."""

    def __init__(self, lake: object, memory: int = MEMORY) -> None:
        self._opening = pickle.dumps((lake, memory))
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: weakref.finalize[Any, Any] | None = None

    def run(self, sql: str, parameters: Parameters | None, limits: Limits) -> Result:
        """Return the rows of one SELECT; SqlError as of trusted queries, and where the process had to be ended."""
        request = {"sql": sql, "parameters": parameters, "seconds": limits.seconds, "rows": limits.rows}
        with self._lock:
            process = self._started()
            try:
                _send(process, json.dumps(request, default=str).encode())
                header = json.loads(_receive(process, limits.seconds + _GRACE))
                body = _receive(process, limits.seconds + _GRACE) if header.get("rows") else b""
            except TimeoutError:
                self._end()
                raise late_error(limits.seconds) from None
            except (OSError, EOFError):
                self._end()
                raise SqlMemoryError(_ENDED) from None
            if "error" in header and issubclass(_kind(header), SqlMemoryError):
                self._end()  # what it has taken is free for the next query
        if "error" in header:
            raise _kind(header)(header["message"])
        return Result(pl.read_ipc(io.BytesIO(body)), bool(header["cut"]))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        process = subprocess.Popen(
            [sys.executable, "-m", "quantx.reader.sql.untrusted_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._process, self._ending = process, weakref.finalize(self, _kill, process)
        try:
            _send(process, self._opening)
            answer = json.loads(_receive(process, _OPENING))
        except (OSError, EOFError, TimeoutError):
            self._end()
            raise SqlError("the process of the query could not be started; try again") from None
        if "error" in answer:
            self._end()
            raise _kind(answer)(answer["message"])
        return process

    def _end(self) -> None:
        if self._ending is not None:
            self._ending()
        self._process = self._ending = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with suppress(OSError):  # the process has ended with bytes unread
                stream.close()


def _kind(header: dict[str, Any]) -> type[QuantxError]:
    kind = getattr(errors, header["error"], SqlError)
    return kind if issubclass(kind, QuantxError) else SqlError


def _send(process: subprocess.Popen[bytes], body: bytes) -> None:
    assert process.stdin is not None
    write_message(process.stdin, body)


def _receive(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Return the next message; TimeoutError after some seconds, EOFError if the process has ended."""
    assert process.stdout is not None
    end, found, size = time.monotonic() + seconds, bytearray(), 8
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(found) < size:
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            # The raw stream: bytes in a buffer are invisible to the selector.
            part = process.stdout.raw.read(min(size - len(found), 2**20))  # type: ignore[attr-defined]
            if not part:
                raise EOFError
            found += part
            if size == 8 and len(found) == 8:
                size += int.from_bytes(found)
    return bytes(found[8:])


def write_message(stream: IO[bytes], body: bytes) -> None:
    """Write one message: its length in eight bytes, and its bytes."""
    stream.write(len(body).to_bytes(8) + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes | None:
    """Return one message; None at the end of the stream."""
    head = stream.read(8)
    return stream.read(int.from_bytes(head)) if len(head) == 8 else None
