"""Data files of a table that are sorted alike, read together in ranges, so that they are never in memory at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from quantx.core.table import Table
from quantx.lake.files import intact_file
from quantx.lake.store import LakeLocation
from quantx.lake.streamed_file import StreamedFile

ROWS_AT_ONCE = 200_000  # with the texts of their contracts; the memory of a merge is some times that of its rows


class SortedFiles:
    """Files below a table, with the values of their partition; each is intact, and a copy in `folder` if remote."""

    def __init__(
        self, location: LakeLocation, table: Table, folder: Path, paths: Sequence[str], values: Mapping[str, Any]
    ) -> None:
        self._location, self._table, self._folder, self._values = location, table, folder, values
        self.paths = [self._local(path) for path in paths]

    def ranges(self, *others: SortedFiles) -> list[pl.Expr]:
        """Return ranges of the first column of the order, with about ROWS_AT_ONCE rows of these and other files."""
        column = self._table.sort[0]
        paths = [path for files in (self, *others) for path in files.paths]
        counts = (
            pl.concat(pl.scan_parquet(path, glob=False, hive_partitioning=False).select(column) for path in paths)
            .group_by(column)
            .len()
            .sort(column)
            .collect()
        )
        part = (pl.col("len").cum_sum() - pl.col("len")) // ROWS_AT_ONCE
        ends = counts.group_by(part.alias("__part"), maintain_order=True).agg(
            pl.col(column).first().alias("first"), pl.col(column).last().alias("last")
        )
        return [pl.col(column).is_between(first, last) for _, first, last in ends.iter_rows()]

    def rows(self, within: pl.Expr) -> pl.DataFrame:
        """Return the rows of a range with all columns of the table, file by file."""
        schema = self._table.schema
        parts = [self._table.empty()]
        for path in self.paths:
            frame = pl.scan_parquet(path, glob=False, hive_partitioning=False).filter(within).collect()
            missing = [c for c in schema if c not in frame.columns]
            frame = frame.with_columns(pl.lit(self._values.get(c), dtype=schema[c]).alias(c) for c in missing)
            parts.append(frame.select(pl.col(c).cast(t) for c, t in schema.items()))
        return pl.concat(parts)

    def _local(self, path: str) -> Path:
        """Return a data file, whose bytes are intact, as a file of this machine."""
        full = f"{self._table.path}/{path}"
        body = intact_file(self._location, self._table, full)
        if self._location.url.startswith("file://"):
            return Path(self._location.table_url(full))
        copy = self._folder / unquote(path).replace("/", "_")
        copy.write_bytes(body)
        return copy

    def discard(self) -> None:
        """Remove the copies."""
        for path in self.paths:
            if path.parent == self._folder:
                path.unlink(missing_ok=True)


def write_rows(file: StreamedFile, rows: pl.DataFrame) -> None:
    """Write rows of a table, which are in order, without the partition columns."""
    if rows.height:
        file.write(rows.drop(file.table.partitions).to_arrow(compat_level=pl.CompatLevel.oldest()))


def prefix_of(first: date, last: date) -> str:
    """Return the beginning of the name of a file with the rows of some sessions."""
    return f"{first:%Y%m%d}" if first == last else f"{first:%Y%m%d}_{last:%Y%m%d}"
