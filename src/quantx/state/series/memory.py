"""Series in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from typing_extensions import override

from quantx.core.model import Series, Window
from quantx.state.memory_records import Records, SeriesRecord, days_of, multirange, windows_of
from quantx.state.series.port import SeriesBook, SeriesProgress
from quantx.state.values import Row

_LATE_WITHOUT_AN_ANSWER = timedelta(days=7)


class MemorySeries(SeriesBook):
    """Coverage and watermark of each series."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, late_seconds: float
    ) -> dict[str, list[Window]]:
        gaps: dict[str, list[Window]] = {}
        with self._records.lock:
            for each, window in series:
                record, since = self._records.series.get(each, SeriesRecord()), now - timedelta(seconds=late_seconds)
                recent = record.last_asked_at is not None and record.last_asked_at > since
                for gap in windows_of(days_of([window]) - record.covered):
                    if not (recent and _is_late(record, gap)):
                        gaps.setdefault(each.symbol, []).append(gap)
        return gaps

    @override
    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        with self._records.lock:
            records = {s: self._records.series.get(Series(source, dataset, timeframe, s)) for s in symbols}
            return {
                symbol: SeriesProgress(r.watermark, r.asked_through, r.last_asked_at, r.refused, r.last_error)
                for symbol, r in records.items()
                if r is not None
            }

    @override
    def refused(self, limit: int) -> list[Row]:
        with self._records.lock:
            refused = [(s, r) for s, r in self._records.series.items() if r.refused and s.dataset == "bars"]
            refused.sort(key=lambda pair: (pair[0].symbol, pair[0].source, pair[0].timeframe))
            return [
                {
                    "source": series.source,
                    "timeframe": series.timeframe,
                    "symbol": series.symbol,
                    "last_error": record.last_error,
                    "last_asked_at": record.last_asked_at,
                }
                for series, record in refused[:limit]
            ]

    @override
    def manifest(self) -> list[Row]:
        with self._records.lock:
            series_records = sorted(
                self._records.series.items(), key=lambda x: (x[0].source, x[0].dataset, x[0].timeframe, x[0].symbol)
            )
            return [
                {
                    "source": series.source,
                    "dataset": series.dataset,
                    "timeframe": series.timeframe,
                    "symbol": series.symbol,
                    "first_session": record.first_session,
                    "watermark": record.watermark,
                    "covered": multirange(record.covered),
                    "nothing": multirange(record.nothing),
                    "failures": record.failures,
                    "last_error": record.last_error,
                    "last_asked_at": record.last_asked_at,
                }
                for series, record in series_records
            ]


def _is_late(record: SeriesRecord, gap: Window) -> bool:
    """Return whether a gap lies after all covered days, and within the days of the last request."""
    if record.asked_through is None:
        return False
    answered = record.asked_through - _LATE_WITHOUT_AN_ANSWER
    if record.covered:
        answered = date.fromordinal(max(record.covered) + 1)
    return gap.start >= answered and gap.end <= record.asked_through
