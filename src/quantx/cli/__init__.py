"""The `quantx` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process's arguments by default) and return its exit code."""
    try:
        from quantx.cli.app import run  # slow to import: Ctrl-C may arrive here already

        return run(argv)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 1
