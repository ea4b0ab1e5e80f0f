"""Stored rows of features, and which of them are out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import polars as pl

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.table import Table
from quantx.reader.feature_changes import EVERYTHING, FeatureChanges
from quantx.reader.feature_names import ChosenFeatures
from quantx.reader.feature_request import CLOCKS, FeatureRequest
from quantx.reader.feature_values import LABEL_END, kind_of
from quantx.reader.selection import Selection
from quantx.reader.symbol_history import SymbolRequest

_ONE_SOURCE = pl.lit("").alias("source")  # a table of features has one row, whichever vendor's bars it comes from


class StoredFeatures(FeatureChanges):
    """Rows of feature tables."""

    def _usable_record(self, chosen: ChosenFeatures, request: FeatureRequest) -> BuildRecord | None:
        """Return the record of the stored rows; None where they can't answer a query.

        They have another definition, begin after `as_of`, lack rows, or have the end of other labels.
        """
        feature_set, as_of = chosen.feature_set, request.moment.as_of
        record = self._record_of(feature_set) if request.stored else None
        if record is None or record.definition != feature_set.hash or (as_of and as_of < record.since):
            return None
        if not self._is_whole(feature_set, record):
            return None
        is_label = kind_of(chosen.features) == "label"
        partly = len(chosen.features) < len(feature_set.features) or request.moment.public_by is not None
        return None if is_label and partly else record

    def _stale_days(self, chosen: ChosenFeatures, request: FeatureRequest) -> Mapping[SymbolRequest, date]:
        """Return the day by security from which stored rows do not answer a query.

        With `as_of` the stored rows are those that were known, from the first build with the present definitions on.
        """
        requests, record = request.requests, self._usable_record(chosen, request)
        if record is None:
            return dict.fromkeys(requests, EVERYTHING)
        stale: dict[SymbolRequest, date] = {}
        if request.moment.as_of is None:
            changes = self._changes_since(chosen.feature_set, record)
            if changes is None:
                return dict.fromkeys(requests, EVERYTHING)
            if changes:
                found = ((each, self._first_stale(each, changes)) for each in requests)
                stale = {each: day for each, day in found if day is not None}
                if kind_of(chosen.features) == "label":  # labels of rows before the changed one use it
                    stale = dict.fromkeys(stale, EVERYTHING)
        if record.symbols is not None:
            built, securities = set(record.symbols), self._securities()
            others = [each for each in requests if built.isdisjoint(securities.stored_symbols([each]))]
            stale |= dict.fromkeys(others, EVERYTHING)
        return stale

    def _first_stale_day(self, chosen: ChosenFeatures, request: FeatureRequest) -> date | None:
        """Return the day from which the stored rows of a universe do not answer a query; None: all of them do."""
        record = self._usable_record(chosen, request)
        if record is None or request.universe not in record.universes:
            return EVERYTHING
        return None if request.moment.as_of is not None else self._universe_stale(chosen.feature_set, record, request)

    def _universe_stale(self, feature_set: FeatureSet, record: BuildRecord, request: FeatureRequest) -> date | None:
        """Return the day from which the rows of a universe are out of date; None: they are as the inputs are."""
        changes = self._changes_since(feature_set, record)
        if changes is None:
            return EVERYTHING
        days = [day for each in request.requests if (day := self._first_stale(each, changes)) is not None]
        days += [day for name, day in changes.items() if name == f"universe:{request.universe}"]
        return min(days, default=None)

    def _stored_features(
        self, chosen: ChosenFeatures, requests: Sequence[SymbolRequest], request: FeatureRequest
    ) -> pl.DataFrame:
        """Return stored rows by requested symbol."""
        table, names = table_of(chosen.feature_set), [each.name for each in chosen.features]
        symbols = self._securities().stored_symbols(requests)
        wanted = Selection.of(symbols).between(request.first, request.last)
        if "universe" in table.schema:
            wanted = wanted.filtered(pl.col("universe") == pl.lit(request.universe))
        names += [LABEL_END] if LABEL_END in table.schema else []
        columns = list(dict.fromkeys(["symbol", "date", *names, *CLOCKS, *table.key]))
        rows = self._known(table, wanted, request.moment, columns)
        if request.moment.as_of is None:
            rows = self._securities().rows_of_day(rows, requests, "date")
        else:  # a rename that became known later has not moved them
            apart = [name for name in table.key if name != "symbol"]
            rows = self._securities().rows(rows.with_columns(_ONE_SOURCE), requests, "date", apart)
        return rows.select("symbol", "date", *names, *CLOCKS).sort("symbol", "date")

    def _record_of(self, feature_set: FeatureSet) -> BuildRecord | None:
        """Return the record of the last build of a set."""
        version = self._stored.version(table_of(feature_set))
        return None if version is None else BuildRecord.of(version.properties)

    def _is_whole(self, feature_set: FeatureSet, record: BuildRecord) -> bool:
        """Return whether a feature table has all rows of its last build: a repair may have removed a damaged file."""
        return self._rows_in(table_of(feature_set)) == record.rows

    def _rows_in(self, table: Table) -> int:
        """Return the number of rows of a table."""
        version = self._stored.version(table)
        return 0 if version is None else sum(file.rows for file in version.files)
