"""The port of instruments, and its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quantx.state.values import Named


class Instruments(Protocol):
    """A copy of the lake's symbol history, for planning, which reads no tables."""

    def put(self, namings: Sequence[Named]) -> None:
        """Replace all recorded namings."""
        ...

    def namings(self) -> list[Named]:
        """Return all namings."""
        ...
