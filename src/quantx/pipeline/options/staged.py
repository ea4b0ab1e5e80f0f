"""What staging a member leaves: data files that lie in the lake, not yet visible, and what the tables do not take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import polars as pl

from quantx.core.model import Finding
from quantx.core.table import Table
from quantx.lake.streamed_file import PutFile
from quantx.providers.options.kinds import TABLES_BY_KIND
from quantx.providers.options.protocol import OptionKind


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """One data file: the rows of an underlying of one session, or of the member's sessions of one year."""

    underlying: str
    first: date
    last: date  # inclusive
    contracts: tuple[str, str]  # the first and the last one by name
    put: PutFile


@dataclass(frozen=True, kw_only=True)
class StagedMember:
    """A member whose rows are sorted, judged and put into the lake; `commit_member` makes them visible."""

    kind: OptionKind
    source: str
    raw: str  # the ULID of the member's raw object, which stands in each row
    known_from: datetime
    first: date  # the sessions for which the member answers
    last: date
    files: Sequence[StagedFile]
    contracts: pl.DataFrame  # OPTIONS_CONTRACTS, of contracts that have a row
    rejected: pl.DataFrame  # QUARANTINE: a row for each contract, session and set of broken rules
    findings: Sequence[Finding] = field(default=())
    rows: int  # accepted
    rows_rejected: int
    rows_repeated: int  # exact repetitions, which are left out

    @property
    def table(self) -> Table:
        """Return the table of the rows."""
        return TABLES_BY_KIND[self.kind]

    @property
    def new_objects(self) -> list[str]:
        """Return the data files that this try has put into the lake."""
        return [f"{self.table.path}/{file.put.added.path}" for file in self.files if file.put.is_new]


@dataclass(frozen=True, kw_only=True)
class CommittedMember:
    """What a commit changed."""

    rows: int = 0  # new ones
    changed: int = 0
    removed: int = 0  # rows that a correction lacks; they are in the revisions
    rejected: int = 0
    sessions: int = 0
