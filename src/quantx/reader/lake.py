"""`open_lake()`: the Python interface of the lake."""

from __future__ import annotations

from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from quantx.core.prices import Adjust
from quantx.core.symbol_history import history_of
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location
from quantx.reader.arguments import Day, Symbols, to_date, to_names, to_source
from quantx.reader.cache.folder import cache_folder
from quantx.reader.changes import ChangeQueries
from quantx.reader.explain.queries import ExplainQueries
from quantx.reader.feature_explanations import FeatureExplanations
from quantx.reader.filings import FilingQueries
from quantx.reader.history import HistoryQueries
from quantx.reader.inventory import InventoryQueries
from quantx.reader.lookbacks import LookbackQueries
from quantx.reader.options.queries import OptionQueries
from quantx.reader.predictions import PredictionQueries
from quantx.reader.records import RecordQueries
from quantx.reader.resample import ResampleQueries
from quantx.reader.restatements import RestatementQueries
from quantx.reader.snapshots import SnapshotQueries
from quantx.reader.sql.queries import SqlQueries
from quantx.reader.warm import CacheQueries
from quantx.settings import Settings, load_settings, preferred_vendors

if TYPE_CHECKING:
    from quantx.reader.export import ExportResult, OnProgress


_ZONES = {"raw", "curated", "quarantine", "meta"}  # a lake has at least one of these folders


def open_lake(url: str | PathLike[str] | None = None) -> Lake:
    """Open a lake by its URL or path, or the one of the settings (`QUANTX_LAKE_URL`).

    Raises ConfigError if there is no lake, and LakeError if it can't be reached.
    """
    if url is not None and not isinstance(url, str | PathLike):
        raise ConfigError(f"{url!r} is not the address of a lake; use a URL or a path")
    return lake_of(load_settings(lake_url=None if url is None else fspath(url)))


def lake_of(settings: Settings) -> Lake:
    """Open the lake of the settings; raises as `open_lake`."""
    location = location_of(settings)
    return Lake(location, partial(preferred_vendors, settings.sources), cache_folder(settings, location.url))


def location_of(settings: Settings) -> LakeLocation:
    """Open the location of the settings' lake for reading; raises as `open_lake`."""
    location = open_location(settings.lake_url, settings, create=False)
    if location.url != "memory://" and not _ZONES.intersection(location.folders()):
        raise ConfigError(f"there is no lake in {location.url}{_nearby(location)}; `quantx backfill` creates one there")
    return location


def _nearby(location: LakeLocation) -> str:
    """Return a part of a message with the lake in the folder above or below, or nothing."""
    if not location.url.startswith("file://"):
        return ""
    folder = Path(location.table_url(""))
    near = (
        path for path in (folder / "lake", folder / "data/lake", *folder.parents[:2]) if (path / "curated").is_dir()
    )
    found = next(near, None)
    return "" if found is None else f" (did you mean {found}?)"


class Lake(
    FeatureExplanations,
    LookbackQueries,
    FilingQueries,
    HistoryQueries,
    InventoryQueries,
    ResampleQueries,
    ExplainQueries,
    RestatementQueries,
    RecordQueries,
    PredictionQueries,
    OptionQueries,
    ChangeQueries,
    SnapshotQueries,
    CacheQueries,
    SqlQueries,
):
    """A lake, open for reading. Frames are `polars.DataFrame`; `.to_pandas()` gives pandas.

    It can be pickled: a worker of joblib, Dask or Ray opens the lake again, with the credentials of its own settings.

    Of two vendors with a bar for the same session, queries show the preferred one of the timeframe and the market.
    `sources_of` gives the order of preference, as the setting `sources` does; other vendors come last.
    """

    def export(
        self,
        folder: str | Path,
        layout: str,
        *,
        symbols: Symbols | None = None,
        universe: str | None = None,
        phase: str | None = None,
        start: Day | None = None,
        end: Day | None = None,
        adjust: Adjust = "none",
        source: str | None = None,
        timeframe: str | None = None,
        extended: bool = False,
        on_progress: OnProgress | None = None,
    ) -> ExportResult:
        """Write bars into a folder in the layout of another tool; a later call writes only what has changed.

        Layouts: hive-ticker, hive-symbol-source, flat-json, hive-day, csv (docs/reference/exports.md has their paths
        and columns). Without symbols, universe and phase it is the whole lake. With `symbols`, those of earlier exports
        to the folder stay and are updated, too. `adjust`, `source`, `timeframe` and `extended` are those of `bars`;
        flat-json has both timeframes by default. `on_progress` is called with the symbols done, all symbols, and the
        last one.

        Raises ConfigError if the folder has other files, or an export with other settings.
        """
        from quantx.reader.export import ExportReads, ExportRequest, run_export

        first, last = to_date(start), to_date(end)
        request = ExportRequest(
            layout=layout,
            symbols=None if symbols is None else tuple(to_names(symbols)),
            universe=universe,
            phase=phase,
            start=first,
            end=last,
            adjust=adjust,
            source=to_source(source),
            timeframe=timeframe,
            extended=extended,
        )
        securities = self._securities()
        reads = ExportReads(
            url=self.url,
            tables=self._stored,
            history=history_of(self._symbol_history()),
            bars=self._bars_to_export,
            actions=self._actions_to_export,
            sources_of=self._sources_of,
            members=lambda name: {n: to_date(day) for n, day in self._members_between(name, first, last).on.items()},
            snapshot=None if self._stored.snapshot is None else self._stored.snapshot.name,
            preferred=lambda days: [
                each.symbol for each in securities.unique(securities.requests(list(days), first, last, days))
            ],
        )
        return run_export(reads, Path(folder), request, on_progress)
