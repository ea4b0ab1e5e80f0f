"""Alpaca in the sandbox: `/v2/stocks/bars` (1Day and 1Min, as traded) and `/v1/corporate-actions`.

Pages are sorted by symbol and time, `limit` counts the rows of all symbols, and a token names the last row, as
recorded. Texts of refusals are those that the vendor's users quote. An unknown symbol has no bars; only an invalid one
is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar

from quantx.sandbox.alpaca_pages import (
    DAY,
    MINUTE,
    BarRows,
    actions_of,
    actions_page,
    bars_page,
    daily_rows,
    message,
    minute_rows,
    read_token,
)
from quantx.sandbox.book import Book
from quantx.sandbox.messages import WireReply, WireRequest

_BARS, _ACTIONS = "/v2/stocks/bars", "/v1/corporate-actions"
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,6}(\.[A-Z]{1,3})?")
_TIMEFRAMES = {"1Day": DAY, "1D": DAY, "1Min": MINUTE, "1T": MINUTE}
_FEEDS = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
_MOST_BARS, _MOST_ACTIONS = 10_000, 1_000
_DELAY = timedelta(minutes=15)  # free plans get no newer prices of the consolidated tape
_HTML = "text/html"
_PAGE = (
    "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n<hr></body>\r\n</html>\r\n"
)


class _BadRequest(Exception):
    """A wrong request; `reply` has the reason."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.reply = message(status, text)


class AlpacaWire:
    """Alpaca's market data; a key (ID:SECRET) is required in the two headers where one is set."""

    source: ClassVar[str] = "alpaca"

    def __init__(self, book: Book, key: str | None) -> None:
        self._book = book
        self._key = key

    def handles(self, path: str) -> bool:
        """Return whether it is one of the two paths."""
        return path in (_BARS, _ACTIONS)

    def symbols(self, request: WireRequest) -> list[str]:
        """Return the symbols of the query."""
        return [symbol for symbol in request.params.get("symbols", "").upper().split(",") if symbol]

    def answer(self, request: WireRequest) -> WireReply:
        """Return a page, or the reason for a refusal."""
        try:
            self._admit(request)
            return self._bars(request) if request.path == _BARS else self._actions(request)
        except _BadRequest as error:
            return error.reply

    def empty(self, request: WireRequest) -> WireReply:
        """Return a page without rows."""
        return bars_page([], DAY, more=False) if request.path == _BARS else actions_page([], more=False)

    def astray(self, request: WireRequest) -> WireReply:
        """Return the page of an American symbol that was not requested."""
        others = sorted(set(self._americans()) - set(self.symbols(request)))
        return self.answer(replace(request, params={**request.params, "symbols": ",".join(others[:1])}))

    def refusal(self, kind: str, request: WireRequest) -> WireReply:
        """Return Alpaca's reply for the fault, or the page of the proxy in front of it."""
        if kind == "429":
            reset = str(int(self._book.clock.now().timestamp()) + 1)
            headers = (("x-ratelimit-limit", "200"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset))
            return message(429, "too many requests.", headers)
        if kind in ("502", "html"):
            status, title = (502, "502 Bad Gateway") if kind == "502" else (200, "Alpaca")
            return WireReply(status, _PAGE.format(title).encode(), _HTML)
        if kind == "delisted":
            return message(400, f"invalid symbol: {next(iter(self.symbols(request)), '')}")
        return message(int(kind), "unauthorized." if kind == "401" else "internal server error occurred")

    def _admit(self, request: WireRequest) -> None:
        shown = tuple(request.headers.get(name, "") for name in ("apca-api-key-id", "apca-api-secret-key"))
        if self._key is not None and not any(shown):
            raise _BadRequest(401, "unauthorized.")
        if self._key is not None and ":".join(shown) != self._key:
            raise _BadRequest(403, "forbidden.")
        for symbol in request.params.get("symbols", "").split(","):
            if symbol and not _SYMBOL.fullmatch(symbol):
                raise _BadRequest(400, f"invalid symbol: {symbol[:40]}")

    def _bars(self, request: WireRequest) -> WireReply:
        params, now = request.params, self._book.clock.now()
        timeframe, feed = _TIMEFRAMES.get(params.get("timeframe", "")), params.get("feed", "sip")
        if timeframe is None:
            raise _BadRequest(400, f"invalid timeframe: {params.get('timeframe', '')[:20]}")
        if feed not in _FEEDS:
            raise _BadRequest(400, f"invalid feed: {feed[:20]}")
        if params.get("adjustment", "raw") != "raw":
            raise _BadRequest(422, "the sandbox has no adjustment but raw")
        start = _instant(params, "start", datetime.combine(now.date(), time.min, UTC))
        end = _instant(params, "end", now - _DELAY if feed == "sip" else now)
        if end < start:
            raise _BadRequest(400, "end should not be before start")
        if feed == "sip" and end > now - _DELAY:
            raise _BadRequest(403, "subscription does not permit querying recent SIP data")
        names = sorted(set(self.symbols(request)))
        if not names:
            raise _BadRequest(400, "symbols is required")
        after = _token(params)
        if after is not None and after[1] != timeframe:
            raise _BadRequest(400, "invalid page_token")
        rows = self._rows(names, timeframe, (int(start.timestamp()), int(end.timestamp())), after)
        return _full_page(rows, timeframe, _limit(params, _MOST_BARS))

    def _rows(
        self, names: list[str], timeframe: str, span: tuple[int, int], after: tuple[str, str, str] | None
    ) -> Iterator[BarRows]:
        """Return the rows of the symbols in order, from the row after a token's."""
        read = daily_rows if timeframe == DAY else minute_rows
        reached = int(_instant({"page_token": after[2][:19]}, "page_token", None).timestamp()) if after else 0
        for name in names:
            if after is not None and name < after[0]:
                continue
            view = self._book.view(name)
            if view is not None and view.history.venue.market == "us":
                since = max(span[0], reached + 1) if after is not None and name == after[0] else span[0]
                yield from read(self._book, view, since, span[1])

    def _actions(self, request: WireRequest) -> WireReply:
        params, today = request.params, self._book.clock.now().date()
        start, end = (_day(params, name, today) for name in ("start", "end"))
        types = {kind for kind in params.get("types", "").split(",") if kind}
        views = [self._book.view(name) for name in self.symbols(request) or self._americans()]
        actions = (action for view in views if view is not None for action in actions_of(view))
        rows = [a for a in actions if start <= a.processed <= end and (not types or a.kind.removesuffix("s") in types)]
        rows.sort(key=lambda row: row.place)
        after, limit = _token(params), _limit(params, _MOST_ACTIONS)
        if after is not None:
            rows = [row for row in rows if row.place > after[1:]]
        return actions_page(rows[:limit], more=len(rows) > limit)

    def _americans(self) -> list[str]:
        return [symbol for symbol, past in self._book.histories.items() if past.venue.market == "us"]


