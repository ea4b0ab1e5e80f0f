"""Where the rows of a build come from: securities, or the members of universes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Protocol

import polars as pl

from quantx.core.features.record import BuildRecord

Read = Callable[[], pl.DataFrame]
OnProgress = Callable[[int, int], None]  # the portions that are done, and their total


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
