"""Reading a document from an address that nobody vouches for: bounded in bytes, in time, and in where it may lead."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit, urlunsplit

import httpx

from quantx.errors import ConfigError, RefusedList
from quantx.settings import Settings, without_secrets
from quantx.universes.protocol import Document

LARGEST = 20_000_000  # bytes; the longest real list has a twentieth of it
_REDIRECTS = 5


@dataclass(frozen=True)
class Web:
    """How documents are asked for."""

    contact: str | None = None
    base_url: str | None = None  # takes the place of every address's host
    seconds: float = 60.0  # for all of it, from the name's look-up to the last byte

    @classmethod
    def of(cls, settings: Settings) -> Web:
        """Return what the settings say."""
        return cls(settings.contact, settings.universe_base_url, settings.universe_timeout)

    def fetch(self, url: str) -> Document:
        """Return what an address gives; RefusedList where it is not a whole document of a sensible size in time."""
        address = self._address(url)
        shown = without_secrets(address)
        try:
            return asyncio.run(self._within_time(address, shown))
        except TimeoutError:
            raise RefusedList(f"{shown} has not given its document within {self.seconds:g} s") from None
        except httpx.TooManyRedirects:
            raise RefusedList(f"{shown} leads to more than {_REDIRECTS} other addresses in a row") from None
        except (httpx.HTTPError, httpx.InvalidURL, zlib.error) as error:
            raise RefusedList(f"{shown} can't be read: {type(error).__name__}: {error}") from error

    def _address(self, url: str) -> str:
        given = urlsplit(url)
        if given.scheme not in ("http", "https") or not given.hostname:
            raise ConfigError(f"a list's url {without_secrets(url)!r} must start with https:// or http://")
        if self.base_url is None:
            return url
        base = urlsplit(self.base_url)
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + given.path, given.query, ""))

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
                raise RefusedList(f"{shown} leads to the unencrypted {without_secrets(str(reply.url))}")
            if reply.status_code != httpx.codes.OK:
                raise RefusedList(f"{shown} answers HTTP {reply.status_code}")
            body = await _body(reply, shown)
            return Document(shown, body, reply.headers.get("content-type", ""))


async def _body(reply: httpx.Response, shown: str) -> bytes:
    """Return the body, unpacked by ourselves: what is packed small may be endless."""
    encoding = reply.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RefusedList(f"{shown} is packed as {encoding}, which was not asked for")
    unpack = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    async for part in reply.aiter_raw(65_536):
        body += unpack.decompress(part, LARGEST + 1 - len(body)) if unpack else part
        if len(body) > LARGEST:
            raise RefusedList(f"{shown} has more than {LARGEST // 1_000_000} MB; that is no list of symbols")
    if unpack is not None and not unpack.eof:
        raise RefusedList(f"{shown} ends in the middle")
    return bytes(body)
