"""The nouns of the system as frozen values, and the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol

# A session is final this long after its close: until then vendors show delayed quotes and closing auctions.
SETTLED_AFTER = timedelta(minutes=30)

_DAY = 86400.0  # seconds

RunKind = Literal["daily", "backfill", "manual", "heal"]  # what planned a run and its tasks


class Clock(Protocol):
    """The only source of the current time for services."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        ...


@dataclass(frozen=True)
class Window:
    """Sessions from `start` to `end`, both inclusive."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ValueError(f"a window must not end ({self.end}) before it starts ({self.start})")


@dataclass(frozen=True)
class Quota:
    """At most `count` requests in any period of `seconds`."""

    count: int
    seconds: float

    @property
    def tolerance(self) -> float:
        """Return how late (seconds) a request may start after its slot; a later one needs another slot."""
        return 0.015

    @property
    def pause(self) -> float:
        """Return the seconds from the start of a batch of `count` requests to the next batch.

        The pause is longer than the period. A request that starts late, or takes longer to reach the vendor than the
        next one, must not fall into one period with the next batch. The extra time is lost: 4.5 % of a quota per
        second.
        """
        return self.seconds + 3 * self.tolerance

    @property
    def gap(self) -> float:
        """Return the seconds between two requests of a batch: a batch fills the first half of its period.

        For a quota per day it is 15 seconds: such vendors accept some requests a minute.
        """
        return self.seconds / self.count / 2 if self.seconds < _DAY else 15.0


@dataclass(frozen=True)
class Series:
    """One symbol of one dataset and timeframe from one source; it has a watermark."""

    source: str
    dataset: str
    timeframe: str
    symbol: str


@dataclass(frozen=True, kw_only=True)
class FetchTask:
    """One unit of fetching, held by a worker while its lease lasts."""

    id: int
    run_id: str
    kind: RunKind
    series: Series
    window: Window
    attempts: int  # counted failures so far
    fence: int  # fencing token: rises with each claim; a worker with an old one has lost the lease
    has_history: bool  # the series has bars: a reply "unknown symbol" is then doubtful
    fallback: tuple[str, ...] = ()  # fallback vendors


@dataclass(frozen=True, kw_only=True)
class StoredReply:
    """One task's reply in the raw zone: where its pages lie, what they answer, and whether they can be read."""

    task_id: int
    run_id: str
    series: Series
    window: Window
    path: str  # the raw object
    row: int  # the first page in the raw object
    rows: int = 1  # pages, one after the other
    fetched_at: datetime  # of the last page, UTC
    size: int  # bytes of the pages; of a page that several replies share, its share
    malformed: str | None = None  # why the reply can't be read: it is kept as evidence, and its task goes on


@dataclass(frozen=True)
class Payload:
    """A vendor's reply exactly as sent, with the request and the time."""

    symbol: str  # canonical; comma-separated in a reply about several
    request: str  # URL without secrets
    status: int
    fetched_at: datetime  # our clock, UTC
    _: KW_ONLY
    content_type: str
    body: bytes = field(repr=False)
    vendor_time: datetime | None = None  # the reply's Date header, UTC

    @cached_property
    def sha256(self) -> str:
        """Return the hex digest of the body."""
        return hashlib.sha256(self.body).hexdigest()

    def without_body(self) -> Payload:
        """Return the payload without its body, and with the digest of that body: its origin needs less memory."""
        empty = replace(self, body=b"")
        vars(empty)["sha256"] = self.sha256  # where the cached property keeps it
        return empty

    @property
    def as_of(self) -> datetime:
        """Return the instant up to which the reply is final.

        Our clock and the vendor's may be wrong; the earlier of the two never admits a bar that is not final.
        """
        return self.fetched_at if self.vendor_time is None else min(self.fetched_at, self.vendor_time)


Severity = Literal["error", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warn", "info")  # the worst first


@dataclass(frozen=True)
class Finding:
    """A quality observation about data, or about the system's own work, for an operator."""

    rule: str  # id of the broken rule
    severity: Severity
    subject: str  # a symbol, a universe, a vendor, a market, or a field of a vendor's replies
    message: str  # the fact and the next step
    _: KW_ONLY
    source: str = ""  # the vendor, if the finding is about one vendor's data
    dataset: str = ""
    first_day: date | None = None  # first and last day of the observation
    last_day: date | None = None
    facts: Mapping[str, object] = field(default_factory=dict)  # figures, for programs

    @property
    def key(self) -> tuple[str, str, str, str, date | None]:
        """Return the key that two observations of one finding share."""
        return (self.rule, self.subject, self.source, self.dataset, self.first_day)
