"""The log of a Delta table, replayed without delta-rs: its live files, and what is damaged in it.

delta-rs does not check a log: an entry that was emptied costs rows without an error, and damage is a text of its
parser. Here every entry and checkpoint is read, compared with its digest where it has one, and with one another.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

import polars as pl

from quantx.errors import DamagedObject
from quantx.lake.digests import sha256
from quantx.lake.file_changes import DIGEST
from quantx.lake.log import VERSION, is_whole
from quantx.lake.pages import check_pages
from quantx.lake.store import LakeLocation

HINT = "_last_checkpoint"
ASIDE = "meta/damaged"  # damaged objects that a repair has replaced, under their former paths
RECORDS = "meta/digests"  # of checkpoints, which delta-rs writes without a digest
_ENTRY = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_KINDS = {"add", "remove", "metaData", "protocol", "txn", "commitInfo", "cdc", "domainMetadata"}

Action = Mapping[str, Any]
LogPart = Literal["entry", "checkpoint", "hint"]


@dataclass(frozen=True)
class DataFile:
    """A data file of a table."""

    path: str  # below the table
    size: int  # bytes
    partition: Mapping[str, str | None]
    statistics: Mapping[str, Any]  # as Delta has them; empty where there are none
    sha256: str | None  # its first digits at least; None: written by an earlier program
    live: bool = True  # the newest version has it; false: replaced, and kept for readers of older versions


@dataclass(frozen=True)
class LogDamage:
    """One damaged or missing object of a log."""

    path: str
    part: LogPart
    version: int
    what: str  # the fact, as the end of a sentence about the object
    needed: bool  # readers need it; without it they fail or see wrong rows


@dataclass
class LogState:
    """The result of some actions, in order."""

    files: dict[str, Action] = field(default_factory=dict)  # the add action of each live file
    removed: dict[str, int] = field(default_factory=dict)  # when a file was removed, ms
    rounds: dict[str, int] = field(default_factory=dict)  # by application
    metadata: Action = field(default_factory=dict)
    protocol: Action = field(default_factory=dict)

    def apply(self, actions: Iterable[Action]) -> None:
        """Add the effect of the actions of one entry or checkpoint."""
        for action in actions:
            if add := action.get("add"):
                path = unquote(add["path"])
                self.files[path] = add
                self.removed.pop(path, None)
            elif remove := action.get("remove"):
                path = unquote(remove["path"])
                self.files.pop(path, None)
                self.removed[path] = remove.get("deletionTimestamp") or 0
            elif txn := action.get("txn"):
                self.rounds[txn["appId"]] = txn["version"]
            elif metadata := action.get("metaData"):
                self.metadata = metadata
            elif protocol := action.get("protocol"):
                self.protocol = protocol

    def copy(self) -> LogState:
        """Return a state that changes alone."""
        return LogState(dict(self.files), dict(self.removed), dict(self.rounds), self.metadata, self.protocol)

    def live_files(self) -> list[DataFile]:
        """Return the live files by path."""
        return [
            DataFile(
                path,
                add["size"],
                dict(add["partitionValues"]),
                json.loads(add.get("stats") or "{}"),
                dict(add.get("tags") or {}).get(DIGEST),
            )
            for path, add in sorted(self.files.items())
        ]

    def equals(self, other: LogState) -> bool:
        """Return whether readers see the same; files that were removed longer ago than the retention may differ."""
        schemas = [
            (json.loads(s.metadata.get("schemaString") or "null"), s.metadata.get("id"), dict(s.protocol))
            for s in (self, other)
        ]
        protocols = [{k: v for k, v in p.items() if v is not None} for *_, p in schemas]
        return (
            self.live_files() == other.live_files()
            and self.rounds == other.rounds
            and schemas[0][:2] == schemas[1][:2]
            and protocols[0] == protocols[1]
            and not other.removed.keys() - self.removed.keys()
        )


@dataclass
class TableLog:
    """A log as found."""

    version: int  # the newest
    state: LogState  # of the newest version; where `whole` is false, without what can't be read
    whole: bool  # every needed entry and checkpoint is there and readable
    damages: list[LogDamage]
    checkpoint: int | None  # the newest one that is intact
    undigested: int  # entries and checkpoints that were only parsed and compared: earlier programs wrote them
    objects: int  # read
    bytes: int


def read_log(location: LakeLocation, table: str) -> TableLog | None:
    """Read and check the log of the table at a path; return None where it has no log.

    Raises LakeError where the store can't be reached.
    """
    return _Reader(location, table).read()


def record_checkpoint(location: LakeLocation, table: str, version: int) -> None:
    """Record the digest of a checkpoint that was just written."""
    body = location.get(checkpoint_path(table, version))
    record = json.dumps({"size": len(body), "sha256": sha256(body)})
    location.put(_record_path(table, version), record.encode())


def checkpoint_path(table: str, version: int) -> str:
    """Return the path of a checkpoint of the table at a path."""
    return f"{table}/_delta_log/{version:020}.checkpoint.parquet"


def hint_path(table: str) -> str:
    """Return the path of the object that names the newest checkpoint of the table at a path."""
    return f"{table}/_delta_log/{HINT}"


def hinted_version(location: LakeLocation, table: str) -> int:
    """Return the version of the newest checkpoint by the hint; 0 where there is none, or the hint can't be read."""
    try:
        version = json.loads(location.get(hint_path(table)))["version"]
    except (DamagedObject, ValueError, KeyError, TypeError):
        return 0
    return version if isinstance(version, int) and version > 0 else 0


