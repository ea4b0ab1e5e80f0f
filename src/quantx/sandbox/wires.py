"""The protocol of a vendor's wire: the paths that it answers, its form of replies, and its texts of refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from quantx.sandbox.book import Book
from quantx.sandbox.messages import WireReply, WireRequest


class Wire(Protocol):
    """One vendor's paths, answered from the book of the market.

    A wire has no state of its own; what it caches can be computed from the book again.
    """

    source: ClassVar[str]  # the vendor's name: in faults, quotas, keys and counts

    def __init__(self, book: Book, key: str | None) -> None:
        """Serve the book; `key` is required of clients where it is given."""
        ...

    def handles(self, path: str) -> bool:
        """Return whether the path is one of this vendor's; the other methods get only such requests."""
        ...

    def symbols(self, request: WireRequest) -> Sequence[str]:
        """Return the requested symbols in the client's spelling, in upper case: for the counters."""
        ...

    def answer(self, request: WireRequest) -> WireReply:
        """Return the vendor's reply at the clock's time; a wrong request gets the vendor's refusal."""
        ...

    def empty(self, request: WireRequest) -> WireReply:
        """Return the vendor's reply of status 200 without any of the requested bars."""
        ...

    def astray(self, request: WireRequest) -> WireReply:
        """Return a valid reply about other symbols than the requested ones."""
        ...

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return the vendor's reply for a fault of `faults.REFUSALS`, as 429 (also sent beyond the quota) or 500."""
        ...
