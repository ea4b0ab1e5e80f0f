"""Carry out a deletion: under all roles that commit, step by step, each of which can be repeated.

The tombstone is written first: from then on nothing of what it names is planned, curated, derived again or backed up. A
deletion that was killed is ended by the same command, by `quantx delete --resume` or by the next sweep; each step finds
by listing what is left. Raw objects that can't be removed yet (a retention policy, a missing right) are recorded with
the reason, and tried again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from quantx.core.deleted_rows import quoted_by_others, touched_tables
from quantx.core.tables import TABLES
from quantx.core.tombstones import PRICES, Tombstone
from quantx.errors import Busy, QueueError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation
from quantx.lake.tombstones import (
    find_tombstone,
    note_done,
    note_pending,
    pending_of,
    read_tombstones,
    write_tombstone,
)
from quantx.pipeline.curating.curator import Curator
from quantx.pipeline.deleting.raw_objects import RawZone
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, tables_of, take_all_roles
from quantx.queues import messages
from quantx.queues.protocol import Poisoned
from quantx.state.port import Role

log = structlog.get_logger()

# Others that read tables and write what they have read elsewhere; a backup copies files that a deletion removes.
_OTHERS: tuple[Role, ...] = ("inspector", "healer", "reporter", "verifier", "backup")
OnStep = Callable[[str, int, int | None], None]  # what is being done, finished parts, of how many


@dataclass
class Deletion:
    """What a deletion has removed, and what is left."""

    id: str
    rows: Counter[str] = field(default_factory=Counter)  # by table
    files: int = 0
    snapshots: set[str] = field(default_factory=set)
    tasks: int = 0
    state: Mapping[str, int] = field(default_factory=dict)
    raw_removed: int = 0
    raw_bytes: int = 0
    raw_replaced: int = 0
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)  # raw objects that can't be removed yet
    again_after: datetime | None = None  # a worker may store a reply until then

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to remove."""
        return not self.pending and self.again_after is None

    def as_json(self) -> dict[str, Any]:
        """Return the deletion for JSON."""
        return {
            "id": self.id,
            "complete": self.complete,
            "rows": {name: rows for name, rows in self.rows.items() if rows},
            "files": self.files,
            "snapshots": sorted(self.snapshots),
            "tasks": self.tasks,
            "state": {name: rows for name, rows in self.state.items() if rows},
            "raw_removed": self.raw_removed,
            "raw_bytes": self.raw_bytes,
            "raw_replaced": self.raw_replaced,
            "pending": self.pending,
            "again_after": self.again_after,
        }


