"""Where the rows of a build come from: securities, or the members of universes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import NamedTuple, Protocol

import polars as pl

from quantx.core.features.record import BuildRecord
from quantx.lake.file_changes import AddedFile
from quantx.reader.symbol_history import SymbolRequest

Read = Callable[[], pl.DataFrame]
OnProgress = Callable[[int, int], None]  # the portions that are done, and their total


class Chunk(NamedTuple):
    """Securities whose rows one process makes alone; of minutes, the rows from `first` to `last`."""

    requests: Sequence[SymbolRequest]
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class WrittenChunk:
    """The data files of a chunk; a commit of the driver makes them visible."""

    rows: int
    files: tuple[AddedFile, ...]

    def to_json(self) -> str:
        """Return the chunk as JSON."""
        return json.dumps({"rows": self.rows, "files": [asdict(file) for file in self.files]})

    @staticmethod
    def from_json(text: str) -> WrittenChunk:
        """Return the chunk of `to_json`."""
        facts = json.loads(text)
        return WrittenChunk(facts["rows"], tuple(AddedFile(**file) for file in facts["files"]))


WriteChunk = Callable[[Chunk], WrittenChunk]


class RowSource(Protocol):
    """The rows of one feature set. Rows have the columns of its table, without year and with any known_from."""

    def plan(self, record: BuildRecord | None, since: date | None) -> int:
        """Plan what is out of date since a build (and the rows from `since` on); None: everything. Return its size.

        The size is a number of symbols.
        """
        ...

    def scope(self, record: BuildRecord | None) -> dict[str, Sequence[str] | None]:
        """Return the fields `symbols` and `universes` of the record after the build."""
        ...

    def portions(self) -> Iterator[tuple[Read, pl.DataFrame]]:
        """Yield the planned rows, and what reads the stored rows that they replace."""
        ...

    def chunks(self) -> Sequence[Chunk] | None:
        """Return the planned rows of a whole build as chunks for workers; None: they can't be made apart."""
        ...


def joined_scope(record: BuildRecord | None, symbols: Sequence[str] | None) -> Sequence[str] | None:
    """Return the symbols of a table after those of a build are added to the stored ones; None: every series."""
    if record is None:
        return symbols
    return None if record.symbols is None or symbols is None else sorted({*record.symbols, *symbols})
