"""Curated replies in memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence

from typing_extensions import override

from quantx.core.model import Series, StoredReply
from quantx.state.memory_records import Records, ReplyRecord
from quantx.state.replies.port import Holding, Replies
from quantx.state.rounds.memory import cover
from quantx.state.series.port import SeriesFacts, Sessions
from quantx.state.values import Row


class MemoryReplies(Replies):
    """The state's replies."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
    def holdings(self, source: str | None, symbols: Collection[str] | None) -> list[Holding]:
        holdings: dict[tuple[str, str], Holding] = {}
        with self._records.lock:
            for reply in (record.reply for record in self._curated()):
                key = reply.series.source, reply.series.symbol
                if key[0] == (source or key[0]) and (symbols is None or key[1] in symbols):
                    before = holdings.get(key, Holding(*key, 0, 0))
                    holdings[key] = Holding(*key, before.replies + 1, before.size + reply.size)
        return list(holdings.values())

    @override
    def curated(self, source: str, symbols: Collection[str]) -> list[StoredReply]:
        with self._records.lock:
            records = sorted(self._curated(), key=lambda x: (x.reply.fetched_at, x.id))
            replies = (record.reply for record in records)
            return [reply for reply in replies if reply.series.source == source and reply.series.symbol in symbols]

    @override
    def unknown(self, paths: Collection[str]) -> set[str]:
        with self._records.lock:
            return set(paths) - self._records.raw.keys()

    @override
    def objects(self) -> list[str]:
        with self._records.lock:
            return list(self._records.raw)

    @override
    def stored(self) -> list[Row]:
        groups: dict[tuple[str, str], list[Row]] = {}
        with self._records.lock:
            for raw in self._records.raw_sizes:
                groups.setdefault((raw["source"], raw["dataset"]), []).append(raw)
        return [
            {
                "source": source,
                "dataset": dataset,
                "objects": len(objects),
                **{name: sum(raw[name] for raw in objects) for name in ("replies", "size")},
                "last_at": max(raw["last_at"] for raw in objects),
            }
            for (source, dataset), objects in sorted(groups.items())
        ]

    @override
    def first_and_last_objects(self, most: int) -> list[str]:
        paths = self.objects()
        return list(dict.fromkeys(paths[:most] + paths[-most:]))

    @override
    def of_object(self, path: str) -> list[StoredReply]:
        with self._records.lock:
            return [record.reply for record in self._records.replies if record.reply.path == path]

    @override
    def restate(
        self,
        source: str,
        facts: Sequence[SeriesFacts],
        sessions: Mapping[Series, Sessions],
        recent: Collection[str],
        hot_bars: str,
    ) -> None:
        with self._records.lock:
            for fact in facts:
                cover(self._records, fact)
            for series, (first, last) in sessions.items():
                if series in self._records.series:
                    record = self._records.series[series]
                    record.first_session, record.watermark = first, last
            hot = self._records.hot_bars
            for key in [key for key in hot if key[0] == source and key[1] in recent]:
                del hot[key]
            hot.update({(row["source"], row["symbol"], row["date"]): row for row in json.loads(hot_bars)})

    def _curated(self) -> Iterator[ReplyRecord]:
        """Yield the replies that a finished round has."""
        rounds = self._records.rounds
        return (x for x in self._records.replies if x.round_id is not None and rounds[x.round_id].finished)
