"""The rows of minute features: the symbols and months whose bars have changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from typing import Any

import polars as pl

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.features.chunks import Chunk, chunk_rows
from quantx.features.minutes import MinuteInputs
from quantx.features.sources import OnProgress, Read, joined_scope


class RowsByMonth:
    """The rows of a set by month. `symbols`: those to add to the table; None: every series."""

    def __init__(
        self, inputs: MinuteInputs, feature_set: FeatureSet, symbols: Sequence[str] | None, on_progress: OnProgress
    ) -> None:
        self._inputs, self._set, self._symbols, self._on_progress = inputs, feature_set, symbols, on_progress
        self._table = table_of(feature_set)
        self._chunks: list[Chunk] = []

    def plan(self, record: BuildRecord | None, since: date | None) -> int:
        """Find the months and symbols that are out of date; see RowSource."""
        scope = self.fields(record)["symbols"]
        known = None if record is None else self._inputs.stale_months(self._set, record, scope)
        months = self._inputs.all_months(scope)
        if known is not None:
            late = {
                month: symbols for month, symbols in months.items() if since and month >= since.year * 100 + since.month
            }
            months = {**known, **late}
        self._chunks = [Chunk(*each) for each in self._inputs.month_chunks(months)]
        return len({request for chunk in self._chunks for request in chunk.requests})

    def fields(self, record: BuildRecord | None) -> dict[str, Any]:
        """Return fields of the record after the build; see RowSource."""
        scope = self._symbols if record is None else joined_scope(record.symbols, self._symbols)
        return {"symbols": scope, "orders": self._inputs.minute_orders()}

    def chunks(self) -> list[Chunk]:
        """Return the planned chunks; see RowSource."""
        return self._chunks

    def portions(self) -> Iterator[tuple[Read, pl.DataFrame]]:
        """Yield the rows of each chunk, and what reads the stored ones; see RowSource."""
        for done, chunk in enumerate(self._chunks, 1):
            self._on_progress(done, len(self._chunks))
            yield partial(self._inputs.stored_minutes, self._table, *chunk), chunk_rows(self._inputs, self._set, chunk)
