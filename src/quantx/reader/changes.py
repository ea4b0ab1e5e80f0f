"""Queries of changes: what is new, revised or withdrawn in the lake since a moment."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS
from quantx.errors import ConfigError
from quantx.lake.table_version import day_of
from quantx.reader.arguments import Day, Symbols, bars_table, to_instant, to_names, to_vendor
from quantx.reader.known_names import KnownNames
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "table": pl.String,
    "change": pl.String,
    "symbol": pl.String,
    "source": pl.String,
    "date": pl.Date,
    "time": INSTANT,
    "kind": pl.String,
    "changed_at": INSTANT,
    "fields": pl.List(pl.String),
    "before": pl.Float64,
    "after": pl.Float64,
}
_BEFORE = "__before"


class ChangeQueries(KnownNames):
    """Changes of bars and actions."""

    @one_state
    def changes(
        self, since: Day, symbols: Symbols | None = None, *, timeframe: str = "1d", source: str | None = None
    ) -> pl.DataFrame:
        """Return the bars and actions that changed since a moment: those that `as_of=since` shows otherwise or not.

        Columns: table, change (new, revised, withdrawn), symbol (as stored), source, date (session or ex-date), time
        (of minutes), kind (of actions), changed_at (UTC), fields (the changed columns; null: new or withdrawn), before
        and after (close of a bar, value of an action). Sorted by changed_at, table, symbol and date.

        `since` is in our clock; a date is its end in UTC. What `quantx reprocess` restates, it restates for the past,
        too, and is no change since then.
        """
        moment = to_instant(since)
        if moment is None:
            raise ConfigError("changes need a moment, as in since='2024-06-10'")
        selection = Selection.of(None if symbols is None else to_names(symbols), to_vendor(source))
        bars = bars_table(timeframe)
        self._check_source(bars, selection.source)
        changed = pl.concat([self._changes(table, selection, moment) for table in (bars, ACTIONS)])
        self._check_carried(selection.symbols or (), changed["symbol"])
        return changed.sort("changed_at", "table", "symbol", "date", "time", "kind", "source")

    def _changes(self, table: Table, selection: Selection, since: datetime) -> pl.DataFrame:
        key, shown = list(table.key), _value_of(table)
        came = self._stored.rows(table, selection.filtered(pl.col("known_from") > since))
        # Of these rows some were shown at the moment; a row of an empty period is shown at none.
        ended = (pl.col("known_from") <= since) & (pl.col("known_to") > since)
        was = self._stored.rows(table.revisions, selection.filtered(ended))
        now = came.join(was.select(*key, *(pl.col(c).alias(f"{c}{_BEFORE}") for c in table.values)), on=key, how="left")
        known = pl.any_horizontal(pl.col(f"{c}{_BEFORE}").is_not_null() for c in table.values)
        fields = pl.concat_list(
            [pl.when(pl.col(c).ne_missing(pl.col(f"{c}{_BEFORE}"))).then(pl.lit(c)) for c in table.values]
        ).list.drop_nulls()
        arrived = now.select(
            *_subject(table),
            pl.when(known).then(pl.lit("revised")).otherwise(pl.lit("new")).alias("change"),
            pl.col("known_from").alias("changed_at"),
            pl.when(known).then(fields).alias("fields"),
            pl.col(f"{shown}{_BEFORE}").alias("before"),
            pl.col(shown).alias("after"),
        )
        present = self._stored.rows(table, selection).select(key) if was.height else table.empty().select(key)
        gone = was.join(present, on=key, how="anti", nulls_equal=True).select(
            *_subject(table),
            pl.lit("withdrawn").alias("change"),
            pl.col("known_to").alias("changed_at"),
            pl.lit(None, pl.List(pl.String)).alias("fields"),
            pl.col(shown).alias("before"),
            pl.lit(None, pl.Float64).alias("after"),
        )
        return pl.concat([arrived, gone]).select(list(_COLUMNS)).cast(_COLUMNS)  # type: ignore[arg-type]


def _value_of(table: Table) -> str:
    return "value" if table is ACTIONS else "close"


def _subject(table: Table) -> list[pl.Expr]:
    """Return the columns that name the row."""
    named = [pl.col(c) if c in table.schema else pl.lit(None, _COLUMNS[c]).alias(c) for c in ("time", "kind")]
    return [pl.lit(table.name).alias("table"), pl.col("symbol", "source"), pl.col(day_of(table)).alias("date"), *named]
