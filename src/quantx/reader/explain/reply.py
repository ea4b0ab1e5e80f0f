"""The vendor's reply behind a stored row: its raw object, its page, and the row's place there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from quantx.core.model import Payload
from quantx.core.reply_places import ReplyPlace, ReplyText, SoughtRow
from quantx.errors import DamagedObject, RawNotReadable
from quantx.lake.raw_replies import RawReply, find_raw, read_replies
from quantx.lake.store import LakeLocation


@dataclass(frozen=True, kw_only=True)
class ReplyEvidence:
    """The reply that made a row. `problem` is why a part is missing; the rest is None then."""

    raw: str  # the raw object's ULID
    path: str | None = None  # of the raw object in the lake
    row: int | None = None  # of the reply in the raw object
    sha256: str | None = None  # of the reply's bytes
    request: str | None = None
    status: int | None = None
    fetched_at: datetime | None = None  # UTC
    content_type: str | None = None
    size: int | None = None  # bytes
    place: str | None = None  # of the row in the reply: a JSON pointer (RFC 6901), or a line
    text: str | None = None  # the row as sent, at most 600 characters
    sent: Mapping[str, float] | None = None  # the row's values as sent; None: they are not in the reply as such
    ratio: float = 1.0  # by which prices as sent are multiplied to get prices as traded
    problem: str | None = None
    body: bytes | None = field(default=None, repr=False)  # the reply exactly as sent


@dataclass(frozen=True, kw_only=True)
class SoughtValues:
    """The values of a row that a reply is searched for, as traded, and the ratio of the vendor's basis."""

    symbol: str  # as stored
    sought: SoughtRow
    named: Mapping[str, float] = field(default_factory=dict)
    ratio: float = 1.0

    def place_in(self, body: bytes) -> tuple[ReplyPlace | None, Mapping[str, float] | None, float]:
        """Return the row's place in a reply, its values as sent, and the ratio; (None, None, 1) if it is not there."""
        reply = ReplyText(body)
        best: tuple[ReplyPlace | None, Mapping[str, float] | None, float] = (None, None, 1.0)
        for ratio in dict.fromkeys((1.0, self.ratio)):
            values = {n: v * ratio if n == "volume" else v / ratio for n, v in self.named.items()}
            place = reply.find_row(self._with(list(values.values())))
            if place is not None and (best[0] is None or place.agreeing > best[0].agreeing):
                best = (place, values if place.agreeing >= len(values) else None, ratio)
            if best[1] is not None:
                break
        return best

    def _with(self, values: Sequence[float]) -> SoughtRow:
        row = self.sought
        return SoughtRow(row.symbol, row.day, row.time, row.zone, values)


class Sought(Protocol):
    """What is searched in the replies of a raw object, under the symbol of their series."""

    @property
    def symbol(self) -> str:
        """Return the symbol under which the reply is stored."""
        ...

    def place_in(self, body: bytes) -> tuple[ReplyPlace | None, Mapping[str, float] | None, float]:
        """Return the place in a reply, the values as sent, and the ratio; (None, None, 1) if it is not there."""
        ...


def find_reply(location: LakeLocation, source: str, raw: str, values: Sought, datasets: Sequence[str]) -> ReplyEvidence:
    """Return the reply of a stored row; without a right to raw objects, or with a damaged one, the problem."""
    path = None
    try:
        path = find_raw(location, source, raw, datasets)
        if path is None:
            return ReplyEvidence(raw=raw, problem=f"the raw zone has no object {raw} of {source} any more")
        replies = read_replies(location, path, [values.symbol])
    except (RawNotReadable, DamagedObject) as error:
        return ReplyEvidence(raw=raw, path=path, problem=str(error))
    if not replies:
        return ReplyEvidence(raw=raw, path=path, problem=f"the raw object has no reply about {values.symbol}")
    return _best(raw, path, replies, values)


def _best(raw: str, path: str, replies: Sequence[RawReply], values: Sought) -> ReplyEvidence:
    """Return the reply in which most of the row's values stand; of several equal ones the last."""
    placed = [(reply, *values.place_in(reply.payload.body)) for reply in replies]
    reply, place, sent, ratio = max(placed, key=lambda found: -1.0 if found[1] is None else found[1].agreeing)
    payload: Payload = reply.payload
    facts: dict[str, Any] = {} if place is None else {"place": place.where, "text": place.text, "sent": sent}
    if place is None:
        facts["problem"] = "the row was not found in its reply"
    return ReplyEvidence(
        raw=raw,
        path=path,
        row=reply.row,
        sha256=payload.sha256,
        request=payload.request,
        status=payload.status,
        fetched_at=payload.fetched_at,
        content_type=payload.content_type,
        size=len(payload.body),
        ratio=ratio,
        body=payload.body,
        **facts,
    )


def split_ratio(splits: Sequence[tuple[date, float]], day: date, known: date) -> float:
    """Return the ratio of a split-adjusting vendor's basis: of all splits after a day, up to the day of the reply."""
    ratio = 1.0
    for ex_date, value in splits:
        if day < ex_date <= known:
            ratio *= value
    return ratio
