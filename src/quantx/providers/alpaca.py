"""Alpaca's market data: daily and minute bars as traded, for many symbols at once, and corporate actions apart.

Both come in pages. Those of bars are sorted by symbol, then by time (`limit` counts the rows of all symbols together), so
that a symbol is complete when a later one appears; those of actions are sorted by date, and complete together.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from pydantic_core import from_json

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import US, parse_symbol
from quantx.errors import ConfigError, MalformedPayload, NotEntitled, TransientProviderError, UnknownSymbol
from quantx.providers.alpaca_frames import UNREADABLE, LeftOut, left_out, read_actions, read_bars, symbols_of
from quantx.providers.alpaca_pages import ActionsPage, BarsPage, read_page
from quantx.providers.protocol import Capabilities, Page, Request, VendorFrames

SOURCE = "alpaca"
FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")

_ZONE = ZoneInfo(US.timezone)
_DELAY = timedelta(minutes=16)  # younger prices of the consolidated tape are for those who pay (403)
# Dividends are filed under the day of their payment, which may be half a year after the ex-date.
_PAID_WITHIN = timedelta(days=270)
_INVALID = re.compile(r"invalid symbols?: (.+)", re.IGNORECASE)


class MarketData(Protocol):
    """The way to Alpaca; `alpaca_session.AlpacaSession` is the real one."""

    def prepare(self) -> None:
        """Load what the first request needs; never raises."""
        ...

    def bars(
        self, symbols: Sequence[str], timeframe: str, span: tuple[datetime, datetime], feed: str, token: str | None
    ) -> Any:
        """Return a page: a reply with url, status, content_type, body and vendor_time."""
        ...

    def actions(self, symbols: Sequence[str], span: tuple[date, date], token: str | None) -> Any:
        """Return a page, likewise."""
        ...


class Alpaca:
    """The provider `alpaca`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=("1d", "1m"),
        markets=("us",),
        symbols_per_request=500,  # five sessions of them are a quarter of a page
        minute_symbols_per_request=100,  # a session of them is four to ten pages
        price_basis="as_traded",
        needs_key=True,
        quota="200/min",
        datasets=("bars", "actions"),
    )

    def __init__(self, session: Callable[[], MarketData], clock: Clock, feed: str = "iex") -> None:
        if feed not in FEEDS:
            raise ConfigError(f"QUANTX_ALPACA_FEED is {feed[:20]!a}; choose one of {', '.join(FEEDS)}")
        self._open_session = session  # importing alpaca-py takes a second: only those who fetch pay for it
        self._session: MarketData | None = None
        self._opening = threading.Lock()
        self._clock = clock
        self._feed = feed

    def prepare(self) -> None:
        """Import alpaca-py."""
        self._opened().prepare()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Ask for the bars or the actions of up to 500 symbols, a page with each `next`.

        Bars of a window end with its last day. Actions are asked for by the day on which they are processed, up to nine
        months after the window: only so all that went ex in the window are among them.
        """
        asked = tuple(sorted(request.symbols))
        if strange := [symbol for symbol in asked if wire_symbol(symbol) is None]:
            raise UnknownSymbol(f"Alpaca has American shares and funds only, not {', '.join(strange)}", strange)
        order = _Order(asked, sorted_by_symbol=request.dataset == "bars")
        # Once for all pages: a token is good for the same question only.
        span = self._span(request.window, self._clock.now())
        token, seen = None, set[str]()
        while True:
            payload = self._page(request, asked, span, token)
            page = _open_reply(payload)
            token = page.token or None
            if token in seen:
                raise MalformedPayload("Alpaca's pages go round in a circle", payload)
            seen.add(token or "")
            yield order.page(payload, page, is_last=token is None)
            if token is None:
                return

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars or the actions of a page; empty frames where Alpaca has nothing.

        Of the actions only splits and cash dividends are read; `left_out` names the others.
        """
        page = _read_page(payload)
        return read_bars(payload, page) if isinstance(page, BarsPage) else read_actions(payload, page)

    def left_out(self, payload: Payload) -> tuple[LeftOut, ...]:
        """Return the actions of a page that are neither splits nor cash dividends: they change prices, and are not guessed.

        Stock dividends, unit splits, spin-offs, mergers, rights, redemptions, name changes, and what Alpaca may add.
        """
        page = _read_page(payload)
        return () if isinstance(page, BarsPage) else left_out(payload, page)

    def _page(
        self, request: Request, asked: tuple[str, ...], span: tuple[datetime, datetime], token: str | None
    ) -> Payload:
        session, now, window = self._opened(), self._clock.now(), request.window
        if request.dataset == "bars":
            reply = session.bars(asked, request.timeframe, span, self._feed, token)
        else:
            reply = session.actions(asked, (window.start, window.end + _PAID_WITHIN), token)
        return Payload(
            ",".join(asked),
            reply.url,
            reply.status,
            now,
            reply.content_type,
            reply.body,
            vendor_time=reply.vendor_time,
        )

    def _span(self, window: Window, now: datetime) -> tuple[datetime, datetime]:
        start = datetime.combine(window.start, time.min, _ZONE)
        end = datetime.combine(window.end, time(23, 59, 59), _ZONE)
        if self._feed == "sip" and start < now - _DELAY < end:
            end = now - _DELAY
        return start, end

    def _opened(self) -> MarketData:
        with self._opening:
            self._session = self._session or self._open_session()
            return self._session


