"""Entries of a Delta log: the actions of one commit, with the digest of each data file and of the entry itself.

An entry is plain Delta (protocol 1.2), which every reader of Delta understands. delta-rs is not used to commit: after a
conflict it moves an append to a later version, also where its rows depend on rows that have changed since. The digest
of an entry is the SHA-256 of its bytes with zeros in the place of the digest's own 64 digits.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from quantx.lake.file_changes import DIGEST, FileChange
from quantx.lake.protocol import CommitContext

VERSION = "quantx.version"  # in the commitInfo: an entry in the place of another one is damage
_ENGINE = "quantx"
_UNSET = "0" * 64
_FOUND = re.compile(rb'"quantx\.sha256":"([0-9a-f]{64})"')


@dataclass(frozen=True, kw_only=True)
class TableMetadata:
    """The schema and the properties of a table, as of a version."""

    id: str
    created: int  # ms
    schema: str  # JSON, in Delta's form
    partitions: Sequence[str]
    configuration: Mapping[str, str]
    name: str | None = None
    description: str | None = None

    def action(self) -> dict[str, Any]:
        """Return the action that sets the metadata."""
        metadata = {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": self.schema,
            "partitionColumns": list(self.partitions),
            "createdTime": self.created,
            "configuration": dict(self.configuration),
        }
        return {"metaData": metadata}


def entry_path(version: int) -> str:
    """Return the path of the log entry of a version, below the table."""
    return f"_delta_log/{version:020}.json"


def creating_entry(schema: str, partitions: Sequence[str], configuration: Mapping[str, str]) -> bytes:
    """Return the entry of version 0: a table without rows; `schema` is JSON in Delta's form."""
    now = _now()
    metadata = TableMetadata(
        id=str(uuid.uuid4()), created=now, schema=schema, partitions=partitions, configuration=configuration
    )
    protocol = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
    return _encode(_info(now, "CREATE TABLE", {}) | {VERSION: 0}, [protocol, metadata.action()])


def writing_entry(
    context: CommitContext,
    changes: Sequence[FileChange],
    *,
    version: int,
    partitions: Sequence[str],
    metadata: TableMetadata | None = None,
) -> bytes:
    """Return the entry of a version that adds and removes files.

    `metadata` is that of the table with additional columns, if it has any.
    """
    now = _now()
    facts = {
        VERSION: version,
        "quantx.round": context.round_id,
        "quantx.runs": list(context.run_ids),
        "quantx.raw": list(context.raw_objects),
        **(context.by.origin if context.by is not None else {}),
        **context.properties,
    }
    parameters = {"mode": "Append", "partitionBy": json.dumps(list(partitions), separators=(",", ":"))}
    actions = [] if metadata is None else [metadata.action()]
    if context.round_id is not None:
        actions.append({"txn": {"appId": context.app, "version": context.round_id, "lastUpdated": now}})
    actions += [change.action(now) for change in changes]
    return _encode(_info(now, "WRITE", parameters) | facts, actions)


def is_whole(entry: bytes) -> bool | None:
    """Return whether the bytes of an entry fit its digest; None for an entry of another program, which has none."""
    found = _FOUND.search(entry)
    if found is None:
        return False if f'"engineInfo":"{_ENGINE}"'.encode() in entry or DIGEST.encode() in entry else None
    unset = entry[: found.start(1)] + _UNSET.encode() + entry[found.end(1) :]
    return hashlib.sha256(unset).hexdigest().encode() == found[1]


def without_statistics(entry: bytes, live: Collection[str]) -> bytes | None:
    """Return an entry without the lowest and highest values of the files that it adds and that are not `live` any more.

    None where it has none. It keeps its version, its actions and the number of rows, and gets a new digest.
    """
    lines = [json.loads(line) for line in entry.decode().splitlines() if line.strip()]
    changed = False
    for add in (line["add"] for line in lines if "add" in line):
        statistics = json.loads(add.get("stats") or "{}")
        if unquote(add["path"]) not in live and statistics.keys() - {"numRecords"}:
            add["stats"] = json.dumps({"numRecords": statistics.get("numRecords")})
            changed = True
    if not changed:
        return None
    info: dict[str, Any] = next((line["commitInfo"] for line in lines if "commitInfo" in line), {})
    if DIGEST not in info:  # of another program
        return "\n".join(json.dumps(line, separators=(",", ":")) for line in lines).encode()
    info[DIGEST] = _UNSET
    return _sealed("\n".join(json.dumps(line, separators=(",", ":")) for line in lines).encode())


def _now() -> int:
    return int(time.time() * 1000)


def _info(now: int, operation: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    return {
        "timestamp": now,
        "operation": operation,
        "operationParameters": dict(parameters),
        "engineInfo": _ENGINE,
        "txnId": str(uuid.uuid4()),  # no two entries are equal: an equal one that exists is this one
        DIGEST: _UNSET,
    }


def _encode(info: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]) -> bytes:
    lines = ({"commitInfo": info}, *actions)
    return _sealed("\n".join(json.dumps(line, separators=(",", ":"), allow_nan=False) for line in lines).encode())


def _sealed(entry: bytes) -> bytes:
    digest = hashlib.sha256(entry).hexdigest()
    return entry.replace(f'"{DIGEST}":"{_UNSET}"'.encode(), f'"{DIGEST}":"{digest}"'.encode(), 1)
