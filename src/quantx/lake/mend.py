"""Repairs of a table's log that need no rows: what the other objects of the log, or a digest, prove.

A damaged object is first copied to `meta/damaged`, then replaced or deleted: nothing that could be evidence is lost.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError
from ulid import ULID

from quantx.core.table import Table
from quantx.errors import CommitConflict, DamagedObject, LakeError
from quantx.lake.diagnosis import file_damage
from quantx.lake.digests import sha256, with_one_bit_back
from quantx.lake.file_changes import AddedFile, RemovedFile
from quantx.lake.files import decode, intact_file, named_digest, statistics_of
from quantx.lake.log import TableMetadata, creating_entry, entry_path, is_whole, writing_entry
from quantx.lake.protocol import CommitContext
from quantx.lake.replay import (
    ASIDE,
    DataFile,
    LogDamage,
    LogState,
    TableLog,
    checkpoint_path,
    hint_of,
    hint_path,
    parse_entry,
    read_log,
    record_checkpoint,
)
from quantx.lake.store import LakeLocation
from quantx.lake.table import CONFIGURATION


def mend_log(location: LakeLocation, path: str) -> dict[str, str]:
    """Repair what can be proved in the log of the table at a path; return what was done, by object.

    What is not in the result stays damaged.
    """
    done: dict[str, str] = {}
    log = read_log(location, path)
    for damage in log.damages if log else ():
        if damage.part == "entry" and _flip_back(location, damage):
            done[damage.path] = "one flipped bit was set back; its SHA-256 proves it"
    log = read_log(location, path)
    if log is None or not log.whole:
        return done
    for damage in log.damages:
        if damage.part == "entry":
            set_aside(location, damage.path)
            done[damage.path] = "not needed: a later checkpoint has its result; put aside"
        elif damage.part == "checkpoint":
            set_aside(location, damage.path, keep_name=False)
            location.delete([damage.path])
    checkpoints = [damage.path for damage in log.damages if damage.part == "checkpoint"]
    if checkpoints or any(damage.part == "hint" for damage in log.damages):
        _write_hint(location, path, log.checkpoint)
        done[hint_path(path)] = "written again"
    if checkpoints:
        write_checkpoint(location, path)
        done |= dict.fromkeys(checkpoints, "replaced by a new checkpoint, written from the log's entries")
    return done


def restart_log(location: LakeLocation, path: str, table: Table, context: CommitContext) -> None:
    """Give a table whose log has lost an entry a new beginning: a commit with a checkpoint, after all that the log has.

    The table then has the files that readable entries and checkpoints name, and those that no entry names. So no stored
    row is lost, but a row may be there twice or be out of date: the caller must derive the rows again. Version numbers
    go on, so that a process that has the table open sees a new version.
    """
    schema = Schema.from_arrow(table.empty().to_arrow().schema).to_json()
    log = read_log(location, path)
    if log is None:
        location.put(f"{path}/{entry_path(0)}", creating_entry(schema, table.partitions, CONFIGURATION))
        log = read_log(location, path)
        assert log is not None
    state, version = log.state, log.version + 1
    metadata = TableMetadata(
        id=str(state.metadata.get("id") or uuid.uuid4()),
        created=int(state.metadata.get("createdTime") or time.time() * 1000),
        schema=schema,
        partitions=table.partitions,
        configuration=CONFIGURATION,
    )
    entry = writing_entry(
        context,
        _kept_files(location, path, table, state),
        version=version,
        partitions=table.partitions,
        metadata=metadata,
    )
    actions: list[Mapping[str, Any]] = [{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}]
    actions += [action for action in parse_entry(entry) if "commitInfo" not in action]
    actions += [{"txn": {"appId": app, "version": number}} for app, number in state.rounds.items()]
    context.confirm()
    if not location.create(f"{path}/{entry_path(version)}", entry):
        raise _conflict(table)
    context.note_version(path, version)
    location.put(checkpoint_path(path, version), _checkpoint_of(actions))
    record_checkpoint(location, path, version)
    _write_hint(location, path, version)


def _kept_files(location: LakeLocation, path: str, table: Table, state: LogState) -> list[AddedFile]:
    """Return the files of a table whose log is in part lost: those of its state, and those that it does not name.

    Damaged ones of its state are kept, too: their rows are derived again as those of any damaged file.
    """
    kept = []
    for file in state.live_files():
        problem, _ = file_damage(location, path, table, file)
        if file.sha256 is None and problem is None:
            file = replace(file, sha256=sha256(location.get(f"{path}/{file.path}")))
        if file.sha256 is not None and problem != "is missing":
            partition = {c: str(v) for c, v in file.partition.items()}
            statistics = json.dumps(file.statistics)
            kept.append(
                AddedFile(
                    path=file.path, size=file.size, sha256=file.sha256, partition=partition, statistics=statistics
                )
            )
    named = state.files.keys() | state.removed.keys()
    for stored in sorted(location.paths(path)):
        name = stored.removeprefix(f"{path}/")
        if name in named or named_digest(name) is None:
            continue
        try:
            body = intact_file(location, table, stored)
            statistics = statistics_of(decode(body))
        except DamagedObject:
            continue
        folders = [folder.partition("=") for folder in name.split("/")[:-1]]
        partition = {column: unquote(value) for column, _, value in folders}
        kept.append(
            AddedFile(path=name, size=len(body), sha256=sha256(body), partition=partition, statistics=statistics)
        )
    return kept


def remove_files(
    location: LakeLocation,
    path: str,
    table: Table,
    log: TableLog,
    files: Sequence[DataFile],
    context: CommitContext,
) -> None:
    """Remove data files from the table at a path; CommitConflict where another process commits at the same time."""
    version = log.version + 1
    entry = writing_entry(context, _removals(files), version=version, partitions=table.partitions)
    context.confirm()
    if not location.create(f"{path}/{entry_path(version)}", entry):
        raise _conflict(table)
    context.note_version(path, version)


def _conflict(table: Table) -> CommitConflict:
    return CommitConflict(f"another process has changed the table {table.name} meanwhile; start the command again")


def write_checkpoint(location: LakeLocation, path: str) -> None:
    """Write a checkpoint of the newest version of the table at a path, with the record of its digest."""
    try:
        delta = DeltaTable(location.table_url(path), storage_options=location.delta_options)
        delta.create_checkpoint()
    except (DeltaError, OSError):
        raise LakeError(f"cannot write a checkpoint of {path}; try again") from None
    record_checkpoint(location, path, delta.version())


def set_aside(location: LakeLocation, path: str, *, keep_name: bool = True) -> None:
    """Copy an object to the folder of damaged ones; with `keep_name` the original is deleted, and known to be gone."""
    try:
        body = location.get(path)
    except DamagedObject:
        body = b"it was missing"
    location.put(f"{ASIDE}/{path}" + ("" if keep_name else f".{ULID()}"), body)
    if keep_name:
        location.delete([path])


def _removals(files: Sequence[DataFile]) -> list[RemovedFile]:
    return [RemovedFile(path=f.path, size=f.size, partition={k: str(v) for k, v in f.partition.items()}) for f in files]


def _checkpoint_of(actions: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the checkpoint of a table with these actions; delta-rs writes it, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        entry = Path(folder) / entry_path(0)
        entry.parent.mkdir()
        entry.write_text("\n".join(json.dumps(action) for action in actions))
        DeltaTable(folder).create_checkpoint()
        return Path(folder, checkpoint_path(".", 0)).read_bytes()


def _flip_back(location: LakeLocation, damage: LogDamage) -> bool:
    try:
        body = location.get(damage.path)
    except DamagedObject:
        return False
    mended = with_one_bit_back(body, lambda tried: is_whole(tried) is True)
    if mended is None:
        return False
    set_aside(location, damage.path, keep_name=False)
    location.put(damage.path, mended)
    return True


def _write_hint(location: LakeLocation, path: str, checkpoint: int | None) -> None:
    if checkpoint is None:
        location.delete([hint_path(path)])
        return
    hint = hint_of(checkpoint, location.get(checkpoint_path(path, checkpoint)))
    location.put(hint_path(path), json.dumps(hint, separators=(",", ":")).encode())
