"""What a vendor's wire is to the sandbox: the paths it answers, in which form, and its words when something is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from quantx.sandbox.book import Book

JSON = "application/json;charset=utf-8"


@dataclass(frozen=True)
class Asked:
    """One request of a client."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]  # names in small letters


@dataclass(frozen=True)
class Reply:
    """What goes over the wire."""

    status: int
    body: bytes
    content_type: str = JSON
    date: str | None = None  # the Date header of a recording; otherwise the clock's
    headers: tuple[tuple[str, str], ...] = ()


class Wire(Protocol):
    """One vendor's paths over the book of the market.

    It keeps nothing that an answer depends on but what it can work out of the book again.
    """

    source: ClassVar[str]  # the vendor's name: in faults, quotas, keys and counts

    def __init__(self, book: Book, key: str | None) -> None:
        """Play the vendor; without a key everybody is admitted."""
        ...

    def handles(self, path: str) -> bool:
        """Tell whether the path is one of this vendor's; only then it is asked anything else."""
        ...

    def symbols(self, asked: Asked) -> Sequence[str]:
        """Return the symbols asked for as the client wrote them, in capitals: for the counters."""
        ...

    def answer(self, asked: Asked) -> Reply:
        """Return the vendor's reply at the time of the clock; a request that is no good gets the vendor's refusal."""
        ...

    def empty(self, asked: Asked) -> Reply:
        """Return the vendor's reply of status 200 as if it had lost all of the bars asked for."""
        ...

    def astray(self, asked: Asked) -> Reply:
        """Return a good reply about other symbols than those asked for."""
        ...

    def refusal(self, kind: str, asked: Asked) -> Reply:
        """Return the vendor's body for a fault of `faults.REFUSALS`, as 429 (also said beyond the quota) or 500."""
        ...
