"""The sandbox as an ASGI application: the vendors' paths, the controls under `/_sandbox/`, and the counters."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import date, datetime
from email.utils import format_datetime
from pkgutil import resolve_name
from typing import Any
from urllib.parse import parse_qsl

import structlog
from pydantic_core import to_json

from quantx.errors import ConfigError
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.drift import Drifts
from quantx.sandbox.faults import Faults
from quantx.sandbox.market import Market
from quantx.sandbox.messages import JSON, WireReply, WireRequest
from quantx.sandbox.package_wires import package_wires
from quantx.sandbox.quota import BlockingQuota, RequestQuota
from quantx.sandbox.wires import Wire
from quantx.sandbox.yahoo_chart import not_found
from quantx.settings.vendors import BUILT_IN, PACKAGES

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# yfinance fetches a cookie (fc.yahoo.com) and a crumb before its first request, and the consent pages after an error.
# The cookie has no domain, as yfinance stores cookies of yahoo.com on disk.
_HANDSHAKE = {
    "/": (404, b"", [(b"set-cookie", b"A3=d=sandbox&S=sandbox; Max-Age=31557600; Path=/; HttpOnly")]),
    "/v1/test/getcrumb": (200, b"sandbox.crumb", []),
    "/consent": (404, b"", []),
    "/copyConsent": (404, b"", []),
    "/v2/collectConsent": (404, b"", []),
}
_CONTROLS = "/_sandbox/"
_LARGEST_BODY = 65_536
_LONGEST_SILENCE = 300.0  # seconds; longer than any client's time-out


# The SEC blocks an organisation for ten minutes that sends more than ten requests a second.
_BLOCKS = {"sec": ("10/s", 600.0)}

# The wires of all vendors: each is declared as WIRE in the module that has its source's name; those of other packages
# in their settings.
WIRES: tuple[type[Wire], ...] = (
    *(resolve_name(f"quantx.sandbox.{source}_wire:WIRE") for source in BUILT_IN),
    *package_wires(PACKAGES.settings),
)


@dataclass
class _Counts:
    """The counted requests to one vendor."""

    total: int = 0
    by_symbol: Counter[str] = field(default_factory=Counter)
    by_status: Counter[str] = field(default_factory=Counter)


class Sandbox:
    """A mock server of all vendors on their own paths; run it with `serve` or `running`.

    `now` stops the clock (a date means the end of that day, UTC); without it the clock follows the system's.
    `latency` is in seconds. `quota` is written as 5/s or 200/min, of each vendor, or as alpaca:200/min of one;
    `faults` as kind=rate or vendor:kind=rate; `drifts` as VENDOR:CHANGE:PATH;
    `revisions` as SYMBOL:DATE:FIELD:VALUE; `keys` as vendor=KEY. `seed` decides which requests the faults hit.
    ConfigError where one of them is wrong.
    """

    def __init__(
        self,
        market: Market,
        *,
        now: str | date | datetime | None = None,
        latency: float = 0.0,
        quota: str | Iterable[str] | None = None,
        faults: Iterable[str] = (),
        drifts: Iterable[str] = (),
        revisions: Iterable[str] = (),
        keys: Iterable[str] = (),
        seed: int = 0,
    ) -> None:
        if not 0 <= latency <= 60:
            raise ConfigError(f"a latency of {latency:g} s is not between 0 and 60 seconds")
        self.market = market
        self.clock = SandboxClock(now)
        self.book = Book(market, self.clock)
        self.vendors = tuple(wire.source for wire in WIRES)
        given = _per_vendor(keys, self.vendors, "=", "alpaca=KEY:SECRET")
        self.wires = tuple(wire(self.book, given.get(wire.source)) for wire in WIRES)
        self.faults = Faults(faults, seed, self.vendors)
        self.drifts = Drifts(drifts, self.vendors)
        self._latency = latency
        self._quotas = _quotas([quota] if isinstance(quota, str) else quota or (), self.vendors)
        self._by_path: Counter[str] = Counter()
        self._by_status: Counter[str] = Counter()
        self._counts = {source: _Counts() for source in self.vendors}
        self._handshakes = 0
        self._dates: tuple[int, bytes] = (0, b"")
        for spec in revisions:
            self.book.revise_from(spec)

    def stats(self) -> dict[str, Any]:
        """Return the counts of vendor requests so far; a request without a reply has the status "none"."""
        return {
            "total": sum(self._by_path.values()),
            "by_path": dict(self._by_path),
            "by_symbol": dict(sum((counts.by_symbol for counts in self._counts.values()), Counter())),
            "by_status": dict(self._by_status),
            "by_vendor": {
                source: {
                    "total": counts.total,
                    "by_symbol": dict(counts.by_symbol),
                    "by_status": dict(counts.by_status),
                }
                for source, counts in self._counts.items()
                if counts.total
            },
            "handshake": self._handshakes,
            "market": self.market.kind,
            "now": self.clock.now().isoformat(),
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path.startswith(_CONTROLS):
            await self._send(send, await self._control(scope["method"], path, receive))
        elif path in _HANDSHAKE:
            self._handshakes += 1
            status, body, headers = _HANDSHAKE[path]
            await self._send(send, WireReply(status, body, "text/plain;charset=utf-8"), headers)
        else:
            await self._vendor_request(scope, receive, send)

    async def _vendor_request(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        self._by_path[path] += 1
        wire = next((wire for wire in self.wires if wire.handles(path)), None)
        if wire is None:
            self._by_status["404"] += 1
            await self._send(send, not_found())
            return
        request = WireRequest(
            path,
            dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
            {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        )
        counts = self._counts[wire.source]
        counts.total += 1
        counts.by_symbol.update(wire.symbols(request))
        quota = self._quotas.get(wire.source)
        admitted = quota is None or quota.admits()
        kind = self.faults.draw(wire.source)
        if self._latency:
            await asyncio.sleep(self._latency)
        if admitted and kind in ("timeout", "reset"):
            status = "none"
            await (_hang_up(receive, send) if kind == "reset" else _stay_silent(receive))
        else:
            reply = self._reply(wire, request, kind if admitted else "429")
            status = str(reply.status)
        self._by_status[status] += 1
        counts.by_status[status] += 1
        if status != "none":
            await self._send(send, reply)

    def _reply(self, wire: Wire, request: WireRequest, kind: str | None) -> WireReply:
        """Return the vendor's reply, or the one that a fault makes of it."""
        reply = wire.answer(request) if kind is None else self.faults.reply(kind, wire, request)
        return self.drifts.apply(wire.source, reply)

    async def _control(self, method: str, path: str, receive: Receive) -> WireReply:
        name = path.removeprefix(_CONTROLS)
        if method == "GET" and name == "stats":
            return _json(200, self.stats())
        if method == "GET" and name == "now":
            return _json(200, {"now": self.clock.now().isoformat()})
        if method != "POST" or name not in ("now", "revise", "fault", "drift"):
            known = "GET stats, POST now, revise, fault, drift"
            return _json(404, {"error": f"there is no {method} {path[:40]}; see {known}"})
        try:
            return _json(200, self._command(name, await _read_object(receive)))
        except ConfigError as error:
            return _json(400, {"error": str(error)})

    def _command(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if name == "now":
            now = self.clock.set(_text(body, "now"))
            log.info("sandbox.clock_set", now=now.isoformat())
            return {"now": now.isoformat()}
        if name == "fault":
            self.faults.set(_text(body, "kind"), body.get("rate"))
            log.info("sandbox.faults_set", **{f"rate_{kind}": rate for kind, rate in self.faults.rates.items()})
            return {"faults": self.faults.rates}
        if name == "drift":
            vendor, change = _text(body, "vendor"), _text(body, "change")
            path = "" if change == "end" else _text(body, "path")
            self.drifts.set(vendor, change, path)
            log.info("sandbox.drift_set", vendor=vendor, change=change, path=path)
            return {"drift": [vendor, change, path]}
        symbol, day, field = (_text(body, key) for key in ("symbol", "date", "field"))
        self.book.revise(symbol, day, field, body.get("value"))
        log.info("sandbox.revised", symbol=symbol, date=day, field=field, value=body.get("value"))
        return {"revised": [symbol, day, field, body.get("value")]}

    async def _send(self, send: Send, reply: WireReply, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        start = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            (b"date", reply.date.encode() if reply.date else self._date()),
            *((name.encode(), value.encode("latin-1")) for name, value in reply.headers),
            *headers,
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": start})
        await send({"type": "http.response.body", "body": reply.body})

    def _date(self) -> bytes:
        """Return the sandbox's clock as an HTTP date, by which the curator decides which sessions have closed."""
        now = self.clock.now()
        second = int(now.timestamp())
        if self._dates[0] != second:
            self._dates = (second, format_datetime(now, usegmt=True).encode())
        return self._dates[1]


def _per_vendor(specs: Iterable[str], vendors: tuple[str, ...], between: str, example: str) -> dict[str, str]:
    """Return the values by vendor in texts of the form vendor, mark, value."""
    values = {}
    for spec in specs:
        vendor, mark, value = spec.partition(between)
        if vendor not in vendors or not mark or not value:
            raise ConfigError(f"write it as in {example}; the sandbox has {', '.join(vendors)}")
        values[vendor] = value
    return values


def _quotas(specs: Iterable[str], vendors: tuple[str, ...]) -> dict[str, RequestQuota | BlockingQuota]:
    """Return the quotas by vendor; a spec without a vendor applies to all that have none of their own."""
    given = list(specs)
    general = [spec for spec in given if ":" not in spec]
    rates = {vendor: spec for vendor, (spec, _) in _BLOCKS.items()}
    rates |= {vendor: spec for spec in general for vendor in vendors}
    rates |= _per_vendor([spec for spec in given if ":" in spec], vendors, ":", "alpaca:200/min")
    return {
        vendor: BlockingQuota(rate, _BLOCKS[vendor][1]) if vendor in _BLOCKS else RequestQuota(rate)
        for vendor, rate in rates.items()
    }


def _json(status: int, value: object) -> WireReply:
    return WireReply(status, to_json(value), JSON)


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise ConfigError(f"the field {key!r} is missing or no text")
    return value


async def _read_object(receive: Receive) -> dict[str, Any]:
    raw = b""
    while len(raw) <= _LARGEST_BODY:
        message = await receive()
        raw += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError("the body is no JSON object")
    return value


async def _stay_silent(receive: Receive) -> None:
    """Send nothing until the client disconnects."""
    try:
        async with asyncio.timeout(_LONGEST_SILENCE):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return


async def _hang_up(receive: Receive, send: Send) -> None:
    """Abort the connection without a reply. ASGI has no message for that, so uvicorn's transport is used by name."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
    await _stay_silent(receive)
