"""The programming interface of ingestion: fetch and curate bars, and refresh universes, as the command does.

>>> from quantx import DataOperations
>>> from quantx.storage import LocalStorage
>>> operations = DataOperations(LocalStorage(root_path="./data"), max_workers=10)
>>> operations.fetch_backfill(["AAPL"], "2020-01-01", "2024-12-31")  # doctest: +SKIP
{'success': 1, 'failed': 0, 'skipped': 0}

`quantx.open_lake(storage.lake_url)` reads what was fetched.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypedDict

import structlog

from quantx.errors import ConfigError
from quantx.storage import LakeStorage

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from quantx.pipeline.planning.update_request import UpdateRequest
    from quantx.pipeline.runtime.platform import Platform
    from quantx.state.tasks.port import Plan

log = structlog.get_logger()

Symbols = str | Iterable[str]  # also a frame with a column `symbol`
Day = str | date | datetime


class OperationCounts(TypedDict):
    """The outcome of an operation, as counts of symbols (or of universes)."""

    success: int
    failed: int
    skipped: int  # nothing was missing


class DataOperations:
    """Fetches into the lake of a storage. Each operation waits until all of its data is curated.

    `max_workers` (concurrent requests) and `chunk_size` (tasks stored together) are those of the settings by default.
    """

    def __init__(self, storage: LakeStorage, max_workers: int | None = None, chunk_size: int | None = None) -> None:
        self.storage = storage
        self._settings = storage.settings(max_workers=max_workers, chunk_size=chunk_size)
        if not structlog.is_configured():  # else the program decides where events go
            level = logging.getLevelNamesMapping()[self._settings.log_level]
            structlog.configure(
                wrapper_class=structlog.make_filtering_bound_logger(level),
                logger_factory=structlog.PrintLoggerFactory(sys.stderr),
            )

    def fetch_daily_incremental(
        self,
        symbols: Symbols | None = None,
        lookback_days: int | None = None,
        *,
        source: str | None = None,
        timeframe: str = "1d",
    ) -> OperationCounts:
        """Fetch every session since the last one, and `lookback_days` earlier ones for late corrections.

        Without `symbols`, all enabled universes are updated. `source` is one vendor; by default those of the settings.
        Raises ConfigError for a wrong argument; a vendor's failure is counted.
        """
        from quantx.pipeline.planning.update_request import UpdateRequest

        names = None if symbols is None else _names(symbols)
        request = UpdateRequest(symbols=names or (), lookback_days=lookback_days, source=source, timeframe=timeframe)
        return self._carry_out(request)

    def fetch_backfill(
        self,
        symbols: Symbols,
        start: Day,
        end: Day | None = None,
        *,
        source: str | None = None,
        timeframe: str = "1d",
        again: bool = False,
    ) -> OperationCounts:
        """Fetch the sessions from `start` to `end` (inclusive; today by default) that were never fetched.

        `again` fetches all of them. Raises ConfigError for a wrong argument; a vendor's failure is counted.
        """
        from quantx.core.model import Window
        from quantx.pipeline.planning.update_request import UpdateRequest
        from quantx.reader.arguments import to_date

        names, first, last = _names(symbols), to_date(start), to_date(end) or datetime.now(UTC).date()
        if first is None or first > last:
            raise ConfigError(f"the start {first} lies after the end {last}")
        request = UpdateRequest(
            symbols=names, window=Window(first, last), source=source, timeframe=timeframe, again=again
        )
        return self._carry_out(request)

    def refresh_universe(self, phase: str | None = None, name: str | None = None) -> OperationCounts:
        """Read the declared sources of a phase's universes, or of one or all; counts are of universes.

        A refused list counts as failed, and the last good one stays. Raises ConfigError where nothing such is declared.
        """
        from quantx.pipeline.reference.universes import refresh_universes
        from quantx.pipeline.runtime.platform import open_platform

        with open_platform(self._settings) as platform:
            results = refresh_universes(platform, platform.tables, phase=phase, name=name)
        failed = sum(result.decision == "refused" for result in results)
        return {"success": len(results) - failed, "failed": failed, "skipped": 0}

    def fetch_fundamentals(self, symbols: Symbols) -> OperationCounts:
        """Fetch and curate the filings and facts of some filers from the SEC; counts are of filers.

        Needs the setting `contact`, which the SEC requires.
        """
        from quantx.pipeline.planning.fundamentals import plan_scope
        from quantx.pipeline.planning.scope import Scope
        from quantx.pipeline.reference.filers import describe_filers, refresh_filer_symbols
        from quantx.pipeline.runtime.platform import open_platform

        names = _names(symbols)
        with open_platform(self._settings) as platform:
            from quantx.pipeline.wiring import worker_of

            refresh_filer_symbols(platform, platform.tables, names)
            plan = plan_scope(platform, Scope(symbols=names), again=True)
            worker_of(platform).run(task_ids=plan.task_ids)
            describe_filers(platform, platform.tables)
            return _counts(platform, plan)

    def load_universe(self, name: str) -> list[str]:
        """Return the symbols of a phase or of a CSV; see `LakeStorage.load_universe`."""
        return self.storage.load_universe(name)

    def save_dataframe(self, frame: pl.DataFrame | pd.DataFrame, path: str) -> None:
        """Write a frame to a file below the lake's root; see `LakeStorage.save_dataframe`."""
        self.storage.save_dataframe(frame, path)

    def load_dataframe(self, path: str) -> pl.DataFrame:
        """Return the frame in a file below the lake's root; see `LakeStorage.load_dataframe`."""
        return self.storage.load_dataframe(path)

    def _carry_out(self, request: UpdateRequest) -> OperationCounts:
        from quantx.pipeline.fetching.modules import modules_to_fetch
        from quantx.pipeline.planning.triggers import plan_request
        from quantx.pipeline.runtime.platform import open_platform

        with open_platform(self._settings, modules=modules_to_fetch(self._settings)) as platform:
            from quantx.pipeline.inspecting.inspection import inspect_ended_runs
            from quantx.pipeline.wiring import worker_of

            plan = plan_request(platform, request)
            worker_of(platform).run(task_ids=plan.task_ids)
            inspect_ended_runs(platform, platform.tables)
            return _counts(platform, plan)


def _counts(platform: Platform, plan: Plan) -> OperationCounts:
    """Return the outcome of a plan as counts of its symbols; each task that an earlier run shares is one more."""
    runs, ended = platform.state.runs, platform.state.tasks.count(plan.task_ids)
    totals, failures = runs.totals(plan.run_id), runs.failures(plan.run_id)
    for failure in failures:
        log.warning("symbol.failed", symbol=failure["symbol"], source=failure["source"], error=failure["last_error"])
    failed = len({failure["symbol"] for failure in failures})
    shared_failed = max(0, ended.get("failed", 0) - totals.failed) if plan.shared else 0
    return {
        "success": totals.symbols - failed + plan.shared - shared_failed,
        "failed": failed + shared_failed,
        "skipped": plan.skipped,
    }


def _names(symbols: Symbols) -> tuple[str, ...]:
    """Return the given symbols, of a frame its column `symbol`; ConfigError where there are none."""
    given: Any = symbols
    if hasattr(given, "columns"):
        if "symbol" not in given.columns:
            raise ConfigError("the frame of symbols has no column `symbol`; give a list of symbols")
        given = given["symbol"]
    names = tuple(given.split(",")) if isinstance(given, str) else tuple(map(str, given))
    if not any(name.strip() for name in names):
        raise ConfigError('no symbols were given; write them as in ["AAPL", "0700.HK"]')
    return names
