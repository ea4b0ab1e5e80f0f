"""What the state promises of instruments, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quantx.state.values import Named


class Instruments(Protocol):
    """Who carried which symbol when: a copy of what the lake knows, for planning, which reads no tables."""

    def put(self, namings: Sequence[Named]) -> None:
        """Record all namings, in place of what was recorded before."""
        ...

    def namings(self) -> list[Named]:
        """Return all namings."""
        ...
