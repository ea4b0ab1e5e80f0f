"""The Parquet files of a table's version, for engines that read files by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from quantx.lake.table_reader import TableReader
from quantx.lake.table_version import TableVersion

_PATTERN = "*?["  # DuckDB reads a path with one of these as a pattern


@dataclass(frozen=True)
class PinnedFiles:
    """The local files of one version of a table; the values of partition columns stand in the paths (Hive)."""

    version: TableVersion
    paths: tuple[str, ...]
    sources: tuple[str, ...]  # vendors with rows; () where the table has no partition by vendor
    first_year: int | None


def is_local(url: str) -> bool:
    """Return whether the files of a lake can be read by path."""
    return url.startswith("file://") and not any(c in unquote(url) for c in _PATTERN)


def pinned_files(reader: TableReader, known: PinnedFiles | None = None) -> PinnedFiles | None:
    """Return the files of the version that reads use now, or `known` if it has them; None if there is no table."""
    version = reader.current()
    if version is None or (known is not None and known.version is version):
        return known if version is not None else None
    root = Path(reader.url)
    return PinnedFiles(
        version,
        paths=tuple(str(root / unquote(file.path)) for file in version.files),
        sources=tuple(sorted({file.partition["source"] for file in version.files if "source" in file.partition})),
        first_year=min((file.partition["year"] for file in version.files if "year" in file.partition), default=None),
    )
