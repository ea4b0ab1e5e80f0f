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
        self._under_way: _RoundUnderWay | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def begin(self, replies: Sequence[StoredReply]) -> None:
        """Begin to read a round, unless it has no replies."""
        self._end()
        if replies:
            self._under_way = _RoundUnderWay(self._read, replies)

    def take(self, replies: Sequence[StoredReply]) -> ReadRound:
        """Return a round: the one that was read ahead if it is the same, else read it now."""
        ahead = self._end()
        return self._read(replies) if ahead is None or ahead.replies != replies else ahead.result()

    def _end(self) -> _RoundUnderWay | None:
        """Wait for the round under way, if there is one; forget it, and return it."""
        ended, self._under_way = self._under_way, None
        if ended is not None:
            ended.wait()
        return ended


class _RoundUnderWay:
    """A round that a thread reads."""

    def __init__(self, read: Callable[[Sequence[StoredReply]], ReadRound], replies: Sequence[StoredReply]) -> None:
        self.replies = replies
        self._read = read
        self._round: ReadRound | None = None
        self._error: BaseException | None = None
        # The context of the caller (log lines, traces) applies to its calls, too.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name="read-ahead", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def result(self) -> ReadRound:
        """Return the round, or raise the error of its reading."""
        if self._error is not None:
            raise self._error
        assert self._round is not None, "it has ended"
        return self._round

    def _run(self) -> None:
        try:
            self._round = self._read(self.replies)
        except BaseException as error:  # noqa: BLE001 — raised where the round is taken
            self._error = error