class _Order:
    """Follows the pages of an answer and tells which symbols they complete."""

    def __init__(self, asked: tuple[str, ...], *, sorted_by_symbol: bool) -> None:
        self._open = set(asked)
        self._sorted = sorted_by_symbol
        self._last = ""  # the newest symbol of the pages before; bars of it may follow

    def page(self, payload: Payload, page: BarsPage | ActionsPage, *, is_last: bool) -> Page:
        """Return the page with the symbols that it shows and completes.

        Pages in another order than the documented one complete nothing before the last. MalformedPayload where a symbol
        comes again that was complete.
        """
        shown = page.symbols if isinstance(page, BarsPage) else symbols_of(page)
        if strange := [symbol for symbol in shown if symbol not in self._open]:
            why = "again after later ones" if strange[0] in payload.symbol.split(",") else "without being asked for it"
            raise MalformedPayload(f"Alpaca sends something about {strange[0][:20]!a} {why}", payload)
        if is_last:
            complete = frozenset(self._open)
        else:
            # Sorted texts within the page, and none before what the page before it ended with.
            self._sorted = self._sorted and shown == sorted(shown) and (not shown or shown[0] >= self._last)
            complete = frozenset(self._open & {self._last, *shown} - {shown[-1]} if self._sorted and shown else ())
        self._last = shown[-1] if shown else self._last
        self._open -= complete
        return Page(payload, frozenset(shown), complete)


def wire_symbol(symbol: str) -> str | None:
    """Return Alpaca's form of a canonical symbol, which is the same; None for an index or another market's symbol.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL"), wire_symbol("^GSPC")
    ('BRK.B', 'BAC.PRL', None)
    """
    symbol = parse_symbol(symbol)
    return None if symbol.startswith("^") else symbol


def _open_reply(payload: Payload) -> BarsPage | ActionsPage:
    """Return the page in a reply, or raise what a refusal says."""
    if payload.status == 200:
        return _read_page(payload)
    try:
        document = from_json(payload.body)
    except ValueError:
        document = None
    match document:
        case {"message": str(message)}:
            pass
        case _ if payload.status == 403:  # the vendor's gatekeeper, not the vendor
            raise TransientProviderError("Alpaca answers 403 without a word of its own; its gatekeeper may block us")
        case _:
            raise MalformedPayload(f"Alpaca answers {payload.status} without a reason that can be read", payload)
    said = message[:200]
    if payload.status == 403 and "subscription" in message:
        raise NotEntitled(f"Alpaca: {said}; choose another QUANTX_ALPACA_FEED (iex is free) or another plan")
    if payload.status == 403:
        raise NotEntitled(f"Alpaca: {said}; check QUANTX_ALPACA_API_KEY and QUANTX_ALPACA_API_SECRET")
    if match := _INVALID.search(message):
        named = {name.strip().upper() for name in match[1].split(",")} & set(payload.symbol.split(","))
        if named:
            raise UnknownSymbol(f"Alpaca refuses {', '.join(sorted(named))} as no symbol", named)
    raise MalformedPayload(f"Alpaca answers {payload.status}: {said}", payload)


def _read_page(payload: Payload) -> BarsPage | ActionsPage:
    """Return the page in a payload; MalformedPayload for all else."""
    try:
        return read_page(payload.body)
    except UNREADABLE as error:
        raise MalformedPayload(
            f"Alpaca's reply for {payload.symbol[:60]} (HTTP {payload.status}, {len(payload.body)} bytes) is no page of"
            f" bars or of corporate actions: {repr(error)[:100]}",
            payload,
        ) from error
