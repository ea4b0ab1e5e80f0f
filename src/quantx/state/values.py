"""Values that several parts of the state share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime
from typing import Any, Literal

from quantx.core.model import RunKind

Row = dict[str, Any]
TaskState = Literal["pending", "leased", "landed", "done", "failed"]
UNFINISHED: tuple[TaskState, ...] = ("pending", "leased", "landed")
Named = tuple[str, str, date | None, date | None]  # instrument, symbol, first and last day (None: open)


@dataclass(frozen=True)
class Binding:
    """The lake to which a state belongs, the state's id, and whether it has made itself the owner of the lake."""

    lake_id: str
    state_id: str
    took_over: bool


@dataclass(frozen=True)
class NewRun:
    """A run to record, as its trigger requests it."""

    id: str  # ULID
    kind: RunKind
    source: str
    request: Mapping[str, object]  # the request, for people
    skipped: int = field(default=0, kw_only=True)  # symbols without a missing session


@dataclass(frozen=True)
class Universe:
    """A universe and its members: (symbol, market, name, member from, member to)."""

    name: str
    _: KW_ONLY
    phase: str
    market: str
    source_type: str
    refreshed_at: datetime
    members: Sequence[tuple[str, str, str | None, date | None, date | None]]
    enabled: bool = True  # part of daily updates
