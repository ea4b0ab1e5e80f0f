"""The process that runs queries of untrusted callers: see untrusted.py."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import sys
from pathlib import Path
from typing import IO, Protocol

from quantx.errors import QuantxError, SqlMemoryError
from quantx.reader.sql.limits import Limits, Parameters, Result
from quantx.reader.sql.untrusted import read_message, write_message

_WARM = "select count(*) from symbol_history"  # starts threads, whose stacks are address space
_LIBRARIES = 2**29  # bytes beside the query's: of threads that start later, and of frames


class _Lake(Protocol):
    def run_sql(
        self, query: str, parameters: Parameters | None, limits: Limits, memory: int | None = None
    ) -> Result: ...


def main() -> None:
    """Serve queries from stdin until it ends; answers go to stdout."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    opening = read_message(sys.stdin.buffer)
    if opening is None:
        return
    lake: _Lake
    lake, memory = pickle.loads(opening)  # noqa: S301 – of the parent, which is trusted
    try:
        lake.run_sql(_WARM, None, Limits(), memory)
    except QuantxError as error:
        write_message(answers, json.dumps({"error": type(error).__name__, "message": str(error)}).encode())
        return
    _limit_memory(memory)
    write_message(answers, b"{}")
    while (request := read_message(sys.stdin.buffer)) is not None:
        _answer(lake, request, answers)


def _answer(lake: _Lake, request: bytes, answers: IO[bytes]) -> None:
    asked = json.loads(request)
    try:
        result = lake.run_sql(asked["sql"], asked["parameters"], Limits(asked["seconds"], asked["rows"]))
        body = io.BytesIO()
        result.rows.write_ipc(body)
    except (QuantxError, MemoryError) as error:
        failure = (
            error if isinstance(error, QuantxError) else SqlMemoryError("the query needs more memory than it may use")
        )
        write_message(answers, json.dumps({"error": type(failure).__name__, "message": str(failure)}).encode())
        return
    write_message(answers, json.dumps({"rows": True, "cut": result.cut}).encode())
    write_message(answers, body.getvalue())


def _limit_memory(memory: int) -> None:
    """Limit the address space to what the process has now, `memory` bytes of the query, and a part for libraries."""
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:  # no such file on macOS, where the kernel does not enforce the limit either
        return
    most = now + memory + _LIBRARIES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
