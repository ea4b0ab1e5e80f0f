"""The port of rounds, and its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, Protocol

from quantx.core.model import StoredReply
from quantx.state.series.port import SeriesFacts


@dataclass(frozen=True)
class TaskResult:
    """The result of curating a task's reply."""

    task_id: int
    state: Literal["done", "failed", "pending"]  # pending: the stored reply is lost, and is fetched again
    error_class: str | None = None
    error: str | None = None
    _: KW_ONLY
    new: int = 0
    changed: int = 0
    same: int = 0
    rejected: int = 0
    max_attempts: int | None = None  # a pending task fails with this failure where it is the last one


class Rounds(Protocol):
    """The curator's rounds over stored replies. The caller holds the curator's role."""

    def waiting(self) -> tuple[int, int]:
        """Return the number of stored replies that no finished round has, and their bytes."""
        ...

    def unfinished(self) -> int | None:
        """Return the round that was started and not finished; None where there is none."""
        ...

    def start(self, above: int, most_bytes: int, most_replies: int) -> int:
        """Start a round with the oldest waiting reply of each series, up to `most_bytes`, but at least one.

        Return its number: above all rounds of this state, and above `above`, the last round that the lake has.
        """
        ...

    def upcoming(self, most_bytes: int, most_replies: int) -> list[StoredReply]:
        """Return the replies that `start` would put into a new round now, as `replies` returns them; change nothing."""
        ...

    def replies(self, round_id: int) -> list[StoredReply]:
        """Return the replies of a round by series, and those of a series in the order of fetching."""
        ...

    def finish(self, round_id: int, results: Sequence[TaskResult], facts: Sequence[SeriesFacts], hot_bars: str) -> None:
        """Record the results of a round. Watermarks never go back; `hot_bars` are recent rows as JSON."""
        ...
