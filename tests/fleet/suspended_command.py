"""A quantx command that suspends itself before a write: python suspended_command.py N COMMAND …

It stops (SIGSTOP) before its N-th write of a table's file, a log entry or an epoch. Nothing in the program knows of it:
the client library's function is another one in this process.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

import obstore

_WRITES = ("curated/", "quarantine/", "meta/")


def main(stop_at: int, command: list[str]) -> int:
    """Carry out the command; return its exit code."""
    real, writes = obstore.put, itertools.count(1)

    def put(store: Any, path: str, body: bytes, **how: Any) -> Any:
        if path.startswith(_WRITES) and next(writes) == stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        return real(store, path, body, **how)

    obstore.put = put
    from quantx.cli import main as quantx

    return quantx(command)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
