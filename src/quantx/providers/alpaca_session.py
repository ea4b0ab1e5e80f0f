"""The connection to Alpaca: alpaca-py's clients, with our own session under them.

alpaca-py (0.44) brings the host, the paths, the names of the parameters and the headers with the keys. It has no
time-out (alpaca-py#415), repeats a 429 or a 504 three times after three seconds each, holds all pages of a request at
once, and its errors can't be read where the body is a page of HTML. All of it goes through its session. Ours times out,
limits the size, returns the reply exactly as sent and turns refusals into errors. Retries are off, and pages are
fetched singly.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3
from pydantic import SecretStr

from quantx.core.foreign_errors import network_fact
from quantx.errors import MalformedPayload, NotEntitled, RateLimited, TransientProviderError
from quantx.providers.http import LARGEST_BODY, TIMEOUT, HttpReply, http_date, retry_after

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its unused streams import an old websockets
    from alpaca.common.enums import BaseURL
    from alpaca.common.exceptions import APIError
    from alpaca.common.rest import RESTClient
    from alpaca.data.enums import Adjustment, DataFeed
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
    from alpaca.data.timeframe import TimeFrame

MOST_BARS = 10_000  # of all symbols together, per page; Alpaca's largest
MOST_ACTIONS = 1_000
_TIMEFRAMES = {"1d": TimeFrame.Day, "1m": TimeFrame.Minute}
_READS = 4  # the time-out of a whole reply, in time-outs of one read
_LONGEST_RESET = 3600.0  # seconds; a quota of requests per minute is never exhausted for longer
_CONNECTIONS = 64
_CHUNK = 65_536


class AlpacaSession:
    """Fetches Alpaca's market data, one HTTP request per call; safe for many threads."""

    def __init__(
        self, key: SecretStr, secret: SecretStr, base_url: str | None = None, *, timeout: tuple[float, float] = TIMEOUT
    ) -> None:
        base = (base_url or BaseURL.DATA.value).rstrip("/")
        parts = urlsplit(base)
        self._host = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._session = _RequestsSession(timeout)
        pair = _header_text(key, "QUANTX_ALPACA_API_KEY"), _header_text(secret, "QUANTX_ALPACA_API_SECRET")
        self._bars = StockHistoricalDataClient(*pair, url_override=base, raw_data=True)
        self._actions = CorporateActionsClient(*pair, url_override=base, raw_data=True)
        for client in (self._bars, self._actions):
            client._session = self._session  # noqa: SLF001 — alpaca-py has no other way to set it
            client._retry = 0  # noqa: SLF001 — an argument of zero means the default, three

    def prepare(self) -> None:
        """Do nothing: the import of this module loads everything, and the first request connects."""

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def bars(
        self, symbols: Sequence[str], *, timeframe: str, span: tuple[datetime, datetime], feed: str, token: str | None
    ) -> HttpReply:
        """Return a page of bars as traded, from and to instants of `span` (both inclusive)."""
        query = StockBarsRequest(
            symbol_or_symbols=list(symbols),
            timeframe=_TIMEFRAMES[timeframe],
            start=span[0],
            end=span[1],
            limit=MOST_BARS,
            adjustment=Adjustment.RAW,
            feed=DataFeed(feed),
        )
        return self._get(self._bars, "v2", "/stocks/bars", {**query.to_request_fields(), "page_token": token})

    def actions(self, symbols: Sequence[str], span: tuple[date, date], token: str | None) -> HttpReply:
        """Return a page of corporate actions that were or will be processed on the days of `span` (both inclusive)."""
        query = CorporateActionsRequest(symbols=list(symbols), start=span[0], end=span[1], limit=MOST_ACTIONS)
        fields = {**query.to_request_fields(), "symbols": ",".join(symbols), "page_token": token}
        return self._get(self._actions, "v1", "/corporate-actions", fields)

    def _get(self, client: RESTClient, version: str, path: str, fields: Mapping[str, Any]) -> HttpReply:
        """Return the reply of any status that does not refuse the account as a whole."""
        texts = {k: str(v.value if isinstance(v, Enum) else v) for k, v in fields.items() if v is not None}
        query = urlencode(texts, safe=",:")  # 500 symbols with %2C between would be a third longer
        try:
            client.get(path, query)
        except APIError:
            pass  # the reply itself has more, and can be read in any form
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise TransientProviderError(
                f"Alpaca can't be reached at {self._host}: {network_fact(error)}"
            ) from None  # the cause contains the request and its headers with the keys
        kept = self._session.take()
        return HttpReply(
            url=f"{self._host}/{version}{path}?{query}",
            status=kept.status_code,
            content_type=kept.headers.get("Content-Type", ""),
            body=self._session.body,
            vendor_time=http_date(kept.headers.get("Date")),
        )


