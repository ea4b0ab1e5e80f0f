"""Queries in SQL."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from quantx.core.symbol_history import history_of
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.errors import ConfigError, IncompleteData
from quantx.reader.bars import BarQueries
from quantx.reader.sql.catalog import RENAMED, STEPS
from quantx.reader.sql.limits import Limits, Parameters, Result
from quantx.reader.sql.steps import factor_steps, renamed_bars, renamed_symbols

if TYPE_CHECKING:  # DuckDB is imported by the first query
    from quantx.reader.sql.engine import SqlEngine
    from quantx.reader.sql.untrusted import UntrustedQueries

_OPENING = threading.Lock()


class SqlQueries(BarQueries):
    """SQL."""

    _engine: SqlEngine | None = None
    _untrusted: UntrustedQueries | None = None

    def sql(
        self,
        query: str,
        parameters: Parameters | None = None,
        *,
        max_rows: int | None = 1_000_000,
        timeout: float = 60.0,
        untrusted: bool = False,
    ) -> pl.DataFrame:
        """Return the rows of one SELECT over the tables of the lake, by DuckDB.

        Tables are those of the lake, as `bars_1d` and `actions`, and views: `bars` (per session the bar of the
        preferred vendor), `bars_adjusted`, `bars_asof('2024-01-31')` and others; docs/reference/sql.md lists them.
        `parameters` are the values of `$name` (a mapping) or `?` (a list). A query sees one version of each table.

        It reads nothing else: no files, no network, no settings. It is stopped after `timeout` seconds; IncompleteData
        is a warning that the result has only its first `max_rows` rows (None: no limit). `untrusted` runs the query in
        a process of its own with limited memory, which is kept: for queries that other people or programs wrote.

        Raises SqlError for what is not one SELECT, for an error in the query, and if time or memory does not suffice.
        """
        if max_rows is not None and max_rows < 1:
            raise ConfigError(f"max_rows={max_rows} must be at least 1, or None for all rows")
        if not _are_seconds(timeout):
            raise ConfigError(f"timeout={timeout} must be more than 0 seconds")
        limits = Limits(timeout, max_rows)
        run = self._process().run if untrusted else self.run_sql
        result = run(query, parameters, limits)
        if result.cut:
            warnings.warn(
                IncompleteData(f"the result was cut to its first {max_rows:,} rows; raise max_rows for more"),
                stacklevel=2,
            )
        return result.rows

    def run_sql(self, query: str, parameters: Parameters | None, limits: Limits, memory: int | None = None) -> Result:
        """Return the result of one SELECT as `sql` does, without a warning; the first call sets the memory in bytes."""
        with _OPENING:
            if self._engine is None:
                from quantx.reader.sql.engine import SqlEngine

                self._engine = SqlEngine(
                    self.url,
                    self._stored,
                    sources_of=self._sources_of,
                    computed=self._adjustments,
                    memory=memory,
                )
        return self._engine.run(query, parameters, limits)

    def write_views(self, file: str | Path) -> None:
        """Write a small DuckDB file of views of this lake for other tools, or replace it; see docs/how-to.

        The views read the files of the tables' present versions: write it again after each run. Raises ConfigError for
        a lake that is not a local folder, and if the file is something else or can't be written.
        """
        from quantx.reader.sql.views_file import write_views

        write_views(Path(file), self.url, self._stored, sources_of=self._sources_of, computed=self._adjustments)

    def _process(self) -> UntrustedQueries:
        with _OPENING:
            if self._untrusted is None:
                from quantx.reader.sql.untrusted import UntrustedQueries

                self._untrusted = UntrustedQueries(self)
        return self._untrusted

    def _adjustments(self, first_year: int | None) -> dict[str, pl.DataFrame]:
        """Return what the adjusted views need: the steps of factors, and the bars of renamed securities."""
        history = history_of(self._symbol_history())
        plain = sorted(self._symbols_with_rows(ACTIONS.name) - renamed_symbols(history))
        bars: Callable[..., pl.DataFrame] = self.bars
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteData)  # a security may have no rows under any of its symbols
            actions = self.actions(plain) if plain else ACTIONS.empty()
            renamed = renamed_bars(history, self._symbols_with_rows(BARS_1D.name), bars)
        return {STEPS: factor_steps(actions, first_year), RENAMED: renamed}

    def _symbols_with_rows(self, table: str) -> set[str]:
        stored = self._stored[table]
        return set(stored.collect(stored.scan().select(pl.col("symbol").unique()))["symbol"])


def _are_seconds(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= threading.TIMEOUT_MAX
