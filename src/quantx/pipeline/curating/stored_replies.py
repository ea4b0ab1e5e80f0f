"""Stored replies: which there are to be read, and reading them from the raw zone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import structlog

from quantx.core.model import Series
from quantx.errors import DamagedObject
from quantx.lake.raw import Answered, list_raw, parse_raw_path, read_answered, read_batch
from quantx.pipeline.curating.normalize import Landed
from quantx.pipeline.runtime.platform import Platform
from quantx.state.replies.port import Holding
from quantx.state.rounds.port import Landing

log = structlog.get_logger()

Lost = tuple[Landing, str]  # a reply that is not in the raw zone as it was stored, and why


def read_replies(platform: Platform, landings: Sequence[Landing]) -> tuple[list[Landed], list[Lost]]:
    """Return the replies, and those whose raw object is missing or damaged with the reason."""
    by_path: dict[str, list[Landing]] = defaultdict(list)
    for landing in landings:
        by_path[landing.path].append(landing)
    read: list[Landed] = []
    lost: list[Lost] = []
    for path, wanted in by_path.items():
        try:
            numbers = sorted({row for x in wanted for row in range(x.row, x.row + x.rows)})
            replies = dict(zip(numbers, read_batch(platform.location, path, numbers), strict=True))
        except DamagedObject as error:
            log.error("raw.damaged", path=path, error=str(error))
            lost += [(landing, str(error)) for landing in wanted]
            continue
        read += [
            Landed(
                task_id=landing.task_id,
                run_id=landing.run_id,
                source=landing.series.source,
                dataset=landing.series.dataset,
                timeframe=landing.series.timeframe,
                symbol=landing.series.symbol,
                window=landing.window,
                raw=parse_raw_path(path)[2],
                pages=tuple(replies[row].payload for row in range(landing.row, landing.row + landing.rows)),
                malformed=landing.malformed,
            )
            for landing in wanted
        ]
    return read, lost


@dataclass(frozen=True)
class Stock:
    """The replies from which tables can be derived: those that this state has curated, and those of states before it."""

    held: Sequence[Holding]  # those that were stored together side by side
    earlier: Mapping[tuple[str, str], Sequence[Landing]]  # by source and symbol
    mute: Mapping[str, str]  # raw objects that do not say what they answer, and why

    def replies(self, platform: Platform, source: str, symbols: Collection[str]) -> list[Landing]:
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
    earlier, mute = defaultdict[tuple[str, str], list[Landing]](list), dict[str, str]()
    for path in sorted(platform.state.replies.unknown(list_raw(platform.location, source))):
        try:
            answered = read_answered(platform.location, path)
        except DamagedObject as error:
            mute[path] = str(error)
            continue
        if answered is None:
            mute[path] = "it was stored by an earlier program, and the state that knew what it answers is gone"
            continue
        for landing in (_landing(path, each) for each in answered):
            if (symbols is None or landing.series.symbol in symbols) and not runs(landing.run_id):
                earlier[landing.series.source, landing.series.symbol].append(landing)
    held = {(h.source, h.symbol): h for h in platform.state.replies.holdings(source, symbols)}
    for (where, symbol), some in earlier.items():
        known = held.get((where, symbol), Holding(where, symbol, 0, 0))
        size = known.size + sum(x.size for x in some)
        held[where, symbol] = Holding(where, symbol, known.replies + len(some), size)
    return Stock(list(held.values()), earlier, mute)


def _landing(path: str, told: Answered) -> Landing:
    source, dataset, _ = parse_raw_path(path)
    series = Series(source, dataset, told.timeframe, told.symbol)
    place = (path, told.row, told.task_id, told.run_id, series, told.window, told.fetched_at, told.malformed)
    return Landing(*place, attempts=0, rows=told.rows, size=told.size)


def in_rounds(replies: Sequence[Landing], most_bytes: int) -> Iterator[list[Landing]]:
    """Yield replies, given in the order of fetching, so that each is alone about its symbol and timeframe.

    The next one about a symbol comes in a later part. A part has up to `most_bytes`, but at least one reply.
    """
    places, ranks = Counter[tuple[str, str, str]](), defaultdict[int, list[Landing]](list)
    for reply in replies:
        series = (reply.series.source, reply.series.timeframe, reply.series.symbol)
        ranks[places[series]].append(reply)
        places[series] += 1
    for rank in sorted(ranks):
        part, size = list[Landing](), 0
        for reply in ranks[rank]:
            if part and size + reply.size > most_bytes:
                yield part
                part, size = [], 0
            part.append(reply)
            size += reply.size
        yield part
