"""What the state promises of quotas, and the values that it takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quantx.core.model import Quota
from quantx.state.values import Row


@dataclass(frozen=True)
class Slots:
    """Reserved requests: when each may start, by the state's clock."""

    starts: tuple[datetime, ...]
    reserved_at: datetime  # the state's time when it was asked


class Quotas(Protocol):
    """Requests to a vendor, shared by all workers."""

    def reserve(self, source: str, quota: Quota | None, count: int, patience: float, doubt: float = 0) -> Slots | None:
        """Reserve up to `count` requests, those that may start within `patience` seconds; None where there is none.

        A request starts a `quota.gap` after the one before it and a `quota.pause` after the one `quota.count` before
        it: in any stretch of the quota's length no more start than it allows, by all workers together, if each starts
        at its time or up to `quota.tolerance` seconds later; or `doubt` seconds more, by which the worker is unsure of
        the state's time.
        """
        ...

    def close(self, source: str, seconds: float, reason: str) -> None:
        """Leave a vendor alone for so long; a longer closure that is in force stays."""
        ...

    def refuse(self, source: str, first: float, longest: float, reason: str) -> None:
        """Leave a vendor alone that has refused without saying for how long.

        It is `first` seconds, and twice as long after each further refusal, up to `longest`, until it answers again.
        Where the vendor is left alone already, nothing changes: the request was under way when it was closed.
        """
        ...

    def accept(self, source: str) -> bool:
        """Note that a vendor has answered: its refusals are not in a row any more. False while it is left alone."""
        ...

    def closed_for(self, source: str) -> float:
        """Return for how many more seconds the vendor is left alone, 0 where it is not."""
        ...

    def opens_in(self, source: str, quota: Quota | None) -> float:
        """Return after how many seconds a request may start, 0 where one may now; reserves nothing.

        Longer than `closed_for` where the quota is used up: with 25 requests a day it may be hours.
        """
        ...

    def refused_for(self, source: str) -> float:
        """Return for how many seconds the vendor has refused without an answer in between, 0 where it answers.

        A refusal a quarter of an hour after the end of the last closure is the first one.
        """
        ...

    def closed(self) -> list[Row]:
        """Return the vendors that are left alone: source, closed_until, reason."""
        ...
