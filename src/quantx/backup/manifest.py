"""The manifest of a backup: what the lake and the state were at one instant, and the SHA-256 of every copied object.

A manifest is gzipped JSON. It is written last: a backup without one does not exist.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quantx.errors import DamagedObject

_FORMAT = 1


@dataclass(frozen=True)
class ObjectCopy:
    """The copy of an object."""

    size: int  # bytes
    sha256: str  # of the copy, in hex digits: its name in the backup
    e_tag: str | None = None  # of the original when it was copied


@dataclass(frozen=True, kw_only=True)
class TableCopy:
    """The rows of one table of the state, in PostgreSQL's text form, gzipped in parts."""

    columns: Sequence[str]
    rows: int
    parts: Sequence[ObjectCopy]


@dataclass(frozen=True, kw_only=True)
class StateCopy:
    """The state of one snapshot."""

    schema_version: int
    tables: Mapping[str, TableCopy]  # in the order in which they can be filled
    sequences: Mapping[str, int]  # the last number that each has given out


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A backup."""

    id: str  # its instant, UTC
    program: str  # version of this package
    lake_url: str
    lake_id: str
    state_id: str
    versions: Mapping[str, int]  # of the tables, by path
    objects: Mapping[str, ObjectCopy]  # of the lake, by path
    state: StateCopy
    settings: Mapping[str, str | None]  # without secrets
    files: Mapping[str, str]  # the configuration's files, by name
    damaged: Sequence[str] = ()  # objects that were damaged in the lake already

    def copies(self) -> Iterator[ObjectCopy]:
        """Yield all copies of this backup, of lake and state; one may appear several times."""
        yield from self.objects.values()
        for table in self.state.tables.values():
            yield from table.parts


def encode(manifest: Manifest) -> bytes:
    """Return a manifest as gzipped JSON."""
    fields = {"format": _FORMAT, **asdict(manifest)}
    return gzip.compress(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode(), 6, mtime=0)


def decode(body: bytes) -> Manifest:
    """Return the manifest; DamagedObject where it can't be read."""
    try:
        fields: dict[str, Any] = json.loads(gzip.decompress(body))
        if fields.pop("format") != _FORMAT:
            raise DamagedObject("has a form that this program does not know; update the program")
        state = fields.pop("state")
        tables = {
            name: TableCopy(**{**table, "parts": [ObjectCopy(**part) for part in table["parts"]]})
            for name, table in state.pop("tables").items()
        }
        objects = {path: ObjectCopy(**copy) for path, copy in fields.pop("objects").items()}
        return Manifest(objects=objects, state=StateCopy(tables=tables, **state), **fields)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        raise DamagedObject("can't be read") from None
