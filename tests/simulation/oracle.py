"""A naive second opinion: what the tables must hold, given the raw objects and the rounds, in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from tests.simulation.vendor import Bar, read_bars

from quantx.core.model import Payload
from quantx.lake.raw import read_pages
from quantx.lake.store import LakeLocation
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.state.memory_records import Records, ReplyRecord

Key = tuple[str, date]


@dataclass(frozen=True)
class Believed:
    """A row: its values, since when they are known, and their raw object."""

    bar: Bar
    known_from: datetime
    raw: str


@dataclass
class Expected:
    """The rows that the bars and their revisions must have."""

    current: dict[Key, Believed] = field(default_factory=dict)
    revisions: list[tuple[Key, Believed, datetime]] = field(default_factory=list)  # with the end of the belief

    def learn(self, key: Key, now: Believed) -> None:
        """Merge one row."""
        before = self.current.get(key)
        if before is None:
            self.current[key] = now
        elif before.bar != now.bar:
            if now.known_from >= before.known_from:
                self.revisions.append((key, before, now.known_from))
                self.current[key] = now
            else:
                self.revisions.append((key, now, before.known_from))


class RawZone:
    """The replies in the raw zone; each object is read once, since it never changes (I1)."""

    def __init__(self, location: LakeLocation) -> None:
        self._location = location
        self._read: dict[str, list[Payload]] = {}

    def landed(self, records: Iterable[ReplyRecord]) -> dict[int, ReadReply]:
        """Return the replies of these records, by their numbers."""
        replies = {}
        for record in records:
            stored = record.reply
            if stored.path not in self._read:
                self._read[stored.path] = [page.payload for page in read_pages(self._location, stored.path)]
            replies[record.id] = ReadReply(stored, (self._read[stored.path][stored.row],))
        return replies


def accepted_bars(item: ReadReply) -> Sequence[tuple[date, Bar]]:
    """Return the bars of a reply that must be curated; none where it can't be read."""
    if item.stored.malformed is not None:
        return ()
    try:
        return read_bars(item)[0]
    except ValueError:
        return ()


def rebuild(
    records: Records, landed: Mapping[int, ReadReply], expected: Expected | None = None, last: int | None = None
) -> Expected:
    """Curate all replies (those of rounds up to `last`) again, one row at a time, in the order of the rounds.

    `expected` is what an earlier state has curated.
    """
    expected = expected or Expected()
    in_order = sorted(
        (x for x in records.replies if x.round_id is not None and (last is None or x.round_id <= last)),
        key=lambda x: (x.round_id or 0, x.reply.series.symbol, x.reply.fetched_at, x.id),
    )
    for record in in_order:
        item = landed[record.id]
        for day, bar in accepted_bars(item):
            expected.learn((item.symbol, day), Believed(bar, item.payload.fetched_at, item.raw))
    return expected


def newest_answers(landed: Mapping[int, ReadReply]) -> dict[Key, Bar]:
    """Return the bar of each session in the newest reply that has it, whatever the order of the rounds was."""
    newest: dict[Key, tuple[datetime, Bar]] = {}
    for item in sorted(landed.values(), key=lambda x: x.payload.fetched_at):
        for day, bar in accepted_bars(item):
            newest[item.symbol, day] = (item.payload.fetched_at, bar)
    return {key: bar for key, (_, bar) in newest.items()}
