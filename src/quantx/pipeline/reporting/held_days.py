"""The days of the bars of a table, with a record in the lake: only files that it does not know are read.

A file of a table never changes, so that the days of a source and year with the same files are the same. The record may
be deleted: then all files are read again.
"""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl

from quantx.core.completeness import held_days
from quantx.errors import DamagedObject
from quantx.lake.protocol import CuratedTable
from quantx.lake.store import LakeLocation

_PARTS = "quantx.parts"  # the files of each source and year, in the metadata of the record


def stored_days(location: LakeLocation, stored: CuratedTable) -> pl.DataFrame:
    """Return the days of daily bars as `held_days` does, and bring the record up to date."""
    parts = {(str(source), int(year)): sorted(files) for (source, year), files in stored.parts().items()}
    path = f"meta/inspected/{stored.table.name}_days.parquet"
    before, days = _recorded(location, path)
    changed = sorted(part for part in parts.keys() | before.keys() if parts.get(part) != before.get(part))
    none = stored.collect(held_days(stored.table.empty().lazy()))
    if not changed:
        return none if days is None else days
    named = pl.concat_str("source", pl.col("month") // 100, separator=" ").is_in([f"{s} {y}" for s, y in changed])
    frames = [none] if days is None else [days.filter(~named)]
    for source, year in changed:
        if (source, year) in parts:
            rows = stored.scan().filter(pl.col("source") == source, pl.col("year") == year)
            frames.append(stored.collect(held_days(rows)))
    days = pl.concat(frames)
    buffer = io.BytesIO()
    days.write_parquet(buffer, metadata={_PARTS: json.dumps([[*part, files] for part, files in parts.items()])})
    location.put(path, buffer.getvalue())
    return days


def _recorded(location: LakeLocation, path: str) -> tuple[dict[tuple[str, int], list[str]], pl.DataFrame | None]:
    """Return the files and the days of the record; no files and None where there is none that can be read."""
    try:
        body = location.get(path)
        parts: list[Any] = json.loads(pl.read_parquet_metadata(io.BytesIO(body))[_PARTS])
        return {(source, year): files for source, year, files in parts}, pl.read_parquet(io.BytesIO(body))
    except (DamagedObject, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return {}, None
