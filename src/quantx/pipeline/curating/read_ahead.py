"""Read a round from the raw zone, and the next one beside the round that is committed.

What is read ahead depends on the replies alone. Rows that are compared with stored ones, and every commit, wait for
their turn: rounds stay in their order. A round that is read ahead is thrown away where another one comes instead.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field

from quantx.core.model import StoredReply
from quantx.lake.store import LakeLocation
from quantx.pipeline.curating.normalize import ReaderOf
from quantx.pipeline.curating.reply_frames import ReplyFrames, read_frames
from quantx.pipeline.curating.stored_replies import Lost, ReadReply, read_replies

Kind = tuple[str, str, str]  # source, dataset and timeframe

_OF_FRAMES = ("bars", "actions")  # the datasets whose replies are read into frames ahead


@dataclass(frozen=True, kw_only=True)
class ReadRound:
    """The replies of a round."""

    read: Sequence[ReadReply]
    lost: Sequence[Lost]
    frames: Mapping[Kind, ReplyFrames] = field(default_factory=dict)  # those that are read ahead


def read_round(location: LakeLocation, replies: Sequence[StoredReply]) -> ReadRound:
    """Read replies from the raw zone."""
    read, lost = read_replies(location, replies)
    return ReadRound(read=read, lost=lost)


def read_round_in_frames(location: LakeLocation, replies: Sequence[StoredReply], reader_of: ReaderOf) -> ReadRound:
    """Read replies from the raw zone, and those of bars and events into frames."""
    read, lost = read_replies(location, replies)
    frames, kept = dict[Kind, ReplyFrames](), list[ReadReply]()
    for kind, items in by_kind(read).items():
        if kind[1] in _OF_FRAMES:
            frames[kind] = read_frames(items, reader_of(kind[0]))
            kept += frames[kind].items
        else:
            kept += items
    return ReadRound(read=kept, lost=lost, frames=frames)


def by_kind(read: Sequence[ReadReply]) -> dict[Kind, list[ReadReply]]:
    """Return replies by source, dataset and timeframe."""
    alike = defaultdict[Kind, list[ReadReply]](list)
    for item in read:
        series = item.stored.series
        alike[series.source, series.dataset, series.timeframe].append(item)
    return alike


class ReadAhead:
    """Reads one round beside the caller's work; a context whose end waits for it."""

    def __init__(self, read: Callable[[Sequence[StoredReply]], ReadRound]) -> None:
        self._read = read
        self._thread: threading.Thread | None = None
        self._replies: Sequence[StoredReply] = ()
        self._result: ReadRound | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def begin(self, replies: Sequence[StoredReply]) -> None:
        """Begin to read a round, unless it has no replies."""
        self._forget()
        if not replies:
            return
        self._replies = replies
        # The context of the caller (log lines, traces) applies to its calls, too.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._run, replies), name="read-ahead", daemon=True
        )
        self._thread.start()

    def take(self, replies: Sequence[StoredReply]) -> ReadRound:
        """Return a round: the one that was read ahead if it is the same, else read it now.

        An error of the reading ahead is left to the reading now.
        """
        if self._thread is not None and self._replies == replies:
            self._thread.join()
        ahead = self._result if self._replies == replies else None
        self._forget()
        return self._read(replies) if ahead is None else ahead

    def _run(self, replies: Sequence[StoredReply]) -> None:
        try:
            self._result = self._read(replies)
        except Exception:  # noqa: BLE001 — raised again where the round is read in its turn
            self._result = None

    def _forget(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._thread, self._replies, self._result = None, (), None