class _RequestsSession(requests.Session):
    """A session under alpaca-py: times out, limits the size, keeps the reply, and turns refusals into errors."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__()
        self._timeout = timeout
        self._longest = _READS * timeout[1]
        self._kept = threading.local()
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=_CONNECTIONS)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send one request and keep its reply for `take`; alpaca-py gets it without its body."""
        options |= {"timeout": self._timeout, "stream": True, "allow_redirects": False}
        started = time.monotonic()
        body = bytearray()
        with super().request(method, url, *args, **options) as response:
            # Reads received bytes, not a full buffer, which a slow trickle would never fill.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise MalformedPayload(f"Alpaca's reply is larger than {LARGEST_BODY >> 20} MB")
                if time.monotonic() - started > self._longest:
                    raise TransientProviderError(f"Alpaca's reply did not end within {self._longest:g} s")
        response._content = b""  # noqa: SLF001 — or alpaca-py would parse it
        _refuse(response)
        self._kept.reply = response
        self._kept.body = bytes(body)
        return response

    def take(self) -> requests.Response:
        """Return the reply to this thread's last request."""
        kept: requests.Response = self._kept.reply
        return kept

    @property
    def body(self) -> bytes:
        """The body of that reply, as sent."""
        kept: bytes = self._kept.body
        return kept


def _refuse(response: requests.Response) -> None:
    """Raise the error of a status that is not about the requested symbols."""
    status, headers = response.status_code, response.headers
    if status == 429:
        wait = _wait(headers)
        raise RateLimited(f"Alpaca answers 429 Too Many Requests{f' for {wait:.0f} s' if wait else ''}", wait)
    if status >= 500:
        raise TransientProviderError(f"Alpaca answers {status}; the outage may pass")
    if status == 401:
        raise NotEntitled(
            "Alpaca answers 401 to the key; check QUANTX_ALPACA_API_KEY and QUANTX_ALPACA_API_SECRET,"
            " which belong together"
        )
    if 300 <= status < 400:
        where = urlsplit(headers.get("Location") or "").netloc
        raise TransientProviderError(f"Alpaca answers {status} and a redirect to {where[:80] or 'nowhere'}")


def _wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the quota is renewed, None where no header has them.

    X-RateLimit-Reset has the end of the current minute (Unix time), by Alpaca's clock.
    """
    now = http_date(headers.get("Date")) or datetime.now(UTC)
    wait = retry_after(headers.get("Retry-After"), now)
    if wait is None:
        try:
            wait = float(headers.get("X-RateLimit-Reset", "")) - now.timestamp()
        except ValueError:
            return None
    return wait if 0 < wait <= _LONGEST_RESET else None


def _header_text(secret: SecretStr, setting: str) -> str:
    """Return a key that is valid in a header; the HTTP library's error would quote an invalid one."""
    text = secret.get_secret_value().strip()
    if not text or not text.isascii() or not text.isprintable():
        raise NotEntitled(f"{setting} is no key of Alpaca's: it is empty or contains an invalid character")
    return text
