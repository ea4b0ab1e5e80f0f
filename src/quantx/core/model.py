"""The nouns of the system as frozen values, and the clock as an argument."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Literal, Protocol

# A session counts as final this long after its close: vendors show delayed quotes and closing auctions until then.
SETTLED_AFTER = timedelta(minutes=30)

_DAY = 86400.0  # seconds


class Clock(Protocol):
    """Tells the time; the only way in which services learn it."""

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
    """So many requests in any stretch of so many seconds."""

    count: int
    seconds: float

    @property
    def tolerance(self) -> float:
        """Return how late (seconds) a request may start after its time; who is later takes another turn."""
        return 0.015

    @property
    def pause(self) -> float:
        """Return the seconds from the start of a batch of `count` requests to the next batch.

        Longer than the stretch: a request that starts late, or whose way to the vendor is longer than that of the next,
        must not fall into one stretch with those of the next batch. What is added is lost: 4.5 % of a quota per second.
        """
        return self.seconds + 3 * self.tolerance

    @property
    def gap(self) -> float:
        """Return the seconds between two requests of a batch: a batch fills the first half of its stretch.

        Of a quota per day it is 15 seconds: those vendors bear some requests a minute as well.
        """
        return self.seconds / self.count / 2 if self.seconds < _DAY else 15.0


@dataclass(frozen=True)
class Series:
    """What has a watermark: one symbol of one dataset from one source."""

    source: str
    dataset: str
    timeframe: str
    symbol: str


@dataclass(frozen=True)
class FetchTask:
    """One unit of fetching, as a worker holds it while its lease lasts."""

    id: int
    run_id: str
    kind: str
    series: Series
    window: Window
    attempts: int  # failures that counted so far
    fence: int  # rises with each claim; a worker whose number is old has lost the lease
    has_history: bool  # the series has bars already: an answer "unknown symbol" is then doubtful
    fallback: tuple[str, ...] = ()  # vendors that may be asked in this one's place


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

    symbol: str  # canonical; of a reply about several, all of them with commas between
    request: str  # URL without any secret
    status: int
    fetched_at: datetime  # our clock, UTC
    content_type: str
    body: bytes = field(repr=False)
    vendor_time: datetime | None = None  # the reply's Date header, UTC

    @cached_property
    def sha256(self) -> str:
        """Return the hex digest of the body."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def as_of(self) -> datetime:
        """Return the instant up to which the reply can be trusted to be final.

        Our clock may be wrong, and so may the vendor's; the earlier of the two never admits a bar that is not final.
        """
        return self.fetched_at if self.vendor_time is None else min(self.fetched_at, self.vendor_time)


Severity = Literal["error", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warn", "info")  # the worst first


@dataclass(frozen=True)
class Finding:
    """Something that was noticed about data or about the system's own work, for somebody to look at."""

    rule: str  # id of the rule that noticed it
    severity: Severity
    subject: str  # what it is about: a symbol, a universe, a vendor, a market
    message: str  # the fact and the next step
    source: str = ""  # the vendor, where it is about one vendor's data
    dataset: str = ""
    first_day: date | None = None  # the days that it is about
    last_day: date | None = None
    facts: Mapping[str, object] = field(default_factory=dict)  # figures, for programs

    @property
    def key(self) -> tuple[str, str, str, str, date | None]:
        """Return what makes two findings the same one, seen again."""
        return (self.rule, self.subject, self.source, self.dataset, self.first_day)