def _full_page(rows: Iterator[BarRows], timeframe: str, limit: int) -> WireReply:
    """Return a page of up to `limit` rows, with a token only where more rows follow."""
    parts: list[BarRows] = []
    room = limit
    for part in rows:
        if len(part) > room:
            return bars_page([*parts, part.first(room)] if room else parts, timeframe, more=True)
        parts.append(part)
        room -= len(part)
    return bars_page(parts, timeframe, more=False)


def _limit(params: Mapping[str, str], most: int) -> int:
    text = params.get("limit", "1000")
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise _BadRequest(400, f"limit must be between 1 and {most}")
    return int(text)


def _token(params: Mapping[str, str]) -> tuple[str, str, str] | None:
    text = params.get("page_token", "")
    token = read_token(text)
    if text and token is None:
        raise _BadRequest(400, "invalid page_token")
    return token if text else None


def _instant(params: Mapping[str, str], name: str, default: datetime | None) -> datetime:
    text = params.get(name, "")
    if not text and default is not None:
        return default
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _BadRequest(
            400, f"Invalid format for parameter {name}: {text[:40]} is neither RFC 3339 nor a day"
        ) from None
    return instant.replace(tzinfo=instant.tzinfo or UTC)


def _day(params: Mapping[str, str], name: str, default: date) -> date:
    text = params.get(name, "")
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise _BadRequest(400, f"Invalid format for parameter {name}: {text[:40]} is no day") from None


WIRE = AlpacaWire
