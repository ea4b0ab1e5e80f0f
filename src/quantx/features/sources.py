"""Where the rows of a build come from: securities, or the members of universes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, Protocol

import polars as pl

from quantx.core.features.record import BuildRecord
from quantx.features.chunks import Chunk

Read = Callable[[], pl.DataFrame]
OnProgress = Callable[[int, int], None]  # the portions that are done, and their total


class RowSource(Protocol):
    """The rows of one feature set. Rows have the columns of its table, without year and with any known_from."""

    def plan(self, record: BuildRecord | None, since: date | None) -> int:
        """Plan what is out of date since a build (and the rows from `since` on); None: everything. Return its size.

        The size is a number of symbols.
        """
        ...

    def fields(self, record: BuildRecord | None) -> dict[str, Any]:
        """Return fields of the record after the build: the scope of the table, and the orders of vendors."""
        ...

    def chunks(self) -> list[Chunk] | None:
        """Return the planned chunks, if workers of a cluster can make them from the lake; None: they can't."""
        ...

    def portions(self) -> Iterator[tuple[Read, pl.DataFrame]]:
        """Yield the planned rows, and what reads the stored rows that they replace."""
        ...


def joined_scope(stored: Sequence[str] | None, wanted: Sequence[str] | None) -> list[str] | None:
    """Return the symbols of a table after a build; None: every series."""
    return None if stored is None or wanted is None else sorted({*stored, *wanted})