def hint_of(version: int, body: bytes) -> dict[str, int]:
    """Return the facts about a checkpoint that the hint has; raises DamagedObject where it can't be read."""
    actions = _checkpoint_actions(body)
    adds = sum(1 for action in actions if action.get("add"))
    return {"version": version, "size": len(actions), "sizeInBytes": len(body), "numOfAddFiles": adds}


def parse_entry(body: bytes) -> list[Action]:
    """Return the actions of a log entry; raises DamagedObject where it is not one."""
    try:
        actions = [json.loads(line) for line in body.decode().splitlines() if line.strip()]
        for action in actions:
            if len(action) != 1 or not action.keys() <= _KINDS:
                raise DamagedObject("has an unknown action")
        _check_parts(actions)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise DamagedObject("can't be read as a log entry") from None
    if not actions:
        raise DamagedObject("is empty")
    return actions


def _place_of(actions: Sequence[Action], version: int) -> int | None:
    """Return the version of an entry that was read as that of `version`; None where it is not the first and should be.

    Entries of earlier programs do not name theirs.
    """
    info: Action = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    creates = any("metaData" in action for action in actions)
    named = info.get(VERSION, version)
    return None if version == 0 and not creates else int(named)


def _check_parts(actions: Sequence[Action]) -> None:
    """Raise ValueError, TypeError, AttributeError or KeyError where actions do not have the parts that are used."""
    _ = [int(info.get(VERSION, 0)) for action in actions if (info := action.get("commitInfo")) is not None]
    state = LogState()
    state.apply(actions)
    json.loads(state.metadata.get("schemaString") or "null")
    _ = dict(state.protocol), [version + 0 for version in state.rounds.values()]
    _ = [at + 0 for at in state.removed.values()]
    for file in state.live_files():
        _ = file.size + 0, [file.statistics.get(part, {}).items() for part in ("minValues", "maxValues", "nullCount")]


def _checkpoint_actions(body: bytes) -> list[Action]:
    try:
        check_pages(body)
        rows = [_plain(row) for row in pl.read_parquet(io.BytesIO(body), hive_partitioning=False).to_dicts()]
        _check_parts(rows)
    except (DamagedObject, OSError, ValueError, TypeError, AttributeError, KeyError):
        raise DamagedObject("can't be read as a checkpoint") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise DamagedObject("can't be read as a checkpoint") from None
    return rows


