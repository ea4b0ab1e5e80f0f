"""The connection to Yahoo: yfinance's session layer, with our own session under it.

yfinance's `YfData` brings the cookies, the crumb and the browser's TLS fingerprint. It has no setting for the host, no
time-out on every path, caches error replies, repeats each refused request with another cookie (one failing symbol cost
seven requests, measured with 1.7.0), and accepts any text as a crumb. Every request goes through its session, a
subclass of curl_cffi's that the caller can supply. Ours sends requests to another host where one is set, sets
time-outs, reads the reply up to a size limit, and raises our own errors before yfinance reacts to a refusal.
"""

from __future__ import annotations

import math
import re
import threading
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import yfinance
from curl_cffi import requests as curl
from yfinance.data import YfData
from yfinance.exceptions import YFException

from quantx.core.foreign_errors import network_fact
from quantx.errors import MalformedPayload, ProviderError, RateLimited, TransientProviderError
from quantx.providers.http import LARGEST_BODY, TIMEOUT, HttpReply, http_date, retry_after

_HOST = "https://query2.finance.yahoo.com"
_CHART_PATH = "/v8/finance/chart/"
_HANDSHAKE_TIMEOUT = (5.0, 10.0)  # all threads wait for it, and a chart needs none
_HANDSHAKE_PAUSE = 900.0  # seconds before a handshake that failed is tried again
_RENEWAL_PAUSE = 60.0  # seconds before a refused handshake is discarded again
_DETOURS = 5
_CRUMB = re.compile(r"[\w./+=~-]{4,64}", re.ASCII)
_BLOCKED = 999  # Yahoo's own status for "too many requests"


class _CurlSession(curl.Session[Any]):
    """A session under yfinance: replaces the host, times out, limits the size, and turns refusals into errors."""

    def __init__(self, base_url: str | None, timeout: tuple[float, float]) -> None:
        super().__init__(impersonate="chrome")
        self._base = base_url.rstrip("/") if base_url else None
        self._timeouts = timeout, tuple(min(*pair) for pair in zip(timeout, _HANDSHAKE_TIMEOUT, strict=True))

    def request(self, method: str, url: str, **options: Any) -> Any:  # type: ignore[override]
        """Send one request; a refused chart request raises at once, so that yfinance does not repeat it."""
        is_chart = _CHART_PATH in url
        if self._base:
            parts = urlsplit(url)
            url = self._base + parts.path + (f"?{parts.query}" if parts.query else "")
        # A redirect of a chart leads away from Yahoo; a cookie may need some.
        options |= {"allow_redirects": False} if is_chart else {"max_redirects": _DETOURS}
        options["timeout"] = self._timeouts[0 if is_chart else 1]
        body = bytearray()

        def keep(chunk: bytes) -> int:
            if len(body) + len(chunk) > LARGEST_BODY:
                raise MalformedPayload(f"Yahoo's reply is larger than {LARGEST_BODY >> 20} MB")
            body.extend(chunk)
            return len(chunk)

        response: Any = super().request(method, url, content_callback=keep, **options)  # type: ignore[arg-type]
        response.content = bytes(body)
        if is_chart:
            _refuse(response)
        return response


def _refuse(response: Any) -> None:
    """Raise the error that a reply to a chart request means, unless it can be read."""
    status, headers = response.status_code, response.headers
    if status in (429, _BLOCKED):
        # By the vendor's clock where it sends one: ours may be wrong.
        now = http_date(headers.get("Date")) or datetime.now(UTC)
        wait = retry_after(headers.get("Retry-After"), now) or None
        raise RateLimited(f"Yahoo answers {status} Too Many Requests{f' for {wait:.0f} s' if wait else ''}", wait)
    if status >= 500:
        raise TransientProviderError(f"Yahoo answers {status}; the outage may pass")
    if status == 401 or 300 <= status < 400:
        where = urlsplit(headers.get("Location") or "").netloc
        raise _CookieRefused(f"{status}{f' and a redirect to {where[:80]}' if where else ''}")
    if status >= 400:
        raise _ChartRefused(response)


class _ChartRefused(Exception):
    """A 4xx reply, raised past yfinance, which would repeat the request."""

    def __init__(self, response: Any) -> None:
        super().__init__(f"refused with {response.status_code}")
        self.response = response


class _CookieRefused(Exception):
    """Yahoo wants another cookie, or a login."""


