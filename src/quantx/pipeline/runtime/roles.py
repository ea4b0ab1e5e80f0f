"""Roles: one process at a time commits to the tables of a role, also where one was suspended or has another state.

The state's lock keeps the processes of one state apart as long as their connections live. The epoch in the lake fences
a process that lost the lock without noticing, and the processes of an earlier state (see `quantx.lake.epochs`). What a
process had under way when its role was taken over is stopped by sealing: where the last epoch has not ended, its
successor commits an empty entry to each table of the role. Every commit is bound to the version that was read, so none
from before the seal can follow it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import structlog
from ulid import ULID

from quantx.errors import CommitConflict, ConfigError, Fenced, LakeError, StateError
from quantx.lake.epochs import STATE_ID, Epoch, PastEpochs, create_epoch, newest_epoch
from quantx.lake.one_state import one_state
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation
from quantx.pipeline.runtime.lake_ids import LAKE_ID, RESTORING, id_at, restore_ids
from quantx.state.port import Hold, Role, State

if TYPE_CHECKING:
    from quantx.lake.protocol import Tables

log = structlog.get_logger()

T = TypeVar("T")

_ATTEMPTS = 5
# The tables of each role, by name, each with its revisions; features also has those of the sets,
# options those of options, and the curator all others.
_TABLES: Mapping[Role, tuple[str, ...]] = {
    "universes": ("universe_members",),
    "instruments": ("instruments", "symbol_history", "filer_symbols"),
    "reconciler": ("agreements", "verdicts", "action_verdicts"),
    "publisher": ("sessions", "findings"),
    "features": ("predictions",),
    "options": (),
}
COMMITTING: tuple[Role, ...] = ("curator", *_TABLES)


@dataclass(frozen=True)
class RoleHolder:
    """The holder of a role that commits to tables."""

    hold: Hold
    epoch: Epoch
    versions: dict[str, int] = field(default_factory=dict)  # of the role's tables, by path

    @property
    def state_id(self) -> str:
        """Return the id of the state whose role it is."""
        return self.epoch.state_id

    @property
    def origin(self) -> dict[str, str | int]:
        """Return what its commits record about it."""
        return {"quantx.role": self.epoch.role, "quantx.epoch": self.epoch.number}

    def confirm(self) -> None:
        """Raise Fenced where another process has taken the role over."""
        self.epoch.confirm()

    def note_version(self, table: str, version: int) -> None:
        """Note the version of a table that was committed, to be recorded at the end of the epoch."""
        self.versions[table] = version

    def confirm_lock(self) -> None:
        """Raise Fenced where the connection that holds the lock has ended; between commits, this keeps it open."""
        try:
            self.hold.confirm()
        except StateError as error:
            raise Fenced(f"{error}; start the command again") from error


@contextmanager
def take_role(location: LakeLocation, tables: Tables, state: State, role: Role) -> Iterator[RoleHolder | None]:
    """Hold a role while the block lasts; yield None if another process holds it.

    Raises ConfigError where the lake belongs to another state.
    """
    with state.exclusive(role) as hold:
        if hold is None:
            yield None
            return
        with _holding(location, tables, state, role, hold) as holder:
            yield holder


@contextmanager
def take_all_roles(
    location: LakeLocation, tables: Tables, state: State, others: Sequence[Role] = ()
) -> Iterator[Mapping[Role, RoleHolder] | None]:
    """Hold all roles that commit, and others, while the block lasts; yield None if another process holds one."""
    with state.exclusive(*COMMITTING, *others) as hold, ExitStack() as held:
        if hold is None:
            yield None
            return
        yield {role: held.enter_context(_holding(location, tables, state, role, hold)) for role in COMMITTING}


@contextmanager
def _holding(location: LakeLocation, tables: Tables, state: State, role: Role, hold: Hold) -> Iterator[RoleHolder]:
    """Begin an epoch of a role whose lock is held, and end it with the block."""
    epoch, past = _next_epoch(location, state, role)
    holder = RoleHolder(hold, epoch, past.versions())
    if not past.ended:
        names = tables_of(role, tables)
        with one_state(names):
            for name in names:
                tables[name].seal(CommitContext(by=holder))
    try:
        yield holder
    except CommitConflict:  # nothing is under way: the commit was refused
        _end(holder)
        raise
    _end(holder)


def committing(
    take: Callable[[], AbstractContextManager[RoleHolder | None]], work: Callable[[RoleHolder | None], T]
) -> T:
    """Take a role and do work that commits; return its result.

    After a conflict the role is released and taken again, and the work is repeated from its start: it reads again what
    the other process has committed. Raises CommitConflict where that happens too often.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with take() as holder:
                return work(holder)
        except CommitConflict as conflict:
            if attempt == _ATTEMPTS:
                raise
            log.warning("commit.conflict", attempt=attempt, error=str(conflict))
    raise AssertionError("the last attempt returns or raises")


