"""Read a document from an untrusted address, with limits of size, time and redirects."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit, urlunsplit

import httpx

from quantx.core.foreign_errors import network_fact
from quantx.errors import ConfigError, RefusedList
from quantx.settings import Settings, without_secrets
from quantx.universes.files import LARGEST
from quantx.universes.protocol import Document

_REDIRECTS = 5


@dataclass(frozen=True)
class Web:
    """The settings of requests for documents."""

    contact: str | None = None
    base_url: str | None = None  # replaces the host of every address
    seconds: float = 60.0  # in total, from the DNS query to the last byte

    @classmethod
    def of(cls, settings: Settings) -> Web:
        """Return the values of the settings."""
        return cls(settings.contact, settings.universe_base_url, settings.universe_timeout)

    def fetch(self, url: str) -> Document:
        """Return the document of an address; raise RefusedList if it is incomplete, too large or too slow."""
        address = self._address(url)
        shown = without_secrets(address)
        try:
            return asyncio.run(self._within_time(address, shown))
        except TimeoutError:
            raise RefusedList(f"{shown} did not send its document within {self.seconds:g} s") from None
        except httpx.TooManyRedirects:
            raise RefusedList(f"{shown} has more than {_REDIRECTS} redirects") from None
        except zlib.error:
            raise RefusedList(f"{shown} can't be unpacked: its gzip is damaged") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise RefusedList(f"{shown} can't be read: {network_fact(error)}") from error

    def _address(self, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"a list's url {without_secrets(url)!r} must start with https:// or http://")
        if self.base_url is None:
            return url
        base = urlsplit(self.base_url)
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))

    async def _within_time(self, address: str, shown: str) -> Document:
        async with asyncio.timeout(self.seconds):
            return await self._read(address, shown)

    async def _read(self, address: str, shown: str) -> Document:
        agent = f"quantx-data-builder/{version('quantx-data-builder')}" + (f" ({self.contact})" if self.contact else "")
        headers = {"User-Agent": agent, "Accept-Encoding": "gzip"}
        async with (
            httpx.AsyncClient(
                follow_redirects=True, max_redirects=_REDIRECTS, timeout=self.seconds, headers=headers
            ) as client,
            client.stream("GET", address) as reply,
        ):
            if address.startswith("https:") and reply.url.scheme != "https":
                raise RefusedList(f"{shown} redirects to the unencrypted {without_secrets(str(reply.url))}")
            if reply.status_code != httpx.codes.OK:
                raise RefusedList(f"{shown} answers HTTP {reply.status_code}")
            body = await _body(reply, shown)
            return Document(shown, body, reply.headers.get("content-type", ""))


async def _body(reply: httpx.Response, shown: str) -> bytes:
    """Return the body; decompress it with a limit, because a small compressed body may be endless."""
    encoding = reply.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RefusedList(f"{shown} has the encoding {encoding}, which was not requested")
    unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for part in reply.aiter_raw(65_536):
        body += unpack.decompress(part, LARGEST + 1 - len(body)) if unpack else part
        if len(body) > LARGEST:
            raise RefusedList(f"{shown} has more than {LARGEST // 1_000_000} MB; a list of symbols is smaller")
    if unpack is not None and not unpack.eof:
        raise RefusedList(f"{shown} is truncated")
    return bytes(body)
