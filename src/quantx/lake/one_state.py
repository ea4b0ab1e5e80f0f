"""One state of the tables: within a block, the newest version of each table is looked up once.

Without a block each read asks for a newer version. A block saves these requests where they can find nothing: the holder
of a role alone commits to its tables, and an inspection is about what was there when it began. One listing shows the
tables that do not exist. Commits stay bound to the version that was read, so that a conflict shows as without a block.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantx.lake.store import LakeLocation


class TablesState:
    """The tables of a block, as they are from its begin on."""

    def __init__(self, names: Collection[str] | None, outer: TablesState | None) -> None:
        self.outer = outer
        self._names = names
        self._folders: dict[tuple[str, str], frozenset[str]] = {}  # of tables, by the URL of the lake and the parent

    def covers(self, name: str) -> bool:
        """Return whether a table is one of the block."""
        return self._names is None or name in self._names

    def has_table(self, location: LakeLocation, path: str) -> bool:
        """Return False where no folder of the table at a path existed; one request for each zone."""
        parent = path.rpartition("/")[0]
        if not parent:
            return True  # a listing of the top would have other folders
        place = location.url, parent
        if place not in self._folders:
            self._folders[place] = frozenset(location.folders(parent))
        return path in self._folders[place]

    def forget_folders(self) -> None:
        """List the folders again for the next table."""
        self._folders.clear()


_STATE: ContextVar[TablesState | None] = ContextVar("quantx_one_state", default=None)


@contextmanager
def one_state(names: Collection[str] | None = None) -> Iterator[None]:
    """Look up the newest version of each table (of `names`) once within the `with` block, in this thread.

    A handle's own commits are seen. A block within another one looks its tables up again.
    """
    token = _STATE.set(TablesState(names, _STATE.get()))
    try:
        yield
    finally:
        _STATE.reset(token)


def state_of(name: str) -> TablesState | None:
    """Return the state of the innermost block with a table; None outside of one."""
    state = _STATE.get()
    while state is not None and not state.covers(name):
        state = state.outer
    return state


def note_new_table() -> None:
    """Note that this thread has created a table: a listing from before does not show it."""
    state = _STATE.get()
    while state is not None:
        state.forget_folders()
        state = state.outer
