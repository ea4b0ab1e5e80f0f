"""Recorded replies of Yahoo, each with its request."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from quantx.core.model import Payload

_HOST = "https://query2.finance.yahoo.com/v8/finance/chart/"


@dataclass(frozen=True)
class Recording:
    name: str
    payload: Payload
    interval: str
    with_extended_hours: bool
    document: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = self.document["chart"]["result"][0]
        return result


def read_recordings(folder: Path, pattern: str = "*") -> list[Recording]:
    """Read the files of a folder: envelopes of request and response, or bare bodies, whose request is unknown."""
    return [_read(path) for path in sorted(folder.glob(pattern))]


def _read(path: Path) -> Recording:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    document = json.loads(raw)
    if "request" in document:
        request, response = document["request"]["url"], document["response"]
        body = response["body"].encode() if "body" in response else json.dumps(response["bodyJson"]).encode()
        date = response["headers"]["date"]  # a text, or a list of one
        status, at = response["status"], parsedate_to_datetime(date if isinstance(date, str) else date[0])
    else:
        meta = document["chart"]["result"][0]["meta"]
        request = f"{_HOST}{quote(meta['symbol'])}?interval={meta['dataGranularity']}"
        body, status, at = raw, 200, datetime(2026, 1, 1, tzinfo=UTC)
    params = parse_qs(urlsplit(request).query)
    symbol = urlsplit(request).path.rpartition("/")[2].replace("%5E", "^").replace("%3D", "=")
    payload = Payload(symbol, request, status, at, content_type="application/json", body=body, vendor_time=at)
    extended = params.get("includePrePost", ["true"])[0] == "true"
    return Recording(path.name, payload, params.get("interval", ["1d"])[0], extended, json.loads(body))
