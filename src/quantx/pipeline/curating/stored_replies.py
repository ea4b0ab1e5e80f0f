"""Stored replies: which there are to be read, and reading them from the raw zone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import structlog

from quantx.core.model import Payload, StoredReply
from quantx.errors import DamagedObject
from quantx.lake.raw import list_raw, parse_raw_path, read_footer, read_pages
from quantx.pipeline.runtime.platform import Platform
from quantx.state.replies.port import Holding

log = structlog.get_logger()

Lost = tuple[StoredReply, str]  # a reply whose pages are missing or damaged in the raw zone, and why


@dataclass(frozen=True)
class ReadReply:
    """A stored reply with its pages. Replies about several symbols share their pages: the same objects."""

    stored: StoredReply
    pages: tuple[Payload, ...]

    @property
    def symbol(self) -> str:
        """Return the symbol that the reply answers."""
        return self.stored.series.symbol

    @property
    def raw(self) -> str:
        """Return the ULID of the raw object."""
        return parse_raw_path(self.stored.path)[2]

    @property
    def payload(self) -> Payload:
        """Return the page that completed the reply."""
        return self.pages[-1]

    @property
    def as_of(self) -> datetime:
        """Return the instant up to which all pages can be trusted to be final."""
        return min(page.as_of for page in self.pages)


def read_replies(platform: Platform, replies: Sequence[StoredReply]) -> tuple[list[ReadReply], list[Lost]]:
    """Return the replies with their pages, and those whose raw object is missing or damaged with the reason."""
    by_path: dict[str, list[StoredReply]] = defaultdict(list)
    for reply in replies:
        by_path[reply.path].append(reply)
    read: list[ReadReply] = []
    lost: list[Lost] = []
    for path, here in by_path.items():
        try:
            numbers = sorted({row for x in here for row in range(x.row, x.row + x.rows)})
            pages = dict(zip(numbers, read_pages(platform.location, path, numbers), strict=True))
        except DamagedObject as error:
            log.error("raw.damaged", path=path, error=str(error))
            lost += [(reply, str(error)) for reply in here]
            continue
        read += [ReadReply(x, tuple(pages[row].payload for row in range(x.row, x.row + x.rows))) for x in here]
    return read, lost


@dataclass(frozen=True)
class Stock:
    """The replies from which tables can be derived: those that this state has curated, and those of states before it."""

    held: Sequence[Holding]  # those that were stored together side by side
    earlier: Mapping[tuple[str, str], Sequence[StoredReply]]  # by source and symbol
    mute: Mapping[str, str]  # raw objects that do not say what they answer, and why

    def replies(self, platform: Platform, source: str, symbols: Collection[str]) -> list[StoredReply]:
        """Return the replies about some symbols in the order of fetching."""
        found = platform.state.replies.curated(source, symbols)
        found += [x for symbol in symbols for x in self.earlier.get((source, symbol), ())]
        return sorted(found, key=lambda x: (x.fetched_at, x.path, x.row))


def take_stock(platform: Platform, source: str | None, symbols: Collection[str] | None) -> Stock:
    """Return which replies there are of one source and of some symbols, or of all.

    A raw object that this state does not know is of a state before it; but where the state knows the run, its worker
    had lost the task or died before the reply landed, and it was asked for again.
    """
    runs = lru_cache(maxsize=None)(lambda run_id: platform.state.runs.find(run_id) is not None)
    earlier, mute = defaultdict[tuple[str, str], list[StoredReply]](list), dict[str, str]()
    for path in sorted(platform.state.replies.unknown(list_raw(platform.location, source))):
        try:
            replies = read_footer(platform.location, path)
        except DamagedObject as error:
            mute[path] = str(error)
            continue
        if replies is None:
            mute[path] = "it was stored by an earlier program, and the state that knew what it answers is gone"
            continue
        for reply in replies:
            if (symbols is None or reply.series.symbol in symbols) and not runs(reply.run_id):
                earlier[reply.series.source, reply.series.symbol].append(reply)
    held = {(h.source, h.symbol): h for h in platform.state.replies.holdings(source, symbols)}
    for (where, symbol), some in earlier.items():
        known = held.get((where, symbol), Holding(where, symbol, 0, 0))
        size = known.size + sum(x.size for x in some)
        held[where, symbol] = Holding(where, symbol, known.replies + len(some), size)
    return Stock(list(held.values()), earlier, mute)


def in_rounds(replies: Sequence[StoredReply], most_bytes: int) -> Iterator[list[StoredReply]]:
    """Yield replies, given in the order of fetching, so that each is alone about its symbol and timeframe.

    The next one about a symbol comes in a later part. A part has up to `most_bytes`, but at least one reply.
    """
    places, ranks = Counter[tuple[str, str, str]](), defaultdict[int, list[StoredReply]](list)
    for reply in replies:
        series = (reply.series.source, reply.series.timeframe, reply.series.symbol)
        ranks[places[series]].append(reply)
        places[series] += 1
    for rank in sorted(ranks):
        part, size = list[StoredReply](), 0
        for reply in ranks[rank]:
            if part and size + reply.size > most_bytes:
                yield part
                part, size = [], 0
            part.append(reply)
            size += reply.size
        yield part