class _Yahoo(YfData):  # type: ignore[misc]  # yfinance has no types
    """yfinance's session layer with one handshake (cookie and crumb) for all requests, good or failed.

    Without its cookie file: SQLite in the user's cache folder, which workers would share.
    """

    _cookie: Any  # yfinance's: None, or something true

    def __init__(self, session: _CurlSession) -> None:
        self._lock = threading.Lock()
        self._good_crumb: str | None = None
        self._handshake_due = -math.inf
        self._renewal_due = -math.inf
        super().__init__(session=session)

    def _get_cookie_and_crumb(self, timeout: float = 30) -> tuple[str | None, str]:
        """Return the crumb and the cookie strategy; no crumb where Yahoo sends none, as a chart needs none."""
        with self._lock:
            if time.monotonic() >= self._handshake_due:
                self._cookie = self._crumb = None  # yfinance stores even an error's text as a crumb
                try:
                    crumb, _ = super()._get_cookie_and_crumb(timeout)
                except (OSError, YFException, ProviderError, LookupError, TypeError, ValueError, AttributeError):
                    crumb = None  # the last four: a consent page in a form that yfinance does not expect
                self._good_crumb = crumb if crumb and _CRUMB.fullmatch(crumb) else None
                self._handshake_due = math.inf if self._good_crumb else time.monotonic() + _HANDSHAKE_PAUSE
            return self._good_crumb, self._cookie_strategy

    def renew_handshake(self) -> None:
        """Discard cookie and crumb and switch yfinance to its other way to get them, at most once a minute."""
        with self._lock:
            if time.monotonic() >= self._renewal_due:
                self._renewal_due = time.monotonic() + _RENEWAL_PAUSE
                self._set_cookie_strategy("csrf" if self._cookie_strategy == "basic" else "basic")
                self._handshake_due = -math.inf

    def _load_cookie_curlCffi(self) -> bool:  # noqa: N802 — yfinance's name
        return False

    def _save_cookie_curlCffi(self) -> bool:  # noqa: N802 — yfinance's name
        self._cookie = True  # it is in the session's jar; yfinance would request it a second time otherwise
        return True


class YahooSession:
    """Fetches from Yahoo's chart endpoint, one HTTP request per call; safe for many threads."""

    def __init__(self, base_url: str | None = None, *, timeout: tuple[float, float] = TIMEOUT) -> None:
        yfinance.config.network.retries = 0
        session = _CurlSession(base_url, timeout)
        # YfData is one per process; a second provider in the process gets a session of its own all the same.
        self._yahoo = _Yahoo.__new__(_Yahoo)
        _Yahoo.__init__(self._yahoo, session)
        parts = urlsplit(base_url.rstrip("/") if base_url else _HOST)
        self._host = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def prepare(self) -> None:
        """Get the cookie and the crumb, unless that was tried within the pause."""
        self._yahoo._get_cookie_and_crumb()  # noqa: SLF001 — yfinance has no other name for it

    def chart(self, wire_symbol: str, params: dict[str, Any]) -> HttpReply:
        """Return Yahoo's reply, good or refused (4xx); raise RateLimited or TransientProviderError otherwise.

        Where Yahoo refuses the cookie, the request is repeated once with another one. curl itself repeats a request
        that it sent on an idle connection which the server has closed. A reply above the size limit is a
        MalformedPayload. The reply's URL does not contain the crumb.
        """
        try:
            response = self._get(wire_symbol, params)
        except _CookieRefused:
            self._yahoo.renew_handshake()
            try:
                response = self._get(wire_symbol, params)
            except _CookieRefused as again:
                raise TransientProviderError(f"Yahoo refuses two cookies in a row with {again}") from None
        return HttpReply(
            url=f"{self._host}{_CHART_PATH}{wire_symbol}?{urlencode(params)}",
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            body=response.content,
            vendor_time=http_date(response.headers.get("Date")),
        )

    def _get(self, wire_symbol: str, params: dict[str, Any]) -> Any:
        try:
            # Not `cache_get`: it keeps error replies for the life of the process.
            return self._yahoo.get(f"{_HOST}{_CHART_PATH}{wire_symbol}", params=params)
        except _ChartRefused as refused:
            return refused.response
        except curl.exceptions.RequestException as error:
            raise TransientProviderError(f"Yahoo can't be reached at {self._host}: {network_fact(error)}") from error
