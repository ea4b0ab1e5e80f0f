"""The worker's entry: the same command as `quantx`, for an image that starts a file."""

from __future__ import annotations

import sys

from quantx.cli import main

if __name__ == "__main__":
    sys.exit(main())
