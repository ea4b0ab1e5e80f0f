"""The worker's entry: the same command as `quantx`, for an image that starts a file as its first process.

To the first process of a container SIGTERM is nothing unless it is handled, also before the command handles it.
"""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # Nothing has begun yet: that is a good end. `quantx work` puts its own handler in this one's place.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    from quantx.cli import main

    sys.exit(main())
