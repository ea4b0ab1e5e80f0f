"""The port of a curated table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # planning, which opens no tables, starts without the library for frames
    import polars as pl

    from quantx.core.table import Table

UNREAD = -1  # instead of a version: a commit's rows depend on no row of the table
_APP = "quantx.curator"


class Committer(Protocol):
    """The holder of a role, under which tables are changed."""

    @property
    def state_id(self) -> str:
        """Return the id of the state that numbers the rounds."""
        ...

    @property
    def origin(self) -> Mapping[str, str | int]:
        """Return what the log records about the holder."""
        ...

    def confirm(self) -> None:
        """Raise Fenced where another process has taken the role over."""
        ...

    def note_version(self, table: str, version: int) -> None:
        """Note the version of the table at a path that was committed."""
        ...


@dataclass(frozen=True)
class CommitContext:
    """The origin of a commit, recorded in the log.

    A round of a state is committed once; a commit without a `round_id` belongs to no round. The role of `by` is
    confirmed before the commit; None for tables that no other process has.
    """

    round_id: int | None = None
    run_ids: Sequence[str] = ()
    raw_objects: Sequence[str] = ()
    by: Committer | None = None
    properties: Mapping[str, str] = field(default_factory=dict)  # of the table from this commit on
    application: str | None = None  # the id of the application transaction; None: the rounds of the state

    @property
    def state_id(self) -> str | None:
        """Return the id of the state that numbers the rounds."""
        return None if self.by is None else self.by.state_id

    @property
    def app(self) -> str:
        """Return the application id of Delta's application transactions; their versions are rounds of one state."""
        return self.application or app_of(self.state_id)

    def confirm(self) -> None:
        """Raise Fenced where another process has taken the role over."""
        if self.by is not None:
            self.by.confirm()

    def note_version(self, table: str, version: int) -> None:
        """Note the version of the table at a path that was committed, for the record of the role."""
        if self.by is not None:
            self.by.note_version(table, version)


def app_of(state_id: str | None) -> str:
    """Return the application id of a state's rounds; None: of those of programs that knew no states in the lake."""
    return _APP if state_id is None else f"{_APP}.{state_id}"


@dataclass(frozen=True)
class Erased:
    """What was erased from a table."""

    rows: int = 0  # of the newest version
    files: int = 0  # replaced ones, deleted
    entries: int = 0  # of the log, without the statistics of replaced files now
    snapshots: tuple[str, ...] = ()  # whose files were written again


class StoredTable(Protocol):
    """A table for reading. Every method raises LakeError if the store can't be reached."""

    @property
    def table(self) -> Table:
        """Return the declaration of the table."""
        ...

    @property
    def url(self) -> str:
        """Return the address of the table."""
        ...

    def version(self) -> int | None:
        """Return the newest version; None if the table does not exist."""
        ...

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily."""
        ...

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`)."""
        ...

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run a query on `scan` and return its result.

        `in_pieces` limits the memory: use it for a result that is much smaller than the input. Its order is undefined.
        """
        ...

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None if the table does not exist."""
        ...

    def files(self) -> pl.DataFrame:
        """Return path, num_records and size_bytes of each current file, and its partition.*, min.* and max.*.

        It is empty where the table has no files, or keeps none.
        """
        ...


class CuratedTable(StoredTable, Protocol):
    """A table with versions: each commit creates one atomically, and readers of an older version keep its rows.

    Every method raises LakeError if the store can't be reached. The outcome of a commit is then unknown.
    """

    def parts(self) -> Mapping[tuple[Any, ...], list[str]]:
        """Return the names of the data files by partition; a partition with other rows has other files."""
        ...

    def committed_round(self, state_id: str | None = None) -> int:
        """Return the last committed round of a state, 0 before the first; rounds without a state count as its own."""
        ...

    def commit(
        self,
        context: CommitContext,
        new: pl.DataFrame,
        changed: pl.DataFrame | None = None,
        gone: pl.DataFrame | None = None,
        *,
        read_at: int | None = UNREAD,
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit.

        `read_at` is the result of `version` before the rows were read on which the commit depends: CommitConflict,
        without a commit, if the table has another version now. Fenced if the committer has lost its role. Return False,
        without a commit, if there is nothing to change or the round (or a later one) is already committed. All rows
        with a key of `changed` are replaced, also where a damaged table has two.
        """
        ...

    def seal(self, context: CommitContext) -> None:
        """Commit a version with the same rows, if the table exists: every commit under way is a conflict then."""
        ...

    def erase(self, context: CommitContext, where: pl.Expr, source: str | None) -> Erased:
        """Erase the rows of `where`, which is never null, for good; they are of the vendor `source`, or quote it.

        No version, no replaced file and no snapshot has them afterwards; readers of an older version get an error. It
        can be repeated, and ends what was interrupted. The caller holds the role of the table.
        """
        ...

    def fold(self, context: CommitContext, most_files: int, tail: int = 0) -> int:
        """Rewrite partitions with many files as few files, with the same rows; return the number of partitions."""
        ...

    def untidy_months(self, closed_through: int, most_files: int) -> list[int]:
        """Return the months (as in 202410) that `compact` would rewrite, for a table with a partition per month."""
        ...

    def compact(self, context: CommitContext, month: int, closed_through: int, most_files: int) -> int:
        """Compact a month's files: by symbol up to the month `closed_through`, in later months per session.

        The rows stay the same. Return the number of replaced files. Partitions with up to `most_files` files stay as
        they are.
        """
        ...


Tables = Mapping[str, CuratedTable]  # by name
StoredTables = Mapping[str, StoredTable]
