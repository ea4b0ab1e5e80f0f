"""Queries of changes: what is new, revised or withdrawn in the lake since a moment."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from quantx.core.fact_tables import FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS
from quantx.errors import ConfigError
from quantx.lake.table_version import day_of
from quantx.reader.arguments import Day, bars_table, to_instant, to_names, to_vendor
from quantx.reader.filers import FilerQueries, Filers
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
_ORDER = ("changed_at", "table", "symbol", "date", "time", "kind", "source")
_FILED = {table.name: table for table in (FUNDAMENTALS, FUNDAMENTALS_FACTS, FILINGS)}
_KIND = {
    FUNDAMENTALS.name: pl.concat_str("concept", "period", separator="_"),
    FUNDAMENTALS_FACTS.name: pl.concat_str("taxonomy", "tag", separator=":"),
    FILINGS.name: pl.col("form"),
}


class ChangeQueries(FilerQueries):
    """Changes of bars, actions and facts."""

    @one_state
    def changes(
        self,
        since: Day,
        symbols: Filers | None = None,
        *,
        timeframe: str = "1d",
        source: str | None = None,
        table: str | None = None,
    ) -> pl.DataFrame:
        """Return the bars and actions that changed since a moment: those that `as_of=since` shows otherwise or not.

        Columns: table, change (new, revised, withdrawn), symbol (as stored), source, date (session or ex-date), time
        (of minutes), kind (of actions), changed_at (UTC), fields (the changed columns; null: new or withdrawn), before
        and after (close of a bar, value of an action). Sorted by changed_at, table, symbol and date.

        `table` is fundamentals, fundamentals_facts or filings instead: kind is then the concept with its period, the
        tag or the form, and date the day of filing.

        `since` is in our clock; a date is its end in UTC. What `quantx reprocess` restates, it restates for the past,
        too, and is no change since then.
        """
        moment = to_instant(since)
        if moment is None:
            raise ConfigError("changes need a moment, as in since='2024-06-10'")
        if table is not None:
            return self._filed_changes(table, symbols, to_vendor(source), moment)
        names = None if symbols is None else to_names(symbols)
        selection, bars = Selection.of(names, to_vendor(source)), bars_table(timeframe)
        self._check_source(bars, selection.source)
        changed = pl.concat([self._changes(table, selection, moment) for table in (bars, ACTIONS)])
        self._check_carried(selection.symbols or (), changed["symbol"])
        return changed.sort(*_ORDER)

    def _filed_changes(self, name: str, symbols: Filers | None, source: str | None, since: datetime) -> pl.DataFrame:
        """Return the changes of a table of facts."""
        if name not in _FILED:
            raise ConfigError(f"table={name!r} must be one of {', '.join(_FILED)}")
        filers = None
        if symbols is not None:
            requests = self._filer_requests(symbols, None)
            self._check_filers(requests)
            filers = [stored for each in requests for stored in (each.symbol, *each.filers)]
        self._check_source(_FILED[name], source)
        return self._changes(_FILED[name], Selection.of(filers, source), since).sort(*_ORDER)

    def _changes(self, table: Table, selection: Selection, since: datetime) -> pl.DataFrame:
        key, shown = list(table.key), _value_of(table)
        nothing = pl.lit(None, pl.Float64)
        came = self._stored.rows(table, selection.filtered(pl.col("known_from") > since))
        # Of these rows some were shown at the moment; a row of an empty period is shown at none.
        ended = (pl.col("known_from") <= since) & (pl.col("known_to") > since)
        was = self._stored.rows(table.revisions, selection.filtered(ended))
        before = was.select(*key, *(pl.col(c).alias(f"{c}{_BEFORE}") for c in table.values))
        now = came.join(before, on=key, how="left", nulls_equal=True)
        known = pl.any_horizontal(pl.col(f"{c}{_BEFORE}").is_not_null() for c in table.values)
        fields = pl.concat_list(
            [pl.when(pl.col(c).ne_missing(pl.col(f"{c}{_BEFORE}"))).then(pl.lit(c)) for c in table.values]
        ).list.drop_nulls()
        arrived = now.select(
            *_subject(table),
            pl.when(known).then(pl.lit("revised")).otherwise(pl.lit("new")).alias("change"),
            pl.col("known_from").alias("changed_at"),
            pl.when(known).then(fields).alias("fields"),
            (nothing if shown is None else pl.col(f"{shown}{_BEFORE}")).alias("before"),
            (nothing if shown is None else pl.col(shown)).alias("after"),
        )
        present = self._stored.rows(table, selection).select(key) if was.height else table.empty().select(key)
        gone = was.join(present, on=key, how="anti", nulls_equal=True).select(
            *_subject(table),
            pl.lit("withdrawn").alias("change"),
            pl.col("known_to").alias("changed_at"),
            pl.lit(None, pl.List(pl.String)).alias("fields"),
            (nothing if shown is None else pl.col(shown)).alias("before"),
            nothing.alias("after"),
        )
        return pl.concat([arrived, gone]).select(list(_COLUMNS)).cast(_COLUMNS)  # type: ignore[arg-type]


def _value_of(table: Table) -> str | None:
    return next((column for column in ("value", "close") if column in table.schema), None)


def _subject(table: Table) -> list[pl.Expr]:
    """Return the columns that name the row."""
    kind = _KIND.get(table.name, pl.col("kind") if "kind" in table.schema else pl.lit(None, pl.String))
    time = pl.col("time") if "time" in table.schema else pl.lit(None, INSTANT).alias("time")
    day = pl.col(day_of(table)).alias("date")
    return [pl.lit(table.name).alias("table"), pl.col("symbol", "source"), day, time, kind.alias("kind")]
