"""An HTTP session with a vendor: one request per call, time-outs, a size limit, and no key in what is stored."""

from __future__ import annotations

import logging
import re
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from pydantic import SecretStr

from quantx.core.foreign_errors import network_fact
from quantx.core.model import Payload
from quantx.errors import MalformedPayload, RateLimited, TransientProviderError

if TYPE_CHECKING:
    import httpx

TIMEOUT = (10.0, 30.0)  # seconds to connect, to read
LONGEST_TRANSFER = 120.0  # seconds for a whole reply; a slow trickle never reaches the read time-out
LARGEST_BODY = 16 * 2**20  # bytes, unpacked; sixty years of daily bars are 2 MB
_LONGEST_WAIT = 1e9  # seconds; the retry policy sets the limit that matters
_SHORTEST_KEY = 6  # characters; a shorter text may be in a reply by chance
_STARS = b"**********"


@dataclass(frozen=True, kw_only=True)
class HttpReply:
    """An HTTP reply as received; its URL contains no keys."""

    url: str
    status: int
    content_type: str
    body: bytes
    vendor_time: datetime | None
    file_name: str | None = None  # of Content-Disposition

    def as_payload(self, symbol: str, fetched_at: datetime) -> Payload:
        """Return the payload to store for a request about `symbol`."""
        return Payload(
            symbol,
            self.url,
            self.status,
            fetched_at,
            content_type=self.content_type,
            body=self.body,
            vendor_time=self.vendor_time,
        )


class HttpSession:
    """Sends requests to one vendor; safe for many threads. The first request connects.

    Keys are only in the query or the headers of each request: not in a reply's URL, not in an error. A reply that
    quotes a key of `secret_params` ("we have detected your API key as …", Alpha Vantage, 2026) gets stars in its place.
    """

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        secret_params: Mapping[str, SecretStr] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        largest_body: int = LARGEST_BODY,
        longest_transfer: float = LONGEST_TRANSFER,
    ) -> None:
        self._vendor = vendor
        self._base = base_url.rstrip("/")
        self._secrets = {name: value.get_secret_value() for name, value in (secret_params or {}).items()}
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._largest = largest_body
        self._longest = longest_transfer
        self._client: httpx.Client | None = None

    def prepare(self) -> None:
        """Load the client."""
        self._opened()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def get(self, path: str, params: Mapping[str, str]) -> HttpReply:
        """Return the vendor's reply of any status below 500 except 429; a redirect is not followed.

        Raises RateLimited, TransientProviderError, or MalformedPayload where the reply exceeds the size limit.
        """
        import httpx

        query, body, failure = {**params, **self._secrets}, bytearray(), ""
        until = time.monotonic() + self._longest
        try:
            with self._opened().stream("GET", self._base + path, params=query) as response:
                self._refuse(response)
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self._largest:
                        raise MalformedPayload(f"{self._vendor}'s reply is larger than {self._largest >> 20} MB")
                    if time.monotonic() > until:
                        raise TransientProviderError(
                            f"{self._vendor}'s reply was not whole after {self._longest:.0f} s"
                        )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = network_fact(error)
        if failure:  # raised here and not above: the caught error contains the URL with its key
            raise TransientProviderError(f"{self._vendor} can't be reached at {self.host}: {failure}")
        return HttpReply(
            url=f"{self.host}{path}?{urlencode(params)}" if params else f"{self.host}{path}",
            status=response.status_code,
            content_type=self._without_keys(response.headers.get("Content-Type", "").encode()).decode(),
            body=self._without_keys(bytes(body)),
            vendor_time=http_date(response.headers.get("Date")),
            file_name=file_name(self._without_keys(response.headers.get("Content-Disposition", "").encode()).decode()),
        )

    @property
    def host(self) -> str:
        """The address without a user name and password."""
        return re.sub(r"//.*@", "//", self._base)

    def _opened(self) -> httpx.Client:
        import httpx

        # At INFO httpx logs each request's URL with the key (Azure Functions collect that level). At DEBUG its
        # transport logs the headers.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        if self._client is None:  # a second one, made at the same moment, does no harm
            connect, read = self._timeout
            self._client = httpx.Client(headers=self._headers, timeout=httpx.Timeout(read, connect=connect))
            weakref.finalize(self, self._client.close)  # its connections end with the session
        return self._client

    def _without_keys(self, text: bytes) -> bytes:
        for key in self._secrets.values():
            forms = (key, quote(key, safe=""), key.replace("/", r"\/"))  # as it is, in a URL, in some JSON
            for form in forms if len(key) >= _SHORTEST_KEY else ():
                text = text.replace(form.encode(), _STARS)
        return text

    def _refuse(self, response: httpx.Response) -> None:
        if response.status_code == 429:
            now = http_date(response.headers.get("Date")) or datetime.now(UTC)
            wait = retry_after(response.headers.get("Retry-After"), now) or None
            duration = f" for {wait:.0f} s" if wait else ""
            raise RateLimited(f"{self._vendor} answers 429 Too Many Requests{duration}", wait)
        if response.status_code >= 500:
            raise TransientProviderError(f"{self._vendor} answers {response.status_code}; the outage may pass")


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds in a Retry-After header (seconds or an HTTP date), None where it has neither.

    A date counts from `now`: pass the vendor's own clock where possible, as ours may be wrong.
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*[0-9]+\s*", header):
        return min(float(header), _LONGEST_WAIT)
    until = http_date(header)
    return None if until is None else max(0.0, (until - now).total_seconds())


def file_name(header: str | None) -> str | None:
    """Return the file's name in a Content-Disposition header, None where it names none.

    >>> file_name("attachment; filename=aapl_us_d.csv")
    'aapl_us_d.csv'
    """
    if not header:
        return None
    message = Message()
    message["Content-Disposition"] = header
    return message.get_filename()


def http_date(header: str | None) -> datetime | None:
    """Return the instant of an HTTP date, None where it is none."""
    if not header:
        return None
    try:
        moment = parsedate_to_datetime(header)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
