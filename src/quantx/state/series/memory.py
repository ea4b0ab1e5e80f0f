"""What is known of each series, and the vendors' quotas, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from quantx.core.model import Quota, Series, Window
from quantx.state.memory.records import QuotaRecord, Records, SeriesRecord, days_of, multirange, windows_of
from quantx.state.protocol import Row, SeriesProgress, Slots

_LATE_WITHOUT_AN_ANSWER = timedelta(days=7)


class MemorySeries:
    """The state's book of series."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, patience: float
    ) -> dict[str, list[Window]]:
        """Return the parts of the windows that were never answered, by symbol."""
        found: dict[str, list[Window]] = {}
        with self._records.lock:
            for each, window in series:
                known = self._records.series.get(each, SeriesRecord())
                asked_lately = known.last_asked_at is not None and known.last_asked_at > now - timedelta(
                    seconds=patience
                )
                for gap in windows_of(days_of([window]) - known.covered):
                    if not (asked_lately and _is_late(known, gap)):
                        found.setdefault(each.symbol, []).append(gap)
        return found

    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        """Return how far the series are; what was never asked is absent."""
        with self._records.lock:
            known = {s: self._records.series.get(Series(source, dataset, timeframe, s)) for s in symbols}
            return {
                symbol: SeriesProgress(r.watermark, r.asked_through, r.last_asked_at, r.refused)
                for symbol, r in known.items()
                if r is not None
            }

    def manifest(self) -> list[Row]:
        """Return what is known of every series."""
        with self._records.lock:
            books = sorted(
                self._records.series.items(), key=lambda x: (x[0].source, x[0].dataset, x[0].timeframe, x[0].symbol)
            )
            return [
                {
                    "source": series.source,
                    "dataset": series.dataset,
                    "timeframe": series.timeframe,
                    "symbol": series.symbol,
                    "first_session": known.first_session,
                    "watermark": known.watermark,
                    "covered": multirange(known.covered),
                    "nothing": multirange(known.nothing),
                    "failures": known.failures,
                    "last_error": known.last_error,
                    "last_asked_at": known.last_asked_at,
                }
                for series, known in books
            ]


def _is_late(known: SeriesRecord, gap: Window) -> bool:
    """Tell whether a gap lies after all that the vendor has answered, and it was asked for all of it."""
    if known.asked_through is None:
        return False
    answered = (
        date.fromordinal(max(known.covered) + 1) if known.covered else known.asked_through - _LATE_WITHOUT_AN_ANSWER
    )
    return gap.start >= answered and gap.end <= known.asked_through


_FORGOTTEN = timedelta(minutes=15)  # after the end of a closure the next refusal is the first one


class MemoryQuotas:
    """The state's quotas."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def reserve(self, source: str, quota: Quota | None, count: int, patience: float, doubt: float = 0) -> Slots | None:
        """Reserve up to `count` requests, those that may start within `patience` seconds; None where there is none."""
        with self._records.lock:
            now, longest = self._records.clock.now(), timedelta(seconds=patience)
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

    def close(self, source: str, seconds: float, reason: str) -> None:
        """Leave a vendor alone for so long; a longer closure that is in force stays."""
        with self._records.lock:
            row = self._records.quotas.setdefault(source, QuotaRecord())
            until = self._records.in_(seconds)
            self._note_refusal(row)
            if row.closed_until is None or row.closed_until < until:
                row.closed_until, row.reason = until, reason

    def refuse(self, source: str, first: float, longest: float, reason: str) -> None:
        """Leave a vendor alone that has refused without saying for how long."""
        with self._records.lock:
            row, now = self._records.quotas.setdefault(source, QuotaRecord()), self._records.clock.now()
            if row.closed_until is None or row.closed_until <= now:
                self._note_refusal(row)
                row.closed_until = self._records.in_(min(first * 2**row.refusals, longest))
                row.refusals, row.reason = row.refusals + 1, reason

    def accept(self, source: str) -> bool:
        """Note that a vendor has answered: its refusals are not in a row any more. False while it is left alone."""
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

    def refused_for(self, source: str) -> float:
        """Return for how many seconds the vendor has refused without an answer in between."""
        with self._records.lock:
            row, now = self._records.quotas.get(source), self._records.clock.now()
            return 0.0 if row is None or row.refused_since is None else (now - row.refused_since).total_seconds()

    def closed_for(self, source: str) -> float:
        """Return for how many more seconds the vendor is left alone."""
        with self._records.lock:
            row = self._records.quotas.get(source)
            now = self._records.clock.now()
            if row is None or row.closed_until is None:
                return 0.0
            return max(0.0, (row.closed_until - now).total_seconds())

    def opens_in(self, source: str, quota: Quota | None) -> float:
        """Return after how many seconds a request may start; reserves nothing."""
        with self._records.lock:
            row, now = self._records.quotas.get(source), self._records.clock.now()
            if row is None or quota is None:
                return self.closed_for(source)
            return (_next_start(row, quota, now) - now).total_seconds()

    def closed(self) -> list[Row]:
        """Return the vendors that are left alone."""
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
