"""Stored replies with their pages, read from the raw zone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from quantx.core.model import Payload, StoredReply
from quantx.errors import DamagedObject
from quantx.lake.raw import parse_raw_path, read_pages
from quantx.lake.store import LakeLocation

log = structlog.get_logger()

Lost = tuple[StoredReply, str]  # a reply whose pages are missing or damaged in the raw zone, and the reason


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


def read_replies(location: LakeLocation, replies: Sequence[StoredReply]) -> tuple[list[ReadReply], list[Lost]]:
    """Return the replies with their pages, and those whose raw object is missing or damaged with the reason."""
    by_path: dict[str, list[StoredReply]] = defaultdict(list)
    for reply in replies:
        by_path[reply.path].append(reply)
    read: list[ReadReply] = []
    lost: list[Lost] = []
    for path, here in by_path.items():
        try:
            numbers = sorted({row for x in here for row in range(x.row, x.row + x.rows)})
            pages = dict(zip(numbers, read_pages(location, path, numbers), strict=True))
        except DamagedObject as error:
            log.error("raw.damaged", path=path, error=str(error))
            lost += [(reply, str(error)) for reply in here]
            continue
        read += [ReadReply(x, tuple(pages[row].payload for row in range(x.row, x.row + x.rows))) for x in here]
    return read, lost
