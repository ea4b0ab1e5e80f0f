"""Alpaca's market data: daily and minute bars as traded, for many symbols at once, and corporate actions apart.

Replies are pages. Pages of bars are sorted by symbol, then by time (`limit` counts the rows of all symbols together): a
symbol is complete when a later one appears. Pages of actions are sorted by date: all symbols are complete at the end.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Protocol, Self
from zoneinfo import ZoneInfo

from pydantic_core import from_json

from quantx.core.model import Clock, Payload, Window
from quantx.core.symbols import US, stored_symbol
from quantx.errors import (
    ConfigError,
    MalformedPayload,
    NotEntitled,
    ProviderError,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.providers.alpaca_frames import UnreadAction, changes_of, read_actions, read_bars, symbols_of, unread_actions
from quantx.providers.alpaca_pages import ActionsPage, BarsPage, read_page
from quantx.providers.alpaca_shapes import shape_of
from quantx.providers.drift import FieldChange
from quantx.providers.http import HttpReply
from quantx.providers.page_frames import PageFrames, one_page, stack_pages
from quantx.providers.protocol import Capabilities, Page, Request, VendorFrames
from quantx.providers.reply_values import FORM_ERRORS, form_problem, parsed_json
from quantx.settings.vendors import AlpacaSettings

SOURCE = "alpaca"
FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")

_ZONE = ZoneInfo(US.timezone)
_DELAY = timedelta(minutes=16)  # free plans get no newer prices of the consolidated tape (403)
# Dividends are filed by the day of payment, up to half a year after the ex-date.
_PAID_WITHIN = timedelta(days=270)
_INVALID = re.compile(r"invalid symbols?: (.+)", re.IGNORECASE)


class MarketData(Protocol):
    """The connection to Alpaca; `alpaca_session.AlpacaSession` is the real one."""

    def prepare(self) -> None:
        """Load what the first request needs; never raises."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...

    def bars(
        self, symbols: Sequence[str], *, timeframe: str, span: tuple[datetime, datetime], feed: str, token: str | None
    ) -> HttpReply:
        """Return a page of bars as a reply of any status."""
        ...

    def actions(self, symbols: Sequence[str], span: tuple[date, date], token: str | None) -> HttpReply:
        """Return a page of actions as such a reply."""
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
        quota=AlpacaSettings.default_quota,
        datasets=("bars", "actions"),
    )

    def __init__(self, session: Callable[[], MarketData], clock: Clock, feed: str = "iex") -> None:
        if feed not in FEEDS:
            raise ConfigError(f"QUANTX_ALPACA_FEED is {feed[:20]!a}; choose one of {', '.join(FEEDS)}")
        self._open_session = session  # called by the first fetch, as the import of alpaca-py takes a second
        self._session: MarketData | None = None
        self._opening = threading.Lock()
        self._clock = clock
        self._feed = feed

    @classmethod
    def open(cls, settings: AlpacaSettings, clock: Clock) -> Self:
        """Return the provider; the first fetch imports alpaca-py, and needs both keys."""

        def session() -> MarketData:
            from quantx.providers.alpaca_session import AlpacaSession

            assert settings.api_key is not None, "the registry opens only vendors with all keys to fetch"
            assert settings.api_secret is not None, "the registry opens only vendors with all keys to fetch"
            return AlpacaSession(settings.api_key, settings.api_secret, settings.base_url)

        return cls(session, clock, settings.feed)

    def prepare(self) -> None:
        """Import alpaca-py."""
        self._opened().prepare()

    def close(self) -> None:
        """Close Alpaca's connections, if any were opened."""
        with self._opening:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def fetch(self, request: Request) -> Iterator[Page]:
        """Fetch the bars or the actions of up to 500 symbols, a page with each `next`.

        Bars end with the window's last day. Actions are requested by the day of processing, up to nine months after the
        window, so that they contain every ex-date in the window.
        """
        symbols = tuple(sorted(request.symbols))
        if strange := [symbol for symbol in symbols if wire_symbol(symbol) is None]:
            raise UnknownSymbol(f"Alpaca has American shares and funds only, not {', '.join(strange)}", strange)
        order = _PageOrder(symbols, sorted_by_symbol=request.dataset == "bars")
        # Once for all pages: a token is valid for the same request only.
        span = self._span(request.window, self._clock.now())
        token, seen = None, set[str]()
        while True:
            payload = self._page(request, symbols, span, token)
            page = _open_reply(payload)
            token = page.token or None
            if token in seen:
                raise MalformedPayload("Alpaca's page tokens repeat", payload)
            seen.add(token or "")
            yield order.page(payload, page, is_last=token is None)
            if token is None:
                return

    def normalize(self, payload: Payload) -> VendorFrames:
        """Return the bars or the actions of a page; empty frames where Alpaca has nothing.

        Of the actions only splits and cash dividends are read; `unread_actions` returns the others.
        """
        return one_page(self.normalize_many([payload]))

    def normalize_many(self, payloads: Sequence[Payload]) -> PageFrames:
        """Return the same of many pages; a malformed one costs only itself."""
        read = [_page_or_error(payload) for payload in payloads]
        if not any(isinstance(page, ActionsPage) for page in read):
            return read_bars(payloads, [page for page in read if not isinstance(page, ActionsPage)])
        return stack_pages([_frames_or_error(*each) for each in zip(payloads, read, strict=True)], payloads)

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        """Return the fields of a page that differ from its declared shape; every value is compared."""
        document = parsed_json(payload)
        return shape_of(document).changes(document, every_value=True)

    def unread_actions(self, payload: Payload) -> tuple[UnreadAction, ...]:
        """Return the actions of a page that are neither splits nor cash dividends: their effect on prices is unknown.

        Stock dividends, unit splits, spin-offs, mergers, rights, redemptions, name changes, and later kinds.
        """
        page = _read_page(payload)
        return () if isinstance(page, BarsPage) else unread_actions(payload, page)

    def _page(
        self, request: Request, symbols: tuple[str, ...], span: tuple[datetime, datetime], token: str | None
    ) -> Payload:
        session, now, window = self._opened(), self._clock.now(), request.window
        if request.dataset == "bars":
            reply = session.bars(symbols, timeframe=request.timeframe, span=span, feed=self._feed, token=token)
        else:
            reply = session.actions(symbols, (window.start, window.end + _PAID_WITHIN), token)
        return reply.as_payload(",".join(symbols), now)

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


