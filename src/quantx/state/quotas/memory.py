"""Quotas in memory."""

from __future__ import annotations

from datetime import datetime, timedelta

from typing_extensions import override

from quantx.core.model import Quota
from quantx.state.memory_records import QuotaRecord, Records
from quantx.state.quotas.port import Quotas, Slots
from quantx.state.values import Row

_FORGOTTEN = timedelta(minutes=15)  # after the end of a back-off the next refusal is a first one


class MemoryQuotas(Quotas):
    """Rate limits and back-offs."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def reserve(
        self, source: str, quota: Quota | None, count: int, longest_wait: float, doubt: float = 0
    ) -> Slots | None:
        with self._records.lock:
            now, longest = self._records.clock.now(), timedelta(seconds=longest_wait)
            if quota is None:
                start = now + timedelta(seconds=self.closed_for(source))
                return None if start > now + longest else Slots((start,) * count, now)
            row = self._records.quotas.setdefault(source, QuotaRecord())
            starts: list[datetime] = []
            for _ in range(count):
                start = _next_start(row, quota, now)
                if start > now + longest:
                    break
                starts.append(start)
                row.slots.append(starts[-1] + timedelta(seconds=doubt))
            del row.slots[: -quota.count]
            return Slots(tuple(starts), now) if starts else None

    @override
    def close(self, source: str, seconds: float, reason: str) -> None:
        with self._records.lock:
            row = self._records.quotas.setdefault(source, QuotaRecord())
            until = self._records.in_(seconds)
            self._note_refusal(row)
            if row.closed_until is None or row.closed_until < until:
                row.closed_until, row.reason = until, reason

    @override
    def refuse(self, source: str, first: float, longest: float, reason: str, age: float = 0) -> float | None:
        with self._records.lock:
            row, now = self._records.quotas.setdefault(source, QuotaRecord()), self._records.clock.now()
            if row.closed_until is not None and row.closed_until > now - timedelta(seconds=age):
                return None
            seconds: float = min(first * 2**row.refusals, longest)
            self._note_refusal(row)
            row.closed_until = self._records.in_(seconds)
            row.refusals, row.reason = row.refusals + 1, reason
            return seconds

    @override
    def accept(self, source: str) -> bool:
        with self._records.lock:
            row, now = self._records.quotas.setdefault(source, QuotaRecord()), self._records.clock.now()
            if row.closed_until is not None and row.closed_until > now:
                return False
            row.refusals, row.refused_since = 0, None
            return True

    def _note_refusal(self, row: QuotaRecord) -> None:
        now = self._records.clock.now()
        recent = row.closed_until is not None and row.closed_until > now - _FORGOTTEN
        row.refused_since = (row.refused_since if recent else None) or now

    @override
    def refused_for(self, source: str) -> float:
        with self._records.lock:
            row, now = self._records.quotas.get(source), self._records.clock.now()
            return 0.0 if row is None or row.refused_since is None else (now - row.refused_since).total_seconds()

    @override
    def closed_for(self, source: str) -> float:
        with self._records.lock:
            row = self._records.quotas.get(source)
            now = self._records.clock.now()
            if row is None or row.closed_until is None:
                return 0.0
            return max(0.0, (row.closed_until - now).total_seconds())

    @override
    def opens_in(self, source: str, quota: Quota | None) -> float:
        with self._records.lock:
            row, now = self._records.quotas.get(source), self._records.clock.now()
            if row is None or quota is None:
                return self.closed_for(source)
            return (_next_start(row, quota, now) - now).total_seconds()

    @override
    def used(self, source: str, quota: Quota) -> int:
        with self._records.lock:
            row, since = self._records.quotas.get(source), self._records.in_(-quota.seconds)
            return 0 if row is None else sum(slot > since for slot in row.slots)

    @override
    def closed(self) -> list[Row]:
        with self._records.lock:
            now = self._records.clock.now()
            return [
                {"source": source, "closed_until": row.closed_until, "reason": row.reason}
                for source, row in sorted(self._records.quotas.items())
                if row.closed_until is not None and row.closed_until > now
            ]


def _next_start(row: QuotaRecord, quota: Quota, now: datetime) -> datetime:
    """Return when the next request may start."""
    after = [now, row.closed_until or now, *(at + timedelta(seconds=quota.gap) for at in row.slots[-1:])]
    if len(row.slots) >= quota.count:
        after.append(row.slots[-quota.count] + timedelta(seconds=quota.pause))
    return max(after)
