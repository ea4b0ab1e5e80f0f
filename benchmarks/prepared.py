"""A vendor whose replies were made before: the time and the memory of its worker are the program's own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.market import NOW, InProcess, invented_market, symbols
from quantx.core.model import Clock, Window
from quantx.providers.http import HttpReply
from quantx.providers.protocol import Provider
from quantx.providers.yahoo import Yahoo
from quantx.sandbox.clock import SandboxClock
from quantx.settings import Settings

_BODIES, _PLACES = "bodies", "places.json"


def prepare_replies(folder: Path, count: int, first: date, starts: Iterable[date], padding: int = 0) -> str:
    """Store Yahoo's replies for `count` symbols and windows from each of `starts` in a folder; return its path.

    `padding`: bytes of a text that is added to each reply.
    """
    folder.mkdir(parents=True)
    session = _Recording(InProcess(invented_market(count, first)))
    vendor = Yahoo(lambda: session, SandboxClock(NOW))
    with (folder / _BODIES).open("wb") as bodies:
        places, end = {}, 0
        for start in starts:
            for symbol in symbols(count):
                body = _padded(vendor.chart(symbol, Window(start, start)).body, padding)
                places[session.requested] = (end, len(body))
                end += bodies.write(body)
    (folder / _PLACES).write_text(json.dumps(places))
    return str(folder)


def prepared_providers(folder: str) -> Any:
    """Return the argument `providers` of `open_platform`: Yahoo over the prepared replies of a folder."""

    def providers(_: Settings, clock: Clock) -> Mapping[str, Provider]:
        return {"yahoo": Yahoo(lambda: _Prepared(Path(folder)), clock)}

    return providers


def _padded(body: bytes, padding: int) -> bytes:
    return body if not padding else body[:-1] + b',"padding":"' + os.urandom(padding // 2).hex().encode() + b'"}'


def _key(wire_symbol: str, params: Mapping[str, Any]) -> str:
    return f"{wire_symbol} {params['period1']}"


class _Recording:
    """A session that notes its last request."""

    def __init__(self, session: InProcess) -> None:
        self._session, self.requested = session, ""

    def prepare(self) -> None:
        """Do nothing."""

    def chart(self, wire_symbol: str, params: Mapping[str, Any]) -> Any:
        self.requested = _key(wire_symbol, params)
        return self._session.chart(wire_symbol, params)


class _Prepared:
    """A session that answers from the files; it keeps no reply in memory."""

    def __init__(self, folder: Path) -> None:
        self._places = json.loads((folder / _PLACES).read_text())
        self._bodies = os.open(folder / _BODIES, os.O_RDONLY)  # open as long as the process

    def prepare(self) -> None:
        """Do nothing."""

    def chart(self, wire_symbol: str, params: Mapping[str, Any]) -> HttpReply:
        begin, size = self._places[_key(wire_symbol, params)]
        return HttpReply(
            url=f"https://sandbox/v8/finance/chart/{wire_symbol}?period1={params['period1']}",
            status=200,
            content_type="application/json",
            body=os.pread(self._bodies, size, begin),
            vendor_time=NOW,
        )
