"""A simulated vendor, and a cheap reading of its replies: the pipeline's own one costs more than a whole seed may."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.coverage import coverage_of
from quantx.core.model import SETTLED_AFTER, Payload, Window
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import BARS_1D, QUARANTINE
from quantx.errors import (
    MalformedPayload,
    RateLimited,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.pipeline.curating.known_rows import KnownRows
from quantx.pipeline.curating.normalize import Rows
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.drift import FieldChange
from quantx.providers.protocol import Capabilities, Page, Provider, Request, VendorFrames

Bar = tuple[float, float, float, float, int]
SOURCE = "sim"
_PER_PAGE = 2  # symbols
_BAR_COLUMNS = {**BARS_1D.schema, "volume_step": pl.Float64}


class Market:
    """What the vendor knows: bars, some of which it revises late."""

    def __init__(self, rng: random.Random, symbols: Sequence[str], first: date, last: date) -> None:
        self._rng = rng
        self.bars: dict[str, dict[date, Bar]] = {
            symbol: {day: self._bar(symbol) for day in calendar("XNYS").sessions(first, last)} for symbol in symbols
        }

    def revise(self, symbol: str) -> None:
        """Correct one bar."""
        bars = self.bars[symbol]
        if bars:
            bars[self._rng.choice(list(bars))] = self._bar(symbol)

    def _bar(self, symbol: str) -> Bar:
        close = 100 + self._rng.randrange(1000)
        high, low = close + 2, close - 2
        if self._rng.random() < 0.03:
            high, low = low, high  # a row that the rule rejects
        return (close - 1.0, float(high), float(low), float(close), self._rng.randrange(10_000))


class SimVendor:
    """One worker's adapter of the vendor. What happens to a request is decided by `trouble`."""

    def __init__(
        self,
        market: Market,
        now: Callable[[], datetime],
        vendor_now: Callable[[], datetime],
        asked: Callable[[Sequence[str], Window], str | None],
        answered: Callable[[], None],
        width: int = 1,
    ) -> None:
        self.capabilities = Capabilities(
            source=SOURCE,
            timeframes=("1d",),
            markets=("us",),
            symbols_per_request=width,
            price_basis="as_traded",
            needs_key=True,
            quota="10/s",
        )
        self._market = market
        self._now = now
        self._vendor_now = vendor_now
        self._asked = asked
        self._answered = answered

    def prepare(self) -> None:
        pass

    def fetch(self, request: Request) -> Iterator[Page]:
        """Fetch from the vendor, two symbols a page; `asked` returns the fault of a request."""
        symbols = sorted(request.symbols)
        for i in range(0, len(symbols), _PER_PAGE):
            page = symbols[i : i + _PER_PAGE]
            yield Page.whole(self._ask(page, request.window), page)

    def _ask(self, symbols: Sequence[str], window: Window) -> Payload:
        trouble = self._asked(symbols, window)
        at, name = self._vendor_now(), ",".join(symbols)
        body = json.dumps({"bars": {s: self._bars(s, window, at) for s in symbols}}).encode()
        self._answered()
        if trouble is not None and trouble.startswith("limited"):
            seconds = trouble.partition(":")[2]
            raise RateLimited("the vendor demands a back-off", float(seconds) if seconds else None)
        if trouble == "server_error":
            raise TransientProviderError("the vendor answers 500")
        if trouble == "broken_adapter":
            raise KeyError("chart")
        if trouble == "unknown_symbol":
            raise UnknownSymbol(f"the vendor does not know {name}", symbols)
        if trouble == "empty":
            body = json.dumps({"bars": {}}).encode()
        elif trouble == "truncated":
            body = body[: len(body) // 2]
        elif trouble == "garbage":
            body = b"<html>busy</html>"
        payload = Payload(
            name, f"sim://bars/{name}", 200, self._now(), content_type="application/json", body=body, vendor_time=at
        )
        if trouble == "garbage":
            raise MalformedPayload("the vendor sent a page", payload)
        return payload

    def normalize(self, payload: Payload) -> VendorFrames:
        """Never called: `cheap_rows` replaces it."""
        raise AssertionError

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return no changes: the vendor's form stays."""
        return ()

    def _bars(self, symbol: str, window: Window, at: datetime) -> list[list[Any]]:
        """Return the bars from the window's start to now, also that of the running session."""
        today = at.date()
        return [[str(d), *b] for d, b in sorted(self._market.bars[symbol].items()) if window.start <= d <= today]


def read_bars(item: ReadReply) -> tuple[list[tuple[date, Bar]], list[tuple[date, Bar]]]:
    """Return the accepted and the rejected bars of a reply; ValueError where it is not the vendor's form."""
    return _read_body(item.payload.body, item.symbol, item.stored.window, item.payload.as_of)


@lru_cache(maxsize=1000)  # the curator and the oracle read the same replies
def _read_body(
    body: bytes, symbol: str, window: Window, as_of: datetime
) -> tuple[list[tuple[date, Bar]], list[tuple[date, Bar]]]:
    accepted, rejected = [], []
    sessions = calendar("XNYS")
    for day, *values in json.loads(body)["bars"].get(symbol, []):
        session = date.fromisoformat(day)
        if not window.start <= session <= window.end:
            continue
        if sessions.close_of(session) + SETTLED_AFTER > as_of:
            continue
        (accepted if values[1] >= values[2] else rejected).append((session, tuple(values)))
    return accepted, rejected


def cheap_rows(
    source: str, landed: Sequence[ReadReply], provider: Provider, policy: RowPolicy, known: KnownRows
) -> Rows:
    """Normalize as `normalize_round` does, cheaply: bars as traded, one rule, no actions, no decisions."""
    bars: list[tuple[Any, ...]] = []
    rejected: list[tuple[Any, ...]] = []
    coverage, sessions, malformed = {}, {}, {}
    for item in landed:
        known = item.payload.fetched_at
        digest = item.payload.sha256
        if item.stored.malformed is not None:
            rejected.append(_rejected_payload(source, item, item.stored.malformed))
            continue
        try:
            good, bad = read_bars(item)
        except ValueError as error:
            malformed[item.stored.task_id] = str(error)
            rejected.append(_rejected_payload(source, item, str(error)))
            continue
        bars += [(source, d.year, item.symbol, d, *b, "USD", item.raw, known, 0.0) for d, b in good]
        rejected += [
            (
                source,
                "bars_1d",
                item.symbol,
                d,
                "high_is_highest",
                json.dumps(b),
                digest,
                item.raw,
                known,
                1,
                None,
                None,
            )
            for d, b in bad
        ]
        answers = sorted(d for d, _ in (*good, *bad))
        coverage[item.symbol] = coverage_of(item.stored.window, item.payload.as_of, answers, calendar("XNYS"))
        if good:
            sessions[item.symbol] = (good[0][0], good[-1][0])
    return Rows(
        table=BARS_1D.name,
        tables={BARS_1D.name: pl.DataFrame(bars, schema=_BAR_COLUMNS, orient="row")},
        quarantine=pl.DataFrame(rejected, schema=dict(QUARANTINE.schema), orient="row"),
        coverage=coverage,
        sessions=sessions,
        malformed=malformed,
    )


def _rejected_payload(source: str, item: ReadReply, why: str) -> tuple[Any, ...]:
    digest = item.payload.sha256
    return (
        source,
        "bars_1d",
        item.symbol,
        None,
        "payload_readable",
        why,
        digest,
        item.raw,
        item.payload.fetched_at,
        1,
        None,
        None,
    )
