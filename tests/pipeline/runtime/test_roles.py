"""Roles: epochs in the lake, seals, take-overs by another state, and the orders in which two processes meet."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ulid import ULID

from quantx.core.tables import BARS_1D, TABLES
from quantx.errors import CommitConflict, ConfigError, Fenced
from quantx.lake.epochs import STATE_ID, newest_epoch
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.pipeline.runtime.lake_ids import LAKE_ID
from quantx.pipeline.runtime.roles import (
    COMMITTING,
    RoleHolder,
    committing,
    confirm_lake,
    tables_of,
    take_role,
)
from quantx.state.memory import MemoryState

from ...lake.test_table import bars
from ..conftest import StoppedClock

NEWER = str(ULID())


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    return open_location(str(tmp_path / "lake"))


@dataclass
class Site:
    """A state, and the lake as its processes see it."""

    location: LakeLocation
    state: MemoryState = field(default_factory=lambda: MemoryState(StoppedClock()))

    def __post_init__(self) -> None:
        self.tables = open_tables(self.location, TABLES)

    def take(self) -> RoleHolder:
        """Take the curator's role as a process that is never heard of again."""
        self.role = take_role(self.location, self.tables, self.state, "curator")
        holder = self.role.__enter__()
        assert holder is not None
        return holder

    def commit(self, holder: RoleHolder, day: int, read_at: int | None = -1) -> bool:
        context = CommitContext(by=holder)
        return self.tables["bars_1d"].commit(context, bars("A", [day]), read_at=read_at)


@pytest.fixture
def site(location: LakeLocation) -> Site:
    site = Site(location)
    confirm_lake(location, site.state)
    return site


def test_each_table_belongs_to_one_role() -> None:
    owned = [name for role in COMMITTING for name in tables_of(role, TABLES)]
    assert sorted(owned) == sorted(TABLES)


def test_a_role_that_has_ended_is_taken_without_a_seal(site: Site) -> None:
    for number in (1, 2):
        with take_role(site.location, site.tables, site.state, "curator") as holder:
            assert holder is not None
            assert holder.epoch.number == number
            site.commit(holder, number)
        assert newest_epoch(site.location, "curator") == (number, True)
    assert site.tables["bars_1d"].version() == 2
    (entry,) = Path(site.tables["bars_1d"].url).glob("_delta_log/*2.json")
    info = json.loads(entry.read_bytes().splitlines()[0])["commitInfo"]
    assert (info["quantx.role"], info["quantx.epoch"]) == ("curator", 2)


def test_a_dead_holder_is_sealed_off(site: Site) -> None:
    dead = site.take()
    site.commit(dead, 0)
    site.state.holder_died(threading.get_ident())
    successor = Site(site.location, site.state)
    holder = successor.take()
    assert (holder.epoch.number, successor.tables["bars_1d"].version()) == (2, 2)
    with pytest.raises(Fenced, match=r"the role curator of the lake .* has the epoch 2, not 1"):
        site.commit(dead, 1)


@dataclass(frozen=True)
class Meddled(LakeLocation):
    """A place where something happens once: at an operation on a path that contains a text."""

    at: str = ""
    happens: list[Callable[[], object]] = field(default_factory=list)
    after: bool = True

    def create(self, path: str, body: bytes) -> bool:
        if not self.after:
            self._meddle(path)
        return super().create(path, body)

    def get(self, path: str) -> bytes:
        found = super().get(path)
        if self.after:
            self._meddle(path)
        return found

    def _meddle(self, path: str) -> None:
        if self.at in path and self.happens:
            self.happens.pop()()


def meddled(site: Site, at: str, event: Callable[[], object], *, after: bool) -> Site:
    place = site.location
    return Site(Meddled(place.url, place.store, place.options, at=at, happens=[event], after=after), site.state)


def newer_state(location: LakeLocation) -> Site:
    site = Site(location)
    confirm_lake(location, site.state)
    return site


def test_a_commit_between_confirmation_and_entry_is_stopped_by_the_seal(site: Site) -> None:
    """The check alone is no fence: the process may be suspended after it."""

    def take_over() -> None:
        newer_state(site.location).take()

    holder = site.take()
    site.commit(holder, 0)
    slow = meddled(site, "_delta_log", take_over, after=False)
    with pytest.raises(CommitConflict):
        slow.commit(holder, 1)
    assert LakeTable(site.location, BARS_1D).read().height == 1


