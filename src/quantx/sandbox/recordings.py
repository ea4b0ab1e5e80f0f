"""Recorded replies of Yahoo's chart, served unchanged: envelopes of request and response, or bare bodies."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from quantx.core.symbols import canonical_symbol
from quantx.errors import InvalidSymbol
from quantx.sandbox.messages import JSON, WireReply

log = structlog.get_logger()

CHART_PATH = "/v8/finance/chart/"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Recording:
    """One reply and its request."""

    symbol: str  # as on the wire
    interval: str
    params: Mapping[str, str]  # empty for a bare body
    reply: WireReply

    @property
    def recorded_at(self) -> datetime:
        """The time of the reply, 1970 where the recording has none."""
        return parsedate_to_datetime(self.reply.date) if self.reply.date else _LONG_AGO


class Recordings:
    """All recordings, searched for the best reply to a request."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._by_series: dict[tuple[str, str], list[Recording]] = {}
        for recording in recordings:
            self._by_series.setdefault((recording.symbol, recording.interval), []).append(recording)

    def __len__(self) -> int:
        return sum(map(len, self._by_series.values()))

    @property
    def symbols(self) -> list[str]:
        """The canonical forms of the recorded symbols; currencies, futures and funds have none."""
        symbols = set()
        for symbol, _ in self._by_series:
            try:
                symbols.add(canonical_symbol(symbol))
            except InvalidSymbol:
                continue
        return sorted(symbols)

    def best(self, symbol: str, params: Mapping[str, str]) -> WireReply | None:
        """Return the reply recorded for a symbol and interval, None where there is none.

        It prefers the same window, then the same events, then the newer recording.
        """
        candidates = self._by_series.get((symbol, params.get("interval", "1d")), [])

        def likeness(recording: Recording) -> tuple[bool, bool, datetime]:
            window = [recording.params.get(name) for name in ("period1", "period2", "range")]
            same = window == [params.get(name) for name in ("period1", "period2", "range")]
            return same, recording.params.get("events") == params.get("events"), recording.recorded_at

        return max(candidates, key=likeness).reply if candidates else None


def read_recording(path: Path) -> Recording | None:
    """Return the chart recording in a file, None where the file has other content or can't be read."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        document = json.loads(raw)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        log.warning("sandbox.file_skipped", path=str(path), reason=str(error)[:200])
        return None
    if not isinstance(document, dict):
        return None
    if "request" in document and "response" in document:
        return _from_envelope(document)
    return _from_body(document, raw)


def _from_envelope(document: dict[str, Any]) -> Recording | None:
    request, response = document["request"], document["response"]
    url = urlsplit(request.get("url", "") if isinstance(request, dict) else "")
    if not url.path.startswith(CHART_PATH) or not isinstance(response, dict):
        return None
    headers = response.get("headers", {})
    if "bodyJson" in response:
        body = json.dumps(response["bodyJson"], separators=(",", ":"), ensure_ascii=False).encode()
    else:
        body = str(response.get("body", "")).encode()
    params = dict(parse_qsl(url.query))
    content_type = _one(headers.get("content-type")) or JSON
    reply = WireReply(int(response.get("status", 200)), body, content_type, date=_one(headers.get("date")))
    return Recording(unquote(url.path.removeprefix(CHART_PATH)), params.get("interval", "1d"), params, reply)


def _from_body(document: dict[str, Any], raw: bytes) -> Recording | None:
    try:
        meta = document["chart"]["result"][0]["meta"]
        return Recording(str(meta["symbol"]), str(meta["dataGranularity"]), {}, WireReply(200, raw))
    except (KeyError, IndexError, TypeError):
        return None


def _one(header: object) -> str | None:
    """Return the value of a header that was recorded as a text or as a list of one."""
    first = header[0] if isinstance(header, list) and header else header
    return first if isinstance(first, str) else None
