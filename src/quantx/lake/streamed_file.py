"""A data file of a table that is written in parts, so that its rows are never in memory at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from quantx.core.foreign_errors import file_fact
from quantx.core.table import Table
from quantx.errors import LakeError, RawNotReadable
from quantx.lake.digests import sha256
from quantx.lake.file_changes import AddedFile
from quantx.lake.files import NAMED, ROW_GROUP, UNMEASURED, parquet_options, plain_value
from quantx.lake.store import LakeLocation


@dataclass(frozen=True, kw_only=True)
class PutFile:
    """A data file that lies in the lake; a commit makes it visible."""

    added: AddedFile
    rows: int
    is_new: bool  # false: an earlier try has put the same bytes


class StreamedFile:
    """Writes one sorted data file of a table in row groups to a local path, and puts it into the lake."""

    def __init__(self, table: Table, path: Path) -> None:
        self.table = table
        self.rows = 0
        self._path = path
        schema = {c: t for c, t in table.schema.items() if c not in table.partitions}
        self._columns = list(schema)
        self._schema = table.empty().select(self._columns).to_arrow().schema
        self._options = parquet_options(schema)
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.Table) -> None:
        """Write sorted rows with the table's columns but the partitions; texts may be dictionaries."""
        rows = rows.select(self._columns)
        if self._writer is None:
            self._check(rows.schema)
        with _writing(self._path):
            if self._writer is None:
                self._writer = pq.ParquetWriter(self._path, rows.schema, **self._options)
            self._writer.write_table(rows, row_group_size=ROW_GROUP)
        self.rows += rows.num_rows

    def put(self, location: LakeLocation, partition: Mapping[str, str], prefix: str) -> PutFile:
        """Put the file into the lake under a name of `prefix` and its digest, and remove it from the local path.

        The same rows get the same name: a file that an earlier try has put is found again. Raises LakeError where the
        stored object has another size.
        """
        assert self._writer is not None, "a file has rows"
        with _writing(self._path):
            self._writer.close()
        statistics = file_statistics(pq.read_metadata(self._path))
        body = self._path.read_bytes()
        self._path.unlink()
        digest = sha256(body)
        values = {p: partition[p] for p in self.table.partitions}
        folder = "".join(f"{p}={quote(value, safe='')}/" for p, value in values.items())
        path = f"{folder}{prefix}-{digest[:NAMED]}.parquet"
        added = AddedFile(path=path, size=len(body), sha256=digest, partition=values, statistics=json.dumps(statistics))
        return PutFile(added=added, rows=self.rows, is_new=_put(location, f"{self.table.path}/{path}", body))

    def discard(self) -> None:
        """Remove the local file."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        self._path.unlink(missing_ok=True)

    def _check(self, schema: pa.Schema) -> None:
        """Raise LakeError where a column has another type than the table's."""
        for ours, theirs in zip(self._schema, schema, strict=True):
            found = theirs.type.value_type if pa.types.is_dictionary(theirs.type) else theirs.type
            if found != ours.type and not (_is_text(found) and _is_text(ours.type)):
                raise LakeError(f"rows for {self.table.name} have {theirs.name} as {found}, not as {ours.type}")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise LakeError where the local path can't be written in this block, as on a full disk."""
    try:
        yield
    except OSError as error:
        raise LakeError(f"the rows can't be written to {path}: {file_fact(error)}") from None


def file_statistics(metadata: Any) -> dict[str, Any]:
    """Return Delta's statistics of a Parquet file, from those of its row groups."""
    lowest, highest, nulls = dict[str, Any](), dict[str, Any](), dict[str, int]()
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    for place in range(metadata.num_columns):
        found = [group.column(place) for group in groups]
        name = found[0].path_in_schema
        if name in UNMEASURED or found[0].physical_type == "BOOLEAN":
            continue
        nulls[name] = sum(each.statistics.null_count for each in found)
        bounds = [each.statistics for each in found if each.statistics.has_min_max]
        if bounds:
            lowest[name] = plain_value(min(each.min for each in bounds))
            highest[name] = plain_value(max(each.max for each in bounds))
    return {"numRecords": metadata.num_rows, "minValues": lowest, "maxValues": highest, "nullCount": nulls}


def _put(location: LakeLocation, path: str, body: bytes) -> bool:
    """Create an object and check its stored size; return False where an earlier try has created it."""
    is_new = not location.has(path)
    location.put_new(path, body)
    with suppress(RawNotReadable):  # of a role that only creates objects
        if (stored := location.size_of(path)) != len(body):
            raise LakeError(f"{location.address(path)} has {stored:,} bytes, and {len(body):,} were sent; import again")
    return is_new


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
