"""Checks before an import reads anything: the library, the rights in the lake, and the space on this machine."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from ulid import ULID

from quantx.errors import ConfigError
from quantx.extras import extra
from quantx.lake.store import LakeLocation

SCRATCH = 300_000_000  # bytes below TMPDIR: the files of one member
TABLES_SHARE = 0.6  # bytes of tables per byte of an archive; 0.53 was measured on quotes of a minute
_DBN = (".dbn", ".dbn.zst")


def check_paths(paths: Iterable[Path]) -> None:
    """Raise ConfigError where a path does not exist or can't be read."""
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no {path}; name the zip, the folder or the files of an archive")
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{path} can't be read by this user; change its rights")


def check_rights(location: LakeLocation) -> None:
    """Raise LakeError where this process may not write to the lake."""
    probe = f"meta/checks/{ULID()}"
    location.put(probe, b"quantx options import checks that it may write here")
    location.delete([probe])


def check_scratch() -> None:
    """Raise ConfigError where the folder for temporary files has no room for a member."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < SCRATCH:
        raise ConfigError(
            f"{folder} has {_megabytes(free)} free, and an import needs {_megabytes(SCRATCH)} there for temporary"
            " files; free some space, or set TMPDIR to another folder"
        )


def check_library(names: Iterable[str]) -> None:
    """Raise MissingExtra where one of these members needs a library that is not installed."""
    if any(name.lower().endswith(_DBN) for name in names):
        with extra("options", "reading DBN files"):
            importlib.import_module("databento_dbn")


def check_room(location: LakeLocation, size: int, *, keep: bool) -> None:
    """Raise ConfigError where a local lake has no room for `size` bytes of members.

    The estimate has the tables and, with `keep`, the copy of the archive in the raw zone. What a store in the cloud has
    left is not known.
    """
    needed: dict[Path, float] = {}
    zones = [(location, size * TABLES_SHARE), *([(location.raw, float(size))] if keep else [])]
    for place, part in zones:
        if place.url.startswith("file://"):
            folder = Path(unquote(place.url.removeprefix("file://")))
            needed[folder] = needed.get(folder, 0.0) + part
    for folder, wanted in needed.items():
        free = shutil.disk_usage(folder).free
        if free < wanted:
            hint = ", set options_keep to hashes" if keep else ""
            raise ConfigError(
                f"{folder} has {_megabytes(free)} free, and this import needs about {_megabytes(wanted)} there; free"
                f" some space{hint}, or import fewer days by --dates"
            )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
