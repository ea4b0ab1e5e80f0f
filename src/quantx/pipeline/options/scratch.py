"""The folder for the files of a member that is being imported; those of processes that have died are removed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "quantx-options-"
_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty folder below TMPDIR that ends with the block; first remove what dead processes left there.

    A folder belongs to the process that holds the lock on its file.
    """
    root = Path(tempfile.gettempdir())
    with (root / f"{_PREFIX}{os.getuid()}.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)  # no folder is without its lock while another process looks at it
        _remove_abandoned(root)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        own = (folder / _LOCK).open("w")
        fcntl.flock(own, fcntl.LOCK_EX)
    try:
        files = folder / "files"
        files.mkdir()
        yield files
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        own.close()


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob(f"{_PREFIX}*/"):
        with suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("r+") as lock:  # FileNotFoundError: this program has not made the folder
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
                shutil.rmtree(folder, ignore_errors=True)