@dataclass(frozen=True, kw_only=True)
class Deleter:
    """Deletes for good, with the parts of a platform."""

    platform: Platform
    curator: Curator
    on_step: OnStep = lambda step, done, of: None
    on_written: Callable[[Tombstone], object] = lambda stone: None  # with each tombstone, before anything is deleted

    @property
    def raw(self) -> RawZone:
        """Return the raw zone."""
        state = self.platform.state
        return RawZone(
            location=self.platform.location,
            replies=state.replies,
            deletions=state.deletions,
            reader_of=self.curator.reader_of,
        )

    def delete(self, stone: Tombstone) -> Deletion:
        """Write a tombstone and carry it out; raises Busy where another process has a role."""
        with self._roles() as holders:
            write_tombstone(self.platform.location, stone)
            log.info("deletion.begun", **_facts(stone))
            return self._carry_out(stone, holders)

    def resume(self, stone_id: str | None = None) -> list[Deletion]:
        """End the deletions that are not done, or the one with this id.

        Raises Busy where another process has a role.
        """
        location = self.platform.location
        named = [find_tombstone(location, stone_id)] if stone_id else read_tombstones(location)
        left = [stone for stone in named if not stone.lifted and (stone_id or not stone.done)]
        if not left:
            return []
        with self._roles() as holders:
            return [self._carry_out(stone, holders) for stone in left]

    @contextmanager
    def _roles(self) -> Iterator[Mapping[Role, RoleHolder]]:
        """Hold all roles: what another process has read before must not be written after."""
        platform = self.platform
        with take_all_roles(platform.location, platform.tables, platform.state, _OTHERS) as holders:
            if holders is None:
                raise Busy(
                    "another process curates, compares, inspects, verifies or backs up this lake; nothing was deleted:"
                    " delete again when it has ended"
                )
            self.curator.finish_interrupted_round(holders["curator"])
            yield holders

    def _carry_out(self, stone: Tombstone, holders: Mapping[Role, RoleHolder]) -> Deletion:
        self.on_written(stone)
        done = Deletion(stone.id)
        stopped = self.platform.state.deletions.stop_tasks(stone)
        done.tasks = stopped.tasks
        now = self.platform.clock.now()
        held_until = stopped.held_until or _held_before(self.platform, stone)
        if held_until is not None and held_until > now:
            done.again_after = held_until
        self._erase_raw(stone, done)
        self._erase_tables(stone, holders, done)
        done.state = self.platform.state.deletions.erase(stone)
        self._forget_texts(stone)
        location = self.platform.location
        if done.complete:
            note_done(location, stone, done.as_json() | {"at": now})
        else:
            note_pending(location, stone, done.pending | _waiting(done))
        log.info("deletion.done" if done.complete else "deletion.pending", **_facts(stone), left=len(done.pending))
        return done

    def _erase_raw(self, stone: Tombstone, done: Deletion) -> None:
        raw, created = self.raw, self.platform.location.objects(f"raw/source={stone.source}")
        plans = list(raw.plan(stone))
        days = self.platform.settings.raw_retention_days
        for number, plan in enumerate(plans):
            self.on_step("raw objects", number, len(plans))
            raw.write_stand_in(stone, plan)
            done.raw_replaced += not plan.is_whole
            why = raw.remove(plan.path)
            if why is None:
                done.raw_removed += 1
                done.raw_bytes += plan.size
                continue
            made = created[plan.path].modified
            until = made + timedelta(days=days) if made is not None and days else None
            done.pending[plan.path] = {"bytes": plan.size, "until": until, "why": why}

    def _erase_tables(self, stone: Tombstone, holders: Mapping[Role, RoleHolder], done: Deletion) -> None:
        tables, filters = self.platform.tables, touched_tables(stone)
        for role, holder in holders.items():
            for name in tables_of(role, tables):
                if name not in filters or tables[name].version() is None:
                    continue
                self.on_step(f"table {name}", 0, None)
                source = None if quoted_by_others(TABLES[name], stone) else stone.source
                erased = tables[name].erase(CommitContext(by=holder), filters[name], source)
                done.rows[name] += erased.rows
                done.files += erased.files
                done.snapshots |= set(erased.snapshots)

    def _forget_texts(self, stone: Tombstone) -> None:
        """Remove what quotes the vendor outside of tables: reports, dead letters, files that wait in the inbox."""
        location = self.platform.location
        location.delete(waiting_files(location, stone))
        location.delete(sorted(location.paths("reports/coverage")))
        for path in location.paths("reports"):
            if path.endswith(".json") and (clean := _without_errors(location.get(path), stone)) is not None:
                location.put(path, clean)

        def is_deleted(letters: Any) -> list[bool]:
            return [_is_about(letter, stone) for letter in letters]

        self.platform.queue.discard_poison(is_deleted)


def waiting_files(location: LakeLocation, stone: Tombstone) -> list[str]:
    """Return the files of the inbox that a tombstone deletes: those of a source of which all days of bars go.

    The symbols and days of files that were never imported are unknown.
    """
    everything = stone.symbols is None and stone.before is None and stone.has_dataset(PRICES)
    return sorted(location.paths(f"inbox/{stone.source}")) if everything else []


def _held_before(platform: Platform, stone: Tombstone) -> datetime | None:
    """Return the end of the last lease of the tasks that an earlier try has stopped: it is recorded as pending."""
    found = pending_of(platform.location, stone).get("worker")
    return None if found is None else datetime.fromisoformat(found["until"])


def _waiting(done: Deletion) -> dict[str, Any]:
    return {} if done.again_after is None else {"worker": {"until": done.again_after.isoformat(), "bytes": 0}}


def _facts(stone: Tombstone) -> dict[str, Any]:
    return {"tombstone": stone.id, "source": stone.source, "by": stone.by, "reason": stone.reason}


def _without_errors(body: bytes, stone: Tombstone) -> bytes | None:
    """Return the report of a run without the texts of failures that may quote the vendor; None where it has none."""
    try:
        report = json.loads(body)
    except ValueError:
        return None
    if stone.source not in str(report.get("source")).split(",") and report.get("source") != "any":
        return None
    changed, text = False, f"deleted for good: tombstone {stone.id}"
    for failure in report.get("failures", ()):
        if (stone.symbols is None or stone.spans_of(str(failure.get("symbol")))) and failure.get("error") != text:
            failure["error"], changed = text, True
    return json.dumps(report, indent=2).encode() if changed else None


def _is_about(letter: Poisoned, stone: Tombstone) -> bool:
    try:
        task = messages.decode(letter.body)
    except QueueError:
        return False
    return task.source == stone.source and (stone.symbols is None or bool(stone.spans_of(task.symbol)))
