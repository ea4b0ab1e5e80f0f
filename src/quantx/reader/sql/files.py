"""The Parquet files of a table's version, for engines that read files by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from quantx.lake.table_reader import TableReader

_PATTERN = "*?["  # DuckDB reads a path with one of these as a pattern


@dataclass(frozen=True)
class PinnedFiles:
    """The local files of one version of a table; the values of partition columns stand in the paths (Hive)."""

    version: int
    paths: tuple[str, ...]
    sources: tuple[str, ...]  # vendors with rows; () where the table has no partition by vendor
    first_year: int | None


def is_local(url: str) -> bool:
    """Return whether the files of a lake can be read by path."""
    return url.startswith("file://") and not any(c in unquote(url) for c in _PATTERN)


def pinned_files(reader: TableReader, known: PinnedFiles | None = None) -> PinnedFiles | None:
    """Return the files of the newest version, or `known` if it is of that version; None if the table does not exist."""
    delta = reader.refresh()
    if delta is None:
        return None
    if known is not None and known.version == delta.version():
        return known
    adds = pl.DataFrame(delta.get_add_actions(flatten=True))
    if adds.is_empty():
        return PinnedFiles(delta.version(), (), (), None)
    root = Path(reader.url)
    paths = [str(root / unquote(path)) for path in adds["path"]]
    return PinnedFiles(delta.version(), tuple(paths), _sources(adds), _first_year(adds))


def _sources(adds: pl.DataFrame) -> tuple[str, ...]:
    column = "partition.source"
    return tuple(adds[column].unique().drop_nulls().sort()) if column in adds.columns else ()


def _first_year(adds: pl.DataFrame) -> int | None:
    year = adds["partition.year"].cast(pl.Int32).min() if "partition.year" in adds.columns else None
    return year if isinstance(year, int) else None
