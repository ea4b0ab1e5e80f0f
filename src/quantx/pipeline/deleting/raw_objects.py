"""Raw objects without deleted replies: a new object stands for each, the state points to it, then the old one goes.

Pages keep their rows: a deleted page is an empty one. So the replies that stay are read as before, and their rows in
the tables keep the ULID of the object. A page about several symbols is cut where the adapter proves that the rest gives
the same rows; its request says so. Another one goes as a whole, and the rows of the other symbols stay in the tables
without a reply from which they could be derived again. So does a member of an option archive (see `raw_members`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import polars as pl
import structlog

from quantx.core.model import Payload, StoredReply
from quantx.core.option_tables import RAW_MEMBERS
from quantx.core.tombstones import Tombstone
from quantx.errors import DamagedObject, LakeError, MalformedPayload
from quantx.lake.raw import (
    RawPage,
    parse_raw_path,
    path_without,
    read_footer,
    read_pages,
    write_batch,
)
from quantx.lake.store import LakeLocation
from quantx.pipeline.curating.normalize import ReaderOf
from quantx.pipeline.deleting.cut_pages import cut_page
from quantx.pipeline.deleting.raw_members import deleted_members
from quantx.state.deletions.port import Deletions
from quantx.state.replies.port import Replies

log = structlog.get_logger()

DELETED = "deleted for good"  # in place of the request of a deleted page


@dataclass(frozen=True, kw_only=True)
class RawPlan:
    """What is deleted of one raw object; `kept` empty: all of it."""

    path: str
    size: int
    deleted: Sequence[StoredReply]  # replies
    gone: frozenset[int]  # rows of pages; empty where all are gone
    kept: Sequence[StoredReply]
    shared: Sequence[StoredReply]  # of other symbols, on a page with deleted ones that can't be cut
    others: Sequence[str] = ()  # underlyings whose contracts are in the same member of an archive
    cut: Mapping[int, Payload] = field(default_factory=dict)  # pages without the deleted symbols, by row

    @property
    def is_whole(self) -> bool:
        """Return whether no reply stays."""
        return not self.kept


@dataclass(frozen=True, kw_only=True)
class RawZone:
    """The raw objects of the lake, and what the state has recorded of them."""

    location: LakeLocation
    replies: Replies
    deletions: Deletions
    reader_of: ReaderOf

    def plan(self, stone: Tombstone) -> Iterator[RawPlan]:
        """Yield what is to be deleted, object by object."""
        sizes = self.location.sizes(f"raw/source={stone.source}")
        superseded = _superseded(sizes)
        archived = []
        for path in sorted(sizes):
            if not path.endswith(".parquet") or not stone.has_dataset(parse_raw_path(path)[1]):
                continue
            if parse_raw_path(path)[1] == RAW_MEMBERS and not _is_everything(stone):
                archived.append(path)
            elif path in superseded:
                yield RawPlan(path=path, size=sizes[path], deleted=(), gone=frozenset(), kept=(), shared=())
            elif (found := self._plan_one(stone, path, sizes[path])) is not None:
                yield found
        for path, others in deleted_members(stone, self.location, archived):
            yield RawPlan(path=path, size=sizes[path], deleted=(), gone=frozenset(), kept=(), shared=(), others=others)

    def _plan_one(self, stone: Tombstone, path: str, size: int) -> RawPlan | None:
        replies = self.replies.of_object(path) or self._listed(path)
        if _is_everything(stone):
            return RawPlan(path=path, size=size, deleted=replies, gone=frozenset(), kept=(), shared=())
        deleted = [reply for reply in replies if self._is_deleted(stone, reply)]
        if not deleted and replies:
            return None
        gone = {row for reply in deleted for row in range(reply.row, reply.row + reply.rows)}
        others = [reply for reply in replies if reply not in deleted]
        shared = [reply for reply in others if gone & set(range(reply.row, reply.row + reply.rows))]
        kept = [reply for reply in others if reply not in shared]
        if not replies:
            return None  # it lists no reply: verification reports it
        if shared and (cut := self._cut(path, deleted, shared)) is not None:
            gone -= cut.keys()
            left = frozenset(gone)
            return RawPlan(path=path, size=size, deleted=deleted, gone=left, kept=others, shared=(), cut=cut)
        return RawPlan(path=path, size=size, deleted=deleted, gone=frozenset(gone), kept=kept, shared=shared)

    def _cut(
        self, path: str, deleted: Sequence[StoredReply], shared: Sequence[StoredReply]
    ) -> dict[int, Payload] | None:
        """Return the pages of shared replies without the deleted symbols; None where one of them can't be cut."""
        rows = sorted({row for reply in shared for row in range(reply.row, reply.row + reply.rows)})
        symbols = {reply.series.symbol for reply in deleted}
        try:
            pages = dict(zip(rows, read_pages(self.location, path, rows), strict=True))
        except DamagedObject:
            return None
        cut = dict[int, Payload]()
        for row, page in pages.items():
            if symbols.isdisjoint(page.payload.symbol.split(",")):
                continue
            found = cut_page(page.payload, symbols, self.reader_of(shared[0].series.source))
            if found is None:
                return None
            cut[row] = found
        return cut

    def _listed(self, path: str) -> list[StoredReply]:
        """Return the replies that a raw object lists itself: the state does not know it."""
        try:
            return read_footer(self.location, path) or []
        except DamagedObject:
            return []

    def _is_deleted(self, stone: Tombstone, reply: StoredReply) -> bool:
        """Return whether a reply has deleted days, by its window or by its rows: some vendors send more than that."""
        if stone.deletes(reply.series, reply.window):
            return True
        spans = stone.spans_in(reply.series.source, reply.series.dataset, reply.series.symbol)
        if not spans or all(span.whole for span in spans):
            return bool(spans)
        return any(
            (span.first or date.min) <= day <= (span.last or date.max) for day in self._days(reply) for span in spans
        )

    def _days(self, reply: StoredReply) -> Iterable[date]:
        try:
            pages = [p.payload for p in read_pages(self.location, reply.path, range(reply.row, reply.row + reply.rows))]
            frames = [self.reader_of(reply.series.source).normalize(page) for page in pages]
        except (DamagedObject, MalformedPayload):
            return [date.min]  # what can't be read may have any day
        columns = [(frame.bars, "date") for frame in frames] + [(frame.actions, "ex_date") for frame in frames]
        own = (rows.filter(pl.col("symbol") == reply.series.symbol)[c] for rows, c in columns if c in rows.columns)
        return {day for days in own for day in days.unique().to_list() if day is not None}

    def write_stand_in(self, stone: Tombstone, plan: RawPlan) -> None:
        """Write the object without the deleted replies, and record in the state that it stands for the old one."""
        if plan.is_whole:
            self.deletions.replace_object(plan.path, None, 0, [])
            return
        path = path_without(plan.path, stone.id)
        pages = [_page(number, page, plan) for number, page in enumerate(read_pages(self.location, plan.path))]
        size = write_batch(self.location, path, pages, [replace(reply, path=path) for reply in plan.kept])
        self.deletions.replace_object(plan.path, path, size, [reply.task_id for reply in plan.kept])
        log.info("raw.replaced", path=plan.path, by=path, kept=len(plan.kept), deleted=len(plan.deleted))

    def remove(self, path: str) -> str | None:
        """Remove an object; return why it can't be removed now, None where it is gone."""
        try:
            self.location.remove(path)
            return None
        except LakeError as error:
            log.warning("raw.not_removed", path=path, error=str(error))
            return str(error)


def _is_everything(stone: Tombstone) -> bool:
    """Return whether a tombstone deletes all symbols and days of its datasets."""
    return stone.symbols is None and stone.before is None


def _page(number: int, page: RawPage, plan: RawPlan) -> RawPage:
    if number in plan.cut:
        return replace(page, payload=plan.cut[number])
    if number not in plan.gone:
        return page
    return replace(page, payload=replace(page.payload, symbol="", request=DELETED, body=b""))


def _superseded(sizes: Mapping[str, int]) -> set[str]:
    """Return the objects for which another one stands already."""
    newest = dict[str, str]()
    for path in sorted(sizes, key=lambda each: each.removesuffix(".parquet")):
        newest[path.removesuffix(".parquet").partition(".")[0]] = path
    return sizes.keys() - set(newest.values())
