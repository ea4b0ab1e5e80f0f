"""Read a document from a file on disk, with a limit of size."""

from __future__ import annotations

from pathlib import Path

from quantx.errors import RefusedList
from quantx.universes.protocol import Document

LARGEST = 20_000_000  # bytes; the largest real list has a twentieth of it
_GZIP = b"\x1f\x8b"


def read_file(path: Path, reader: str) -> Document:
    """Return a file as a document; RefusedList, with the `reader` that wants it, if it can't be read or is no list."""
    try:
        with path.open("rb") as file:  # bounded: a device or a pipe states no true size
            body = file.read(LARGEST + 1)
    except OSError as error:
        raise RefusedList(f"{reader} can't read {path}: {error.strerror}") from error
    if len(body) > LARGEST:
        raise RefusedList(f"{path} has more than {LARGEST // 1_000_000} MB; a list of symbols is smaller")
    if body.startswith(_GZIP):
        raise RefusedList(f"{path} is compressed with gzip; decompress it first")
    return Document(str(path), body)
