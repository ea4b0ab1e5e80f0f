"""Queries of changes: what is new, revised, withdrawn, rejected, delisted, renamed or deleted since a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from quantx.core.fact_tables import FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.symbols import is_filer
from quantx.core.table import INSTANT, Table
from quantx.core.tables import (
    ACTIONS,
    BARS_1D,
    BARS_1M,
    INSTRUMENTS,
    QUARANTINE,
    SYMBOL_HISTORY,
    TABLES,
    UNIVERSE_MEMBERS,
)
from quantx.errors import ConfigError
from quantx.lake.raw_replies import time_of_ulid
from quantx.lake.table_version import day_of
from quantx.lake.tombstones import read_tombstones
from quantx.reader.arguments import Day, bars_table, to_instant, to_vendor
from quantx.reader.filers import FilerQueries, Filers, to_filers
from quantx.reader.record_changes import COLUMNS, RECORD_TABLES, TOMBSTONES, record_changes
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_OF_RECORDS = {
    QUARANTINE.name: ("rejected",),
    INSTRUMENTS.name: ("delisted",),
    SYMBOL_HISTORY.name: ("renamed",),
    UNIVERSE_MEMBERS.name: ("joined", "left"),
    TOMBSTONES: ("deleted",),
}
KINDS = ("new", "revised", "withdrawn", *(kind for kinds in _OF_RECORDS.values() for kind in kinds))
_BEFORE = "__before"
_ORDER = ("changed_at", "table", "symbol", "date", "time", "kind", "source")
_FILED = {table.name: table for table in (FUNDAMENTALS, FUNDAMENTALS_FACTS, FILINGS)}
_TABLES = (BARS_1D.name, BARS_1M.name, ACTIONS.name, *_FILED, *RECORD_TABLES)
_KIND = {
    FUNDAMENTALS.name: pl.concat_str("concept", "period", separator="_"),
    FUNDAMENTALS_FACTS.name: pl.concat_str("taxonomy", "tag", separator=":"),
    FILINGS.name: pl.col("form"),
}


class ChangeQueries(FilerQueries):
    """Changes of values and records."""

    @one_state
    def changes(
        self,
        since: Day | None = None,
        symbols: Filers | None = None,
        *,
        timeframe: str | None = None,
        source: str | None = None,
        table: str | None = None,
        kind: str | Sequence[str] | None = None,
        run: str | None = None,
    ) -> pl.DataFrame:
        """Return what changed in the lake since a moment: for values, what `as_of=since` shows otherwise or not.

        Columns: table, change, symbol (as stored), source, date (session, ex-date, day of filing, of the end or the
        membership), time (of minutes), kind, changed_at (UTC), fields (the changed columns of a revision), before and
        after (close of a bar, value of an action or a fact). Sorted by changed_at, table, symbol and date.

        | table | change | kind |
        |---|---|---|
        | bars_1d, bars_1m, actions | new, revised, withdrawn | of an action |
        | fundamentals, fundamentals_facts, filings | new, revised, withdrawn | concept with period, tag, form |
        | quarantine | rejected | table and broken rules |
        | instruments | delisted | the reason |
        | symbol_history | renamed | both symbols |
        | universe_members | joined, left | the universe |
        | tombstones | deleted | the dataset |

        `table` is one of these, `kind` one or several kinds of change. By default it is all of them, without
        fundamentals_facts, of which the fundamentals are made. With a `timeframe` it is the bars of that timeframe and
        the actions.

        `since` is in our clock; a date is its end in UTC. `run` is the id of a run instead: since it was planned. What
        `quantx reprocess` restates, it restates for the past, too, and is no change since then.
        """
        moment = _moment(since, run)
        kinds = None if kind is None else {kind} if isinstance(kind, str) else set(kind)
        if unknown := (kinds or set()) - set(KINDS):
            raise ConfigError(f"kind={min(unknown)!r} must be one of {', '.join(KINDS)}")
        if table is not None and table not in _TABLES:
            raise ConfigError(f"table={table!r} must be one of {', '.join(_TABLES)}")
        names = [table] if table is not None else _names(timeframe, kinds)
        vendor = to_vendor(source)
        parts = [self._changes_of(name, symbols, vendor, moment, strict=table is not None) for name in names]
        changed = pl.concat([pl.DataFrame(schema=COLUMNS), *parts])
        if changed.is_empty() and vendor is not None and table is None:
            self._check_source(bars_table(timeframe or "1d"), vendor)
        if symbols is not None and table is None:
            plain = [name for name in to_filers(symbols) if not is_filer(name)]
            self._check_carried(plain, changed["symbol"])
        wanted = changed if kinds is None else changed.filter(pl.col("change").is_in(sorted(kinds)))
        return wanted.sort(*_ORDER)

    def _changes_of(
        self, name: str, symbols: Filers | None, source: str | None, since: datetime, *, strict: bool
    ) -> pl.DataFrame:
        """Return the changes of one table; `strict` raises NotInLake for symbols and vendors that it does not have."""
        if name in _FILED:
            return self._filed_changes(name, symbols, source, since, strict=strict)
        plain = None if symbols is None else [each for each in to_filers(symbols) if not is_filer(each)]
        if name in RECORD_TABLES:
            stones = read_tombstones(self._location) if name == TOMBSTONES else []
            return record_changes(self._stored.rows, name, since, plain, source, stones)
        if strict and source is not None:
            self._check_source(TABLES[name], source)
        return self._changes(TABLES[name], Selection.of(plain, source), since)

    def _filed_changes(
        self, name: str, symbols: Filers | None, source: str | None, since: datetime, *, strict: bool
    ) -> pl.DataFrame:
        """Return the changes of a table of facts."""
        filers = None
        if symbols is not None:
            requests = self._filer_requests(symbols, None)
            if strict:
                self._check_filers(requests)
            filers = [stored for each in requests for stored in (each.symbol, *each.filers)]
        if strict:
            self._check_source(_FILED[name], source)
        return self._changes(_FILED[name], Selection.of(filers, source), since)

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
        restored = known & (fields.list.len() == 0)  # it was revised, and is as it was at the moment again
        arrived = now.filter(~restored).select(
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
        return pl.concat([arrived, gone]).select(list(COLUMNS)).cast(COLUMNS)  # type: ignore[arg-type]


def _moment(since: Day | None, run: str | None) -> datetime:
    """Return the moment of a request, or that of the id of a run, which begins with its time."""
    if (since is None) == (run is None):
        raise ConfigError("changes need a moment, as in since='2024-06-10', or the id of a run")
    if run is None:
        moment = to_instant(since)
        assert moment is not None
        return moment
    found = time_of_ulid(run)
    if found is None:
        raise ConfigError(f"run={run!r} is not the id of a run; `quantx status` lists the runs")
    return found


def _names(timeframe: str | None, kinds: set[str] | None) -> list[str]:
    """Return the tables of a request that names none."""
    if timeframe is not None and kinds is None:
        return [bars_table(timeframe).name, ACTIONS.name]
    bars = (BARS_1D.name, BARS_1M.name) if timeframe is None else (bars_table(timeframe).name,)
    valued = (*bars, ACTIONS.name, FUNDAMENTALS.name, FILINGS.name)
    return [
        name
        for name in (*valued, *RECORD_TABLES)
        if kinds is None or kinds & set(_OF_RECORDS.get(name, ("new", "revised", "withdrawn")))
    ]


def _value_of(table: Table) -> str | None:
    return next((column for column in ("value", "close") if column in table.schema), None)


def _subject(table: Table) -> list[pl.Expr]:
    """Return the columns that name the row."""
    kind = _KIND.get(table.name, pl.col("kind") if "kind" in table.schema else pl.lit(None, pl.String))
    time = pl.col("time") if "time" in table.schema else pl.lit(None, INSTANT).alias("time")
    day = pl.col(day_of(table)).alias("date")
    return [pl.lit(table.name).alias("table"), pl.col("symbol", "source"), day, time, kind.alias("kind")]
