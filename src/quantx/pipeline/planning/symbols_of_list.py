"""The symbols in a file, on disk or in the lake. It needs no state, so that an export of a list has no database."""

from __future__ import annotations

from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation

if TYPE_CHECKING:
    from quantx.universes.protocol import Document


def symbols_of_list(location: LakeLocation, path: str, since: date | None = None) -> tuple[str, ...]:
    """Return the symbols in a file, on disk or in the lake, without those that left the list before `since`."""
    from quantx.universes.symbol_lists import listed_symbols  # imported late: most triggers need no list

    listed = listed_symbols(_read_list(location, path))
    symbols = [s for s, left in listed if since is None or left is None or left >= since]
    if not symbols:
        raise ConfigError(f"all symbols of {path} left the list before {since}")
    return tuple(dict.fromkeys(symbols))


def _read_list(location: LakeLocation, path: str) -> Document:
    """Return a file on disk, or else the object of that path in the lake; ConfigError where there is neither."""
    from quantx.universes.files import read_file
    from quantx.universes.protocol import Document

    if Path(path).is_file():
        return read_file(Path(path), "the list of symbols")
    if not has_list(location, path):
        raise ConfigError(
            f"there is no file {path}, neither here nor in the lake {location.url};"
            " `quantx refresh-universe` writes meta/universe_<phase>.csv"
        )
    return Document(path, location.get(str(PurePosixPath(path))), "text/csv")


def has_list(location: LakeLocation, path: str) -> bool:
    """Return whether the lake has an object of this path; LakeError where it can't be reached."""
    relative = PurePosixPath(path)
    return not relative.is_absolute() and ".." not in relative.parts and location.has(str(relative))