def _plain(value: Any) -> Any:
    """Return a value of a checkpoint as log entries have it; Polars reads a map as a list of pairs."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and value[0].keys() == {"key", "value"}:
        return {pair["key"]: pair["value"] for pair in value}
    return value


def _record_path(table: str, version: int) -> str:
    return f"{RECORDS}/{table}/{version:020}.checkpoint.json"


class _Reader:
    """Reads one log."""

    def __init__(self, location: LakeLocation, table: str) -> None:
        self._location = location
        self._table = table
        self._folder = f"{table}/_delta_log"
        self._damages: list[LogDamage] = []
        self._undigested = 0
        self._hints: dict[int, dict[str, int]] = {}  # what the hint must be, by readable checkpoint

    def read(self) -> TableLog | None:
        sizes = {path.rpartition("/")[2]: size for path, size in self._location.sizes(self._folder).items()}
        names = set(sizes)
        entries = sorted(int(m[1]) for name in names if (m := _ENTRY.fullmatch(name)))
        checkpoints = {int(m[1]) for name in names if (m := _CHECKPOINT.fullmatch(name))}
        if not entries and not checkpoints:
            return None
        versions = {*entries, *checkpoints}
        first, last = min(versions), max(versions)
        aside = {path.rpartition("/")[2] for path in self._location.paths(f"{ASIDE}/{self._folder}")}
        state: LogState | None = LogState() if first == 0 else None
        known, newest = LogState(), None
        for version in range(first, last + 1):
            actions = None
            if version in entries:
                actions = self._entry(version)
            elif f"{version:020}.json" not in aside:
                self._note("entry", version, "is missing")
            if actions is None:
                state = None
            else:
                known.apply(actions)
                if state is not None:
                    state.apply(actions)
            if version in checkpoints and (found := self._checkpoint(version, state)) is not None:
                state, known, newest = found, found.copy(), version
        if first > 0 and newest is None:
            self._note("entry", first - 1, "is missing, and so are all entries before it")
        if HINT in names:
            self._check_hint()
        self._damages = [_with_need(damage, newest) for damage in self._damages]
        return TableLog(
            last,
            state or known,
            state is not None,
            self._damages,
            newest,
            self._undigested,
            len(sizes),
            sum(sizes.values()),
        )

    def _note(self, part: LogPart, version: int, what: str) -> None:
        names = {"entry": f"{version:020}.json", "checkpoint": f"{version:020}.checkpoint.parquet", "hint": HINT}
        self._damages.append(LogDamage(f"{self._folder}/{names[part]}", part, version, what, needed=True))

    def _entry(self, version: int) -> Sequence[Action] | None:
        try:
            body = self._location.get(f"{self._folder}/{version:020}.json")
        except DamagedObject:  # deleted since it was listed
            self._note("entry", version, "is missing")
            return None
        whole = is_whole(body)
        if whole is False:
            self._note("entry", version, "does not match its SHA-256")
            return None
        try:
            actions = parse_entry(body)
        except DamagedObject as error:
            self._note("entry", version, str(error))
            return None
        if _place_of(actions, version) != version:
            self._note("entry", version, "is the entry of another version")
            return None
        self._undigested += whole is None
        return actions

    def _checkpoint(self, version: int, replayed: LogState | None) -> LogState | None:
        """Return the state of a checkpoint; None where it is damaged. It is compared with the entries before it."""
        try:
            body = self._location.get(checkpoint_path(self._table, version))
        except DamagedObject:  # deleted since it was listed
            return None
        recorded = self._recorded(version)
        if recorded is not None and recorded != sha256(body):
            self._note("checkpoint", version, "does not match its recorded SHA-256")
            return None
        state = LogState()
        try:
            state.apply(_checkpoint_actions(body))
            self._hints[version] = hint_of(version, body)
        except DamagedObject as error:
            self._note("checkpoint", version, str(error))
            return None
        if replayed is not None and not replayed.equals(state):
            self._note("checkpoint", version, "differs from the entries before it")
            return None
        self._undigested += recorded is None
        return state

    def _recorded(self, version: int) -> str | None:
        """Return the recorded digest of a checkpoint; None where an earlier program wrote it."""
        try:
            return str(json.loads(self._location.get(_record_path(self._table, version)))["sha256"])
        except DamagedObject:
            return None
        except (ValueError, KeyError, TypeError):
            return "the record is damaged"

    def _check_hint(self) -> None:
        try:
            hint = json.loads(self._location.get(f"{self._folder}/{HINT}"))
            version = hint["version"]
        except (ValueError, KeyError, TypeError):
            self._note("hint", 0, "can't be read")
            return
        if any(d.part == "checkpoint" and d.version == version for d in self._damages):
            return  # it is written again with its checkpoint
        if not isinstance(version, int) or version not in self._hints:
            self._note("hint", 0, "names a checkpoint that does not exist")
        elif hint != self._hints[version]:
            self._note("hint", 0, "does not describe its checkpoint")


def _with_need(damage: LogDamage, newest: int | None) -> LogDamage:
    """Return a damage with whether readers need the object, given the newest intact checkpoint."""
    spared = damage.part == "entry" and newest is not None and damage.version <= newest
    older = damage.part == "checkpoint" and newest is not None and damage.version < newest
    return LogDamage(damage.path, damage.part, damage.version, damage.what, needed=not (spared or older))