class _PageOrder:
    """Follows the pages of a request, and marks the symbols that they complete."""

    def __init__(self, symbols: tuple[str, ...], *, sorted_by_symbol: bool) -> None:
        self._open = set(symbols)
        self._sorted = sorted_by_symbol
        self._last = ""  # the newest symbol of the pages before; bars of it may follow

    def page(self, payload: Payload, page: BarsPage | ActionsPage, *, is_last: bool) -> Page:
        """Return the page with the symbols that it contains and completes.

        Pages in another order than the documented one complete no symbol before the last page. MalformedPayload where a
        completed symbol appears again.
        """
        symbols = page.symbols if isinstance(page, BarsPage) else symbols_of(page)
        if strange := [symbol for symbol in symbols if symbol not in self._open]:
            why = "again after later ones" if strange[0] in payload.symbol.split(",") else "which was not asked for"
            raise MalformedPayload(f"Alpaca sends rows of {strange[0][:20]!a} {why}", payload)
        if is_last:
            complete = frozenset(self._open)
        else:
            # Sorted within the page, and not before the last symbol of the page before.
            self._sorted = self._sorted and symbols == sorted(symbols) and (not symbols or symbols[0] >= self._last)
            complete = frozenset(
                self._open & {self._last, *symbols} - {symbols[-1]} if self._sorted and symbols else ()
            )
        self._last = symbols[-1] if symbols else self._last
        self._open -= complete
        return Page(payload, frozenset(symbols), complete)


def wire_symbol(symbol: str) -> str | None:
    """Return Alpaca's form of a canonical symbol, which is the same; None for an index or another market's symbol.

    >>> wire_symbol("BRK.B"), wire_symbol("BAC.PRL"), wire_symbol("^GSPC")
    ('BRK.B', 'BAC.PRL', None)
    """
    symbol = stored_symbol(symbol)
    return None if symbol.startswith("^") else symbol


def _open_reply(payload: Payload) -> BarsPage | ActionsPage:
    """Return the page in a reply, or raise the error of a refusal."""
    if payload.status == 200:
        return _read_page(payload)
    try:
        document = from_json(payload.body)
    except ValueError:
        document = None
    match document:
        case {"message": str(message)}:
            pass
        case _ if payload.status == 403:  # a proxy in front of the vendor, not the vendor
            raise TransientProviderError(
                "Alpaca answers 403 without a message; a proxy in front of it may block this address"
            )
        case _:
            raise MalformedPayload(f"Alpaca answers {payload.status} without a reason that can be read", payload)
    text = message[:200]
    # With 403 (QuantConnect/Lean.Brokerages.Alpaca#27) or 422, for prices of the last 15 minutes on a free plan.
    if "subscription" in message.lower():
        raise NotEntitled(f"Alpaca: {text}; choose another QUANTX_ALPACA_FEED (iex is free) or another plan")
    if payload.status == 403:
        raise NotEntitled(f"Alpaca: {text}; check QUANTX_ALPACA_API_KEY and QUANTX_ALPACA_API_SECRET")
    if match := _INVALID.search(message):
        named = {name.strip().upper() for name in match[1].split(",")} & set(payload.symbol.split(","))
        if named:
            raise UnknownSymbol(f"Alpaca refuses {', '.join(sorted(named))} as no symbol", named)
    raise MalformedPayload(f"Alpaca answers {payload.status}: {text}", payload)


def _page_or_error(payload: Payload) -> BarsPage | ActionsPage | MalformedPayload:
    try:
        return _read_page(payload)
    except MalformedPayload as error:
        return error


def _frames_or_error(payload: Payload, page: BarsPage | ActionsPage | MalformedPayload) -> VendorFrames | ProviderError:
    """Return the frames of one page; or why it can't be read."""
    try:
        if isinstance(page, ActionsPage):
            return replace(read_actions(payload, page), drift=changes_of(page))
        return one_page(read_bars([payload], [page]))
    except MalformedPayload as error:
        return error


def _read_page(payload: Payload) -> BarsPage | ActionsPage:
    """Return the page in a payload; MalformedPayload where there is none."""
    try:
        return read_page(payload.body)
    except FORM_ERRORS as error:
        raise MalformedPayload(
            f"Alpaca's reply for {payload.symbol[:60]} (HTTP {payload.status}, {len(payload.body)} bytes) is no page of"
            f" bars or of corporate actions: {form_problem(error)}",
            payload,
        ) from error
