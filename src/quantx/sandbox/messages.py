"""The HTTP messages between a client and a vendor's wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

JSON = "application/json;charset=utf-8"


@dataclass(frozen=True)
class WireRequest:
    """One request of a client."""

    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case


@dataclass(frozen=True)
class WireReply:
    """The reply that is sent."""

    status: int
    body: bytes
    content_type: str = JSON
    _: KW_ONLY
    date: str | None = None  # the Date header of a recording; None: the clock's time
    headers: tuple[tuple[str, str], ...] = ()
