"""The port of quotas, and its values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quantx.core.model import Quota
from quantx.state.values import Row


@dataclass(frozen=True)
class Slots:
    """Reserved slots of the rate limit: the start of each request, by the state's clock."""

    starts: tuple[datetime, ...]
    reserved_at: datetime  # the state's time of the reservation


class Quotas(Protocol):
    """The rate limit and the back-off of each vendor, shared by all workers."""

    def reserve(
        self, source: str, quota: Quota | None, count: int, longest_wait: float, doubt: float = 0
    ) -> Slots | None:
        """Reserve up to `count` slots that start within `longest_wait` seconds; return None if there is none.

        A slot starts `quota.gap` after the one before it, and `quota.pause` after the one `quota.count` before it. In
        any period of the quota, all workers together start no more requests than it allows, if each request starts at
        its slot or up to `quota.tolerance` seconds later. `doubt` extends that tolerance: the seconds by which the
        worker is unsure of the state's time.
        """
        ...

    def close(self, source: str, seconds: float, reason: str) -> None:
        """Put a vendor in back-off for `seconds`; a longer back-off in force stays."""
        ...

    def refuse(self, source: str, first: float, longest: float, reason: str, age: float = 0) -> float | None:
        """Put a vendor in back-off that refused a request without a waiting time; return the seconds.

        The back-off is `first` seconds, and doubles with each further refusal, up to `longest`, until the vendor
        answers. Nothing changes, and None is returned, where the refused request, which started `age` seconds ago,
        started before the end of the last back-off: refusals of requests that were under way together are one refusal.
        """
        ...

    def accept(self, source: str) -> bool:
        """Record an answer of a vendor, which ends its consecutive refusals. Return False during a back-off."""
        ...

    def closed_for(self, source: str) -> float:
        """Return the remaining seconds of a vendor's back-off, else 0."""
        ...

    def opens_in(self, source: str, quota: Quota | None) -> float:
        """Return the seconds until the next free slot, 0 if there is one now; reserve nothing.

        It is longer than `closed_for` if the quota is used up: with 25 requests a day it may be hours.
        """
        ...

    def refused_for(self, source: str) -> float:
        """Return the seconds since the first of a vendor's consecutive refusals, 0 after an answer.

        A refusal a quarter of an hour after the end of the last back-off is a first one.
        """
        ...

    def used(self, source: str, quota: Quota) -> int:
        """Return the number of requests that started within the last period of the quota, or are about to start."""
        ...

    def closed(self) -> list[Row]:
        """Return the vendors in back-off: source, closed_until, reason."""
        ...
