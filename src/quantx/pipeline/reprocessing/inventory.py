"""The inventory of stored replies: which of them the tables can be derived from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from quantx.core.model import StoredReply
from quantx.errors import DamagedObject
from quantx.lake.raw import list_raw, read_footer
from quantx.lake.store import LakeLocation
from quantx.state.replies.port import Holding, Replies
from quantx.state.runs.port import Runs


@dataclass(frozen=True)
class Inventory:
    """The replies that this state has curated, and those of states before it."""

    holdings: Sequence[Holding]  # those that were stored together side by side
    earlier: Mapping[tuple[str, str], Sequence[StoredReply]]  # of earlier states, by source and symbol
    unlisted: Mapping[str, str]  # raw objects that do not list their replies, and why


def take_inventory(
    location: LakeLocation, replies: Replies, runs: Runs, source: str | None, symbols: Collection[str] | None
) -> Inventory:
    """Return the replies of one source and of some symbols, or of all.

    A raw object that this state does not have is of an earlier state. But where this state has the run, the worker had
    lost the task or died before the reply landed, and the reply was fetched again.
    """
    has_run = lru_cache(maxsize=None)(lambda run_id: runs.find(run_id) is not None)
    earlier, unlisted = defaultdict[tuple[str, str], list[StoredReply]](list), dict[str, str]()
    for path in sorted(replies.unknown(list_raw(location, source))):
        try:
            stored = read_footer(location, path)
        except DamagedObject as error:
            unlisted[path] = str(error)
            continue
        if stored is None:
            unlisted[path] = "it was stored by an earlier program, and the state with the list of its replies is gone"
            continue
        for reply in stored:
            if (symbols is None or reply.series.symbol in symbols) and not has_run(reply.run_id):
                earlier[reply.series.source, reply.series.symbol].append(reply)
    holdings = {(h.source, h.symbol): h for h in replies.holdings(source, symbols)}
    for (where, symbol), some in earlier.items():
        before = holdings.get((where, symbol), Holding(where, symbol, 0, 0))
        size = before.size + sum(x.size for x in some)
        holdings[where, symbol] = Holding(where, symbol, before.replies + len(some), size)
    return Inventory(list(holdings.values()), earlier, unlisted)


def in_rounds(replies: Sequence[StoredReply], most_bytes: int) -> Iterator[list[StoredReply]]:
    """Yield replies, given in the order of fetching, in parts with one reply of each symbol and timeframe.

    The next reply about a symbol comes in a later part. A part has up to `most_bytes`, but at least one reply.
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
