"""How requests reach Yahoo: yfinance's session layer, with our own session under it.

yfinance's `YfData` brings the cookies, the crumb and the browser's TLS fingerprint. It has no setting for the host, no
time-out on every path, caches error replies, and repeats each refused request with another cookie (one failing symbol
cost seven requests, measured with 1.7.0). Its seam is the session: a subclass of curl_cffi's, given to it, sees every
request first. Ours sends them elsewhere when told to, sets time-outs, keeps the reply, and raises our own errors before
yfinance reacts to a refusal.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import yfinance
from curl_cffi import requests as curl
from yfinance.data import YfData

from quantx.errors import RateLimited, TransientProviderError

_CHART = "https://query2.finance.yahoo.com/v8/finance/chart/"
_TIMEOUT = (10.0, 30.0)  # seconds to connect, to read
_HANDSHAKE_SECONDS = 900.0  # a cookie or crumb reply, good or bad, is not asked for again within this time
_INVALID_COOKIE = 401


@dataclass(frozen=True)
class Reply:
    """An HTTP reply as it arrived."""

    url: str
    status: int
    content_type: str
    body: bytes
    vendor_time: datetime | None


class _Session(curl.Session):  # type: ignore[misc]  # curl_cffi's class is generic over its response
    """A session under yfinance: redirects, times out, and answers repeated handshakes from memory."""

    def __init__(self, base_url: str | None) -> None:
        super().__init__(impersonate="chrome")
        self._base = base_url.rstrip("/") if base_url else None
        self._handshakes: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def request(self, method: str, url: str, **options: Any) -> Any:  # type: ignore[override]
        """Send one request; a refused chart request becomes an error at once, so that yfinance does not repeat it."""
        options["timeout"] = _TIMEOUT
        if "/v8/finance/chart/" in url:
            return self._refuse_politely(self._send(method, url, options))
        with self._lock:
            asked_at, answer = self._handshakes.get(url, (float("-inf"), None))
            if time.monotonic() - asked_at < _HANDSHAKE_SECONDS:
                return answer
            answer = self._send(method, url, options)
            self._handshakes[url] = (time.monotonic(), answer)
            return answer

    def _send(self, method: str, url: str, options: dict[str, Any]) -> Any:
        if self._base:
            parts = urlsplit(url)
            url = self._base + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().request(method, url, **options)  # type: ignore[arg-type]

    def _refuse_politely(self, response: Any) -> Any:
        status = response.status_code
        if status == _INVALID_COOKIE:
            with self._lock:
                self._handshakes.clear()  # yfinance now fetches another cookie and repeats the request once
        elif status == 429:
            wait = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
            raise RateLimited(f"Yahoo answers 429 Too Many Requests{f' for {wait:.0f} s' if wait else ''}", wait)
        elif status >= 500:
            raise TransientProviderError(f"Yahoo answers {status}; the outage may pass")
        elif status >= 400:
            raise _Refused(_reply(response))
        return response


class _Refused(Exception):
    """Carries a 4xx reply past yfinance, which would repeat the request."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.status}")
        self.reply = reply


class _Yahoo(YfData):  # type: ignore[misc]  # yfinance has no types
    """yfinance's session layer without its cookie file: SQLite in the user's cache folder, which workers would share."""

    def _load_cookie_curlCffi(self) -> bool:  # noqa: N802 — yfinance's name
        return False

    def _save_cookie_curlCffi(self) -> bool:  # noqa: N802 — yfinance's name
        return False


class YahooSession:
    """Asks Yahoo's chart endpoint, one HTTP request per call; safe for many threads."""

    def __init__(self, base_url: str | None = None) -> None:
        yfinance.config.network.retries = 0
        self._session = _Session(base_url)
        # YfData is one per process; a second provider in the process gets a session of its own all the same.
        self._yahoo = _Yahoo.__new__(_Yahoo)
        _Yahoo.__init__(self._yahoo, session=self._session)

    def chart(self, wire_symbol: str, params: dict[str, Any]) -> Reply:
        """Return Yahoo's reply, good or refused (4xx); raise RateLimited or TransientProviderError otherwise."""
        try:
            # Not `cache_get`: it keeps error replies for the life of the process.
            response = self._yahoo.get(_CHART + wire_symbol, params=params, timeout=_TIMEOUT[1])
        except _Refused as refused:
            return refused.reply
        except curl.exceptions.RequestException as error:
            raise TransientProviderError(f"Yahoo can't be reached at {self._host()}: {error}") from error
        if response.status_code == _INVALID_COOKIE:
            raise TransientProviderError("Yahoo refuses two cookies in a row with 401")
        reply = _reply(response)
        # The crumb is a kind of secret and says nothing about the data.
        shown = {k: v for k, v in params.items() if k != "crumb"}
        return Reply(f"{_CHART}{wire_symbol}?{urlencode(shown)}", reply.status, reply.content_type, reply.body, reply.vendor_time)

    def _host(self) -> str:
        return self._session._base or urlsplit(_CHART).netloc  # noqa: SLF001 — our own class


def _reply(response: Any) -> Reply:
    return Reply(
        url=response.url.split("&crumb=")[0],
        status=response.status_code,
        content_type=response.headers.get("Content-Type", ""),
        body=response.content,
        vendor_time=_http_date(response.headers.get("Date")),
    )


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for (seconds or an HTTP date), None where it says nothing."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    until = _http_date(header)
    return None if until is None else max(0.0, (until - now).total_seconds())


def _http_date(header: str | None) -> datetime | None:
    if not header:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
