"""The curator's rounds in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from typing_extensions import override

from quantx.core.model import Series, StoredReply, Window
from quantx.state.database import Database, run
from quantx.state.rounds.port import Rounds, TaskResult
from quantx.state.series.port import SeriesFacts
from quantx.state.values import Row

_HOT_DAYS = 45


class PostgresRounds(Rounds):
    """Rounds: the replies that are curated together, and their results."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def waiting(self) -> tuple[int, int]:
        row = self._database.rows("rounds.open_landings")[0]
        return row["landings"], row["bytes"]

    @override
    def unfinished(self) -> int | None:
        rows = self._database.rows("rounds.unfinished_round")
        return rows[0]["id"] if rows else None

    @override
    def start(self, above: int, most_bytes: int, most_replies: int) -> int:
        with self._database.transaction() as connection:
            unfinished = run(connection, "rounds.unfinished_round", {})
            if unfinished:  # a second one beside it might be committed before it
                return int(unfinished[0]["id"])
            round_id: int = run(connection, "rounds.start_round", {"above": above})[0]["id"]
            run(
                connection,
                "rounds.fill_round",
                {"round_id": round_id, "bytes": most_bytes, "replies": most_replies},
            )
        return round_id

    @override
    def upcoming(self, most_bytes: int, most_replies: int) -> list[StoredReply]:
        rows = self._database.rows("rounds.upcoming_replies", bytes=most_bytes, replies=most_replies)
        return [reply_of(row) for row in rows]

    @override
    def replies(self, round_id: int) -> list[StoredReply]:
        return [reply_of(row) for row in self._database.rows("rounds.round_replies", round_id=round_id)]

    @override
    def finish(self, round_id: int, results: Sequence[TaskResult], facts: Sequence[SeriesFacts], hot_bars: str) -> None:
        with self._database.transaction() as connection:
            if not run(connection, "rounds.finish_round", {"round_id": round_id}):
                return  # it was finished before
            ended = run(
                connection,
                "rounds.finish_tasks",
                {
                    "ids": [r.task_id for r in results],
                    "states": [r.state for r in results],
                    "classes": [r.error_class for r in results],
                    "errors": [r.error for r in results],
                    "new": [r.new for r in results],
                    "changed": [r.changed for r in results],
                    "same": [r.same for r in results],
                    "rejected": [r.rejected for r in results],
                    "most": [r.max_attempts for r in results],
                },
            )
            again = [row["id"] for row in ended if row["state"] == "pending"]
            run(connection, "tasks.add_to_outbox", {"ids": again})
            run(connection, "rounds.cover_series", coverage(facts))
            run(connection, "rounds.put_hot_bars", {"rows": hot_bars})
            run(connection, "rounds.trim_hot_bars", {"symbols": [f.series.symbol for f in facts], "days": _HOT_DAYS})


def reply_of(row: Row) -> StoredReply:
    """Return a stored reply from its row and that of its task."""
    return StoredReply(
        path=row["path"],
        row=row["raw_row"],
        task_id=row["task_id"],
        run_id=row["run_id"],
        series=Series(row["source"], row["dataset"], row["timeframe"], row["symbol"]),
        window=Window(row["window_start"], row["window_end"]),
        fetched_at=row["fetched_at"],
        malformed=row["malformed"],
        rows=row["raw_rows"],
        size=row["bytes"],
    )


def coverage(facts: Sequence[SeriesFacts]) -> dict[str, list[object]]:
    """Return facts as the statement `cover_series` takes them: at most one of each series."""
    return {
        "sources": [f.series.source for f in facts],
        "datasets": [f.series.dataset for f in facts],
        "timeframes": [f.series.timeframe for f in facts],
        "symbols": [f.series.symbol for f in facts],
        "covered": [_multirange([f.covered] if f.covered else []) for f in facts],
        "nothing": [_multirange(f.nothing) for f in facts],
        "firsts": [f.first_session for f in facts],
        "lasts": [f.watermark for f in facts],
        "through": [f.asked_through for f in facts],
        "asked": [f.asked_at for f in facts],
    }


def _multirange(windows: Iterable[Window]) -> str:
    """Return the text of a datemultirange."""
    return "{" + ",".join(f"[{w.start},{w.end}]" for w in windows) + "}"
