"""What the state promises of rounds, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from quantx.core.model import Series, Window
from quantx.state.series.port import SeriesFacts


@dataclass(frozen=True)
class Landing:
    """A landed reply of a round."""

    path: str
    row: int
    task_id: int
    run_id: str
    series: Series
    window: Window
    fetched_at: datetime
    malformed: str | None
    attempts: int  # failures of its task so far
    rows: int = 1  # pages, from `row` on
    size: int = 0  # bytes of the pages; of one that others share, its share


@dataclass(frozen=True)
class TaskResult:
    """How the curation of a task's reply ended."""

    task_id: int
    state: Literal["done", "failed", "pending"]  # pending: the stored reply is lost, the vendor is asked again
    error_class: str | None = None
    error: str | None = None
    new: int = 0
    changed: int = 0
    same: int = 0
    rejected: int = 0


class Rounds(Protocol):
    """Landed replies, and the curator's rounds over them. Called by who holds the curator's role."""

    def waiting(self) -> tuple[int, int]:
        """Return how many landed replies no finished round has, and their bytes."""
        ...

    def unfinished(self) -> int | None:
        """Return the round that was begun and not finished."""
        ...

    def start(self, above: int, most_bytes: int, most_replies: int) -> int:
        """Begin a round with the oldest waiting reply of each series, up to `most_bytes`, but at least one.

        Its number is above all rounds of this state and above `above`, the last one that the lake has seen.
        """
        ...

    def landings(self, round_id: int) -> list[Landing]:
        """Return the replies of a round by series, and those of a series in the order of fetching."""
        ...

    def finish(self, round_id: int, results: Sequence[TaskResult], facts: Sequence[SeriesFacts], hot_bars: str) -> None:
        """Record what a round has done. Watermarks never go back; `hot_bars` are recent rows as JSON."""
        ...
