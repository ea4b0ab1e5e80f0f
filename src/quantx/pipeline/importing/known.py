"""Which pages of a source the raw zone has: a file that was imported before costs no work.

The raw objects are the truth. Their requests are kept in an index, so that each object is read once.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from quantx.errors import DamagedObject
from quantx.lake.raw import list_raw, read_footer
from quantx.lake.store import LakeLocation
from quantx.providers.importing.form import SPLITS, PageOrigin
from quantx.state.port import State

_SCHEMA = {"path": pl.String, "key": pl.String, "file": pl.String, "parts": pl.Int64}


@dataclass(frozen=True)
class KnownPages:
    """The keys of the stored pages of a source."""

    keys: frozenset[str]
    files: Mapping[str, int]  # files as they were declared, all of whose parts are stored, with their number

    def parts_of(self, address: str, file_sha256: str, given: str) -> int:
        """Return how many parts a file has, all of which are stored as declared; 0 where that is not so."""
        return self.files.get(_file(address, file_sha256, given), 0)

    def has(self, key: str) -> bool:
        """Return whether a page with this key is stored."""
        return key in self.keys


def index_path(source: str) -> str:
    """Return the place of the index in the lake."""
    return f"meta/imports/{source}.pages.parquet"


def known_pages(location: LakeLocation, state: State, source: str, *, keep: bool = True) -> KnownPages:
    """Return the keys of a source's stored pages; `keep` the index for the next time.

    An object that this state's run stored and never recorded does not count: its worker died, and the rows of its pages
    are in no table.
    """
    paths = set(list_raw(location, source))
    index = _index(location, source)
    index = index.filter(pl.col("path").is_in(paths))  # an object may have been deleted for good
    new = sorted(paths - set(index["path"]))
    unrecorded = state.replies.unknown(new) if new else set()
    new = [path for path in new if path not in unrecorded or not _is_of_dead_worker(location, state, path)]
    if new:
        index = pl.concat([index, *(_keys(location, path) for path in new)])
        if keep:
            buffer = io.BytesIO()
            index.write_parquet(buffer, compression="zstd")
            location.put(index_path(source), buffer.getvalue())
    whole = index.group_by("file").agg(pl.col("key").n_unique().alias("stored"), pl.col("parts").max())
    whole = whole.filter(pl.col("stored") == pl.col("parts"))
    return KnownPages(frozenset(index["key"]), dict(whole.select("file", "parts").iter_rows()))


def _is_of_dead_worker(location: LakeLocation, state: State, path: str) -> bool:
    try:
        stored = read_footer(location, path) or []
    except DamagedObject:
        return True
    return any(state.runs.find(reply.run_id) is not None for reply in stored)


def _index(location: LakeLocation, source: str) -> pl.DataFrame:
    try:
        found = pl.read_parquet(io.BytesIO(location.get(index_path(source))))
        return found.select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())
    except (DamagedObject, pl.exceptions.PolarsError, OSError):  # none yet, or it can be made again
        return pl.DataFrame(schema=_SCHEMA)


def _keys(location: LakeLocation, path: str) -> pl.DataFrame:
    """Return the keys of the pages of a raw object; none of a damaged one."""
    try:
        pages = pl.read_parquet(io.BytesIO(location.get(path)), columns=["symbol", "request"])
    except (DamagedObject, pl.exceptions.PolarsError, OSError):
        return pl.DataFrame(schema=_SCHEMA)
    rows = [
        (path, f"{symbol} {origin.key}", _file(origin.path, origin.file_sha256, origin.given), origin.parts)
        for symbol, request in pages.iter_rows()
        if (origin := _origin(request)) is not None and origin.kind != SPLITS
    ]
    # An object without pages of files stays in the index, so that it is not read again.
    return pl.DataFrame(rows or [(path, "", "", 0)], schema=_SCHEMA, orient="row")


def _file(address: str, file_sha256: str, given: str) -> str:
    return f"{file_sha256} {given} {address}"


def _origin(request: str) -> PageOrigin | None:
    try:
        return PageOrigin.read(request)
    except (ValueError, LookupError):
        return None
