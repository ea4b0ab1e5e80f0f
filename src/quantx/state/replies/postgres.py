"""Curated replies in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from typing_extensions import override

from quantx.core.model import Series, StoredReply
from quantx.state.database import Database, run
from quantx.state.replies.port import Holding, Replies
from quantx.state.rounds.postgres import coverage, reply_of
from quantx.state.series.port import SeriesFacts, Sessions
from quantx.state.values import Row


class PostgresReplies(Replies):
    """The state's replies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def holdings(self, source: str | None, symbols: Collection[str] | None) -> list[Holding]:
        wanted = None if symbols is None else sorted(symbols)
        rows = self._database.rows("replies.holdings", source=source, symbols=wanted)
        return [Holding(row["source"], row["symbol"], row["replies"], row["bytes"]) for row in rows]

    @override
    def curated(self, source: str, symbols: Collection[str]) -> list[StoredReply]:
        rows = self._database.rows("replies.curated", source=source, symbols=sorted(symbols))
        return [reply_of(row) for row in rows]

    @override
    def unknown(self, paths: Collection[str]) -> set[str]:
        return {row["path"] for row in self._database.rows("replies.unknown_objects", paths=sorted(paths))}

    @override
    def objects(self) -> list[str]:
        return [row["path"] for row in self._database.rows("replies.objects")]

    @override
    def stored(self) -> list[Row]:
        return self._database.rows("replies.stored")

    @override
    def first_and_last_objects(self, most: int) -> list[str]:
        return [row["path"] for row in self._database.rows("replies.first_and_last_objects", most=most)]

    @override
    def of_object(self, path: str) -> list[StoredReply]:
        return [reply_of(row) for row in self._database.rows("replies.of_object", path=path)]

    @override
    def restate(
        self,
        source: str,
        facts: Sequence[SeriesFacts],
        sessions: Mapping[Series, Sessions],
        recent: Collection[str],
        hot_bars: str,
    ) -> None:
        left = list(facts)
        with self._database.transaction() as connection:
            while left:  # a statement takes one fact of each series
                first = {fact.series: fact for fact in reversed(left)}
                run(connection, "rounds.cover_series", coverage(list(first.values())))
                left = [fact for fact in left if first[fact.series] is not fact]
            run(
                connection,
                "replies.set_sessions",
                {
                    "sources": [s.source for s in sessions],
                    "datasets": [s.dataset for s in sessions],
                    "timeframes": [s.timeframe for s in sessions],
                    "symbols": [s.symbol for s in sessions],
                    "firsts": [first for first, _ in sessions.values()],
                    "lasts": [last for _, last in sessions.values()],
                },
            )
            run(connection, "replies.forget_hot_bars", {"source": source, "symbols": sorted(recent)})
            run(connection, "rounds.put_hot_bars", {"rows": hot_bars})
