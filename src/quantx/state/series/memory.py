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
    """The state's book of series."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def uncovered(
        self, series: Sequence[tuple[Series, Window]], now: datetime, patience: float
    ) -> dict[str, list[Window]]:
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

    @override
    def progress(self, source: str, dataset: str, timeframe: str, symbols: Sequence[str]) -> dict[str, SeriesProgress]:
        with self._records.lock:
            known = {s: self._records.series.get(Series(source, dataset, timeframe, s)) for s in symbols}
            return {
                symbol: SeriesProgress(r.watermark, r.asked_through, r.last_asked_at, r.refused)
                for symbol, r in known.items()
                if r is not None
            }

    @override
    def manifest(self) -> list[Row]:
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