def test_a_newer_state_fences_the_older_one_at_its_next_commit(site: Site) -> None:
    holder = site.take()
    site.commit(holder, 0)
    newer_state(site.location)
    with pytest.raises(Fenced):
        site.commit(holder, 1)
    site.state.holder_died(threading.get_ident())
    with pytest.raises(ConfigError, match="a newer state has taken over the lake"):
        site.take()


def test_a_state_that_is_replaced_while_it_takes_a_role_does_not_get_it(site: Site) -> None:
    """It has read its own id as the owner's; the newer state writes its id and its epoch before the older one's."""
    slow = meddled(site, STATE_ID, lambda: newer_state(site.location), after=True)
    with pytest.raises(ConfigError, match="a newer state has taken over the lake"):
        slow.take()
    assert newest_epoch(site.location, "curator") == (1, False)


def test_an_epoch_before_that_of_the_newer_state_is_fenced(site: Site) -> None:
    holder = site.take()
    newer = newer_state(site.location)
    assert newer.take().epoch.number == 3  # 2 is that of the take-over
    with pytest.raises(Fenced):
        holder.confirm()


def test_a_take_over_that_was_interrupted_is_finished(site: Site) -> None:
    newer = Site(site.location)
    newer.state.bind_lake(site.location.get("meta/lake_id").decode(), NEWER)  # and then it died
    assert confirm_lake(newer.location, newer.state) == NEWER
    assert newer.location.get(STATE_ID) == NEWER.encode()
    with pytest.raises(ConfigError):
        site.take()


def changed_character(body: bytes) -> bytes:
    return body[:9] + (b"X" if body[9:10] != b"X" else b"Y") + body[10:]


DAMAGED_IDS: dict[str, Callable[[bytes], bytes | None]] = {
    "removed": lambda body: None,
    "emptied": lambda body: b"",
    "no text": lambda body: b"\xff" + body[1:],
    "another character": changed_character,
    "cut": lambda body: body[:-1],
}


@pytest.mark.parametrize("damage", DAMAGED_IDS.values(), ids=DAMAGED_IDS)
@pytest.mark.parametrize("path", [LAKE_ID, STATE_ID])
def test_a_damaged_id_is_written_again_as_the_state_has_it(
    site: Site, path: str, damage: Callable[[bytes], bytes | None]
) -> None:
    site.take()
    site.role.__exit__(None, None, None)
    right = site.location.get(path)
    body = damage(right)
    site.location.delete([path]) if body is None else site.location.put(path, body)
    confirm_lake(site.location, site.state)
    assert site.location.get(path) == right


@pytest.mark.parametrize("damage", DAMAGED_IDS.values(), ids=DAMAGED_IDS)
def test_a_replaced_state_writes_no_id(site: Site, damage: Callable[[bytes], bytes | None]) -> None:
    newer_state(site.location).take()
    site.location.put(STATE_ID, damage(site.location.get(STATE_ID)) or b"")
    with pytest.raises(ConfigError):
        confirm_lake(site.location, site.state)


def test_work_is_repeated_after_a_conflict_and_not_for_ever(site: Site) -> None:
    tries: list[int] = []

    def work(holder: RoleHolder | None) -> int:
        assert holder is not None
        tries.append(holder.epoch.number)
        if len(tries) in (1, 2):
            raise CommitConflict("somebody else was faster")
        return len(tries)

    def take() -> object:
        return take_role(site.location, site.tables, site.state, "curator")

    assert committing(take, work) == 3  # type: ignore[arg-type]
    assert tries == [1, 2, 3]

    def fail(holder: RoleHolder | None) -> None:
        tries.append(0)
        raise CommitConflict("always")

    tries.clear()
    with pytest.raises(CommitConflict, match="always"):
        committing(take, fail)  # type: ignore[arg-type]
    assert len(tries) == 5


def test_epochs_of_long_ago_are_forgotten(site: Site) -> None:
    for _ in range(60):
        with take_role(site.location, site.tables, site.state, "curator"):
            pass
    assert newest_epoch(site.location, "curator") == (60, True)
    assert 10 <= len(site.location.paths("meta/epochs/curator")) <= 42
