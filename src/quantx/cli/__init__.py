"""The `quantx` command."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence

__all__ = ["collect_rarely", "main"]

# New objects between two collections, and collections of each generation before one of the next. Python's own 700 make
# the import of the libraries a third slower: it leaves many objects, and hardly any garbage.
_COLLECTIONS = (100_000, 50, 50)


def collect_rarely() -> None:
    """Make the garbage collector of this process rare, and leave the libraries' objects out of the last collection."""
    gc.set_threshold(*_COLLECTIONS)
    atexit.register(_spare_libraries)


def _spare_libraries() -> None:
    if "duckdb" not in sys.modules:  # it reports each of its objects that the last collection leaves out
        gc.freeze()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process's arguments by default) and return its exit code."""
    if argv is None:  # else the process belongs to the caller
        collect_rarely()
    try:
        from quantx.cli.app import run  # slow to import: Ctrl-C may arrive here already

        return run(argv)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 1
