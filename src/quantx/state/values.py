"""Values that several parts of the state share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

Row = dict[str, Any]
TaskState = Literal["pending", "leased", "landed", "done", "failed"]
UNFINISHED: tuple[TaskState, ...] = ("pending", "leased", "landed")
Named = tuple[str, str, date | None, date | None]  # instrument, symbol, first and last day (None: open)


@dataclass(frozen=True)
class NewRun:
    """A run as requested by its trigger."""

    id: str  # ULID
    kind: str  # daily, backfill or manual
    source: str
    request: Mapping[str, object]  # the request, for people
    skipped: int = 0  # symbols without a missing session


@dataclass(frozen=True)
class Universe:
    """A universe and its members: (symbol, market, name, member from, member to)."""

    name: str
    phase: str
    market: str
    source_type: str
    refreshed_at: datetime
    members: Sequence[tuple[str, str, str | None, date | None, date | None]]
    enabled: bool = True  # part of daily updates
