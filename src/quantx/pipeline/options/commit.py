"""Commit a staged member: one commit per table, once, whatever is repeated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from quantx.core.merge import merge
from quantx.core.option_tables import OPTIONS_CONTRACTS
from quantx.core.table import Table
from quantx.core.tables import QUARANTINE
from quantx.errors import CommitConflict
from quantx.lake.protocol import CommitContext, Committer
from quantx.lake.store import LakeLocation
from quantx.lake.table import LakeTable
from quantx.pipeline.options.replace import Replaced, SessionMerge
from quantx.pipeline.options.stage import TERMS
from quantx.pipeline.options.staged import CommittedMember, StagedMember

_TIDY = 20  # commits after which old files go away, and the log gets a checkpoint
_ONCE = 1  # a member is committed once: the only version of its application transaction


def commit_member(
    location: LakeLocation,
    staged: StagedMember,
    holder: Committer,
    folder: Path,
    *,
    corrects: Sequence[str] = (),
) -> CommittedMember:
    """Make the rows of a staged member visible, under the role `options`; return what changed.

    Rows that differ from the stored ones replace them, and those go to the revisions. `corrects` has the `raw` of
    earlier versions of the same member: their rows that this version lacks are removed. A session that is replaced is
    merged in `folder`, in parts. The same member again changes nothing. Raises CommitConflict where another process has
    changed a table meanwhile (see `committing`), Fenced where the role is lost, LakeError where the lake fails.
    """
    return _Commit(location, staged, holder, folder, corrects).run()


class _Commit:
    """The commits of one member."""

    def __init__(
        self, location: LakeLocation, staged: StagedMember, holder: Committer, folder: Path, corrects: Sequence[str]
    ) -> None:
        self._location, self._staged, self._folder, self._corrects = location, staged, folder, corrects
        self._context = CommitContext(
            round_id=_ONCE,
            raw_objects=(staged.raw,),
            by=holder,
            application=f"quantx.options.{staged.raw}",
        )

    def run(self) -> CommittedMember:
        """Commit what readers of other tables need first: the contracts, then the rows, then what was rejected."""
        self._commit_contracts()
        replaced = self._commit_rows() if self._staged.files else Replaced()
        self._commit_rejected()
        return CommittedMember(
            rows=replaced.new,
            changed=replaced.changed,
            removed=replaced.removed,
            rejected=self._staged.rows_rejected,
            sessions=len({file.first for file in self._staged.files}),
        )

    def _commit_rows(self) -> Replaced:
        table, revisions = self._table(self._staged.table), self._table(self._staged.table.revisions)
        version, kept = table.version(), revisions.version()
        if table.is_committed(self._context):
            self._remove([file.put.added.path for file in self._staged.files if file.put.is_new])
            return Replaced()
        merged = SessionMerge(self._location, table, self._staged, self._folder, self._corrects)
        try:
            replaced = merged.run()
            if replaced.superseded:
                revisions.exchange(self._once_more(), (), replaced.superseded, read_at=kept)
                merged.note_kept()
            table.exchange(self._context, replaced.gone, replaced.files, read_at=version)
        except CommitConflict:
            merged.undo()
            raise
        self._remove(replaced.unused)
        if (table.version() or 0) % _TIDY == 0:
            table.tidy()
        return replaced

    def _remove(self, paths: Sequence[str]) -> None:
        """Remove staged files that no commit needs."""
        self._location.delete([f"{self._staged.table.path}/{path}" for path in paths])

    def _commit_contracts(self) -> None:
        incoming = self._staged.contracts
        if incoming.is_empty():
            return
        table = self._table(OPTIONS_CONTRACTS)
        version = table.version()
        stored = table.read(
            (pl.col("source") == self._staged.source)
            & pl.col("underlying").is_in(incoming["underlying"].unique().to_list())
        )
        states_terms = self._staged.kind == "contracts"
        merged = merge(stored, _with_stored(incoming, stored, states_terms=states_terms), OPTIONS_CONTRACTS)
        if merged.superseded.height:
            self._table(OPTIONS_CONTRACTS.revisions).commit(self._once_more(), merged.superseded)
        table.commit(self._once_more(), merged.new, merged.changed, read_at=version)

    def _commit_rejected(self) -> None:
        rejected = self._staged.rejected
        if rejected.is_empty():
            return
        table = self._table(QUARANTINE)
        key, version = list(QUARANTINE.key), table.version()
        stored = table.read(
            (pl.col("source") == self._staged.source)
            & (pl.col("dataset") == self._staged.table.name)
            & pl.col("symbol").is_in(rejected["symbol"].unique().to_list())
        )
        new = rejected.join(stored, on=key, how="anti", nulls_equal=True)
        table.commit(self._once_more(), new, read_at=version)

    def _once_more(self) -> CommitContext:
        """Return the origin of a commit that depends on what is stored, and so needs no transaction."""
        return CommitContext(raw_objects=self._context.raw_objects, by=self._context.by)

    def _table(self, table: Table) -> LakeTable:
        return LakeTable(self._location, table)


def _with_stored(incoming: pl.DataFrame, stored: pl.DataFrame, *, states_terms: bool) -> pl.DataFrame:
    """Return contracts with the earlier one of the stored and the incoming first session, and with the terms to store.

    Terms that the vendor states replace those that the root implies, which replace none. A stated multiplier without a
    deliverable makes the stored deliverable of another multiplier unknown.
    """
    both = incoming.join(
        stored.select("source", "contract", pl.col("first_date", *TERMS).name.suffix("__stored")),
        on=["source", "contract"],
        how="left",
        maintain_order="left",
    )
    known = {c: pl.col(f"{c}__stored") for c in TERMS}
    if states_terms:
        is_other = pl.col("multiplier") != known["multiplier"]
        terms = [pl.coalesce(c, known[c]).alias(c) for c in TERMS if c != "deliverable"]
        deliverable = pl.when(is_other).then("deliverable").otherwise(pl.coalesce("deliverable", known["deliverable"]))
    else:
        is_new = pl.col("first_date__stored").is_null()
        terms = [pl.when(is_new).then(c).otherwise(known[c]).alias(c) for c in TERMS if c != "deliverable"]
        deliverable = pl.when(is_new).then("deliverable").otherwise(known["deliverable"])
    first = pl.min_horizontal("first_date", "first_date__stored")
    return both.with_columns(first.alias("first_date"), *terms, deliverable.alias("deliverable")).select(
        incoming.columns
    )
