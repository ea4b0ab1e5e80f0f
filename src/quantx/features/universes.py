"""The rows of cross-sections: the members of universes as of each date."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import polars as pl

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.errors import IncompleteData
from quantx.features.inputs import BuildInputs
from quantx.features.sources import OnProgress, Read
from quantx.reader.feature_changes import EVERYTHING


class RowsByUniverse:
    """The rows of a set by universe. `universe`: the one to add to the table; None: all that the lake has."""

    def __init__(
        self, inputs: BuildInputs, feature_set: FeatureSet, universe: str | None, on_progress: OnProgress
    ) -> None:
        self._inputs, self._set, self._universe, self._on_progress = inputs, feature_set, universe, on_progress
        self._table = table_of(feature_set)
        self._stale: dict[str, date] = {}

    def plan(self, record: BuildRecord | None, since: date | None) -> int:
        """Find the universes that are out of date; see RowSource."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteData)
            for name in self.scope(record)["universes"] or ():
                day: date | None = EVERYTHING
                if record is not None and name in record.universes:
                    day = self._inputs.stale_day(self._set, record, name)
                    day = min((each for each in (day, since) if each is not None), default=None)
                if day is not None:
                    self._stale[name] = day
            return sum(self._inputs.member_count(name) for name in self._stale)

    def scope(self, record: BuildRecord | None) -> dict[str, Sequence[str] | None]:
        """Return the universes of the table after the build; see RowSource."""
        known = () if record is None else record.universes
        wanted = self._inputs.universes() if self._universe is None else [self._universe]
        return {"universes": sorted({*known, *wanted})}

    def portions(self) -> Iterator[tuple[Read, pl.DataFrame]]:
        """Yield the rows of each universe, year by year where they are many; see RowSource."""
        parts = [(name, span) for name, first in self._stale.items() for span in self._inputs.spans(name, first)]
        for done, (name, (first, last)) in enumerate(parts, 1):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IncompleteData)
                rows = self._inputs.universe_rows(self._set, name, first, last)
            self._on_progress(done, len(parts))
            read = partial(self._inputs.stored_members, self._table, name, first, last)
            yield read, rows.with_columns(pl.lit(name).alias("universe"))

    def chunks(self) -> None:
        """Return None: a universe is ranked as a whole; see RowSource."""