def tables_of(role: Role, tables: Tables) -> list[str]:
    """Return the names of the tables to which a role commits."""
    # These load the library for frames.
    from quantx.core.features.tables import FEATURE_TABLES
    from quantx.core.option_tables import OPTION_TABLES

    owned = {
        **_TABLES,
        "features": (*_TABLES["features"], *(table.name for table in FEATURE_TABLES)),
        "options": tuple(table.name for table in OPTION_TABLES),
    }
    others = {name for names in owned.values() for name in names}

    def is_own(name: str) -> bool:
        return name in owned[role] if role in owned else name not in others

    return [name for name in tables if is_own(name.removesuffix("_revisions"))]


def confirm_lake(location: LakeLocation, state: State) -> str:
    """Return the id of the state; ConfigError with the next step where it and this lake do not belong together.

    Damaged ids of the lake are written again.

    A state of another lake would call sessions covered that are not stored there. The newest state owns the lake: a new
    one takes it over, which fences the processes of the one before, and an older one is refused.
    """
    try:
        return _confirm(location, state)
    except ConfigError:
        if not restore_ids(location, state.binding()):
            raise
        return _confirm(location, state)


def _confirm(location: LakeLocation, state: State) -> str:
    bound = state.binding()
    if bound is not None and not location.has(LAKE_ID):
        raise ConfigError(
            f"there is no lake in {location.url}, but the state in {state.shown_url} has one recorded; restore the"
            " lake, or remove that state as well: then everything is fetched again"
        )
    lake_id = location.get_or_put(LAKE_ID, str(ULID()).encode()).decode(errors="replace")
    if lake_id.startswith(RESTORING):
        raise ConfigError(
            f"a backup is being restored into {location.url}; run the same `quantx backup restore` again to finish it"
        )
    bound = bound or state.bind_lake(lake_id, str(ULID()))
    if bound.lake_id != lake_id:
        raise ConfigError(
            f"the state in {state.shown_url} belongs to another lake than {location.url};"
            " point QUANTX_LAKE_URL to that lake, or QUANTX_STATE_URL to a new state, which fetches everything again"
        )
    if not bound.took_over:
        _take_over(location, bound.state_id)
        state.took_over()
    elif location.get_or_put(STATE_ID, bound.state_id.encode()).decode(errors="replace") != bound.state_id:
        raise ConfigError(
            f"a newer state has taken over the lake {location.url}, and the one in {state.shown_url} does not have"
            " its records; use the newer state, or remove this one: an empty state takes the lake over again"
        )
    return bound.state_id


def _take_over(location: LakeLocation, state_id: str) -> None:
    """Make a new state the owner of the lake: first its id, then an epoch of each role."""
    has_owner = location.has(STATE_ID)
    location.put(STATE_ID, state_id.encode())
    if not has_owner:
        return
    for role in COMMITTING:
        # It does not end: the first real holder of the role finds it, and seals the role's tables.
        while create_epoch(location, state_id, role, newest_epoch(location, role)[0] + 1) is None:
            continue


def _next_epoch(location: LakeLocation, state: State, role: Role) -> tuple[Epoch, PastEpochs]:
    """Create the next epoch of a role; return it, and those before."""
    while True:
        past = PastEpochs.of(location, role)
        bound = state.binding()
        if bound is not None and bound.took_over and bound.state_id == id_at(location, STATE_ID):
            state_id = bound.state_id
        else:
            state_id = confirm_lake(location, state)
        epoch = create_epoch(location, state_id, role, past.newest + 1)
        if epoch is not None:
            past.forget()
            return epoch, past


def _end(holder: RoleHolder) -> None:
    with contextlib.suppress(LakeError):  # the successor seals the tables instead
        holder.epoch.end(holder.versions)
