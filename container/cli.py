"""The entry point of the worker's image: the `quantx` command as the first process of a container.

The kernel drops SIGTERM for a container's first process unless it has a handler. So one is set before the imports.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # No work has begun: exit 0. `quantx work` replaces this handler with its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    from quantx.cli import main

    sys.exit(main())
