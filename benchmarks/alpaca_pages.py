"""Alpaca's full pages of 10,000 rows: the rates at which the sandbox writes and the adapter reads them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from benchmarks.market import LAST, NOW, invented_market, symbols
from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.model import Payload
from quantx.providers.alpaca import Alpaca
from quantx.sandbox.alpaca_wire import AlpacaWire
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.messages import WireRequest

_ROWS = 10_000


def run(folder: Path, *, quick: bool) -> Outcome:
    """Write pages of minutes and of days once, and read each of them many times."""
    repeats = 5 if quick else 60
    minutes, days = (
        apart("benchmarks.alpaca_pages:read", timeframe=timeframe, count=count, repeats=repeats)
        for timeframe, count in (("1Min", 25), ("1Day", 500))
    )
    lines = []
    for what, got in (("minutes", minutes), ("days of 500 symbols", days)):
        total = got["rows"] * repeats
        rate, floor = total / got["read"], total / got["parsed"]
        aim = "≥ 1,000,000" if what == "minutes" else ""
        lines.append(Line(f"{what}: times parsing alone", got["read"] / got["parsed"], aim="≤ 1.5"))
        lines.append(Line(f"{what}: rows/s read into frames", rate, floor, aim, digits=0, rate=True))
        lines.append(Line(f"{what}: rows/s of CPU time", total / got["cpu"], digits=0, rate=True))
        lines.append(Line(f"{what}: rows/s written by the sandbox", got["rows"] / got["written"], digits=0, rate=True))
    return Outcome(
        f"Alpaca's pages of {_ROWS:,} rows, read {repeats} times; the floor parses the JSON only",
        tuple(lines),
        {"rows": minutes["rows"] + days["rows"], "pages": minutes["pages"] + days["pages"]},
    )


def read(timeframe: str, count: int, repeats: int) -> dict[str, Any]:
    """Return the seconds for writing a request's pages once, and for reading and for parsing them `repeats` times."""
    names = symbols(count)
    wire = AlpacaWire(Book(invented_market(count, date(2024, 1, 2)), SandboxClock(NOW)), None)
    since = LAST if timeframe == "1Min" else calendar("XNYS").back(LAST, 19)
    params = {
        "symbols": ",".join(names),
        "timeframe": timeframe,
        "start": f"{since}T05:00:00Z",
        "end": f"{LAST + timedelta(days=1)}T04:59:59Z",
        "limit": str(_ROWS),
        "feed": "iex",
    }
    with stretch() as written:
        pages = list(_pages(wire, params))
    payloads = [
        Payload(",".join(names), "sandbox", 200, NOW, content_type="application/json", body=body) for body in pages
    ]
    alpaca = Alpaca(_no_session, SandboxClock(NOW))
    rows = len(alpaca.normalize_many(payloads).bars)
    with stretch() as normalized:
        _repeat(repeats, lambda: alpaca.normalize_many(payloads))  # as the curator does with those of a round
    with stretch() as parsed:
        _repeat(repeats, lambda: [from_json(body) for body in pages])
    return {
        "rows": rows,
        "pages": len(pages),
        "written": written.seconds,
        "read": normalized.seconds,
        "cpu": normalized.cpu,
        "parsed": parsed.seconds,
    }


def _pages(wire: AlpacaWire, params: dict[str, str]) -> Any:
    token: dict[str, str] = {}
    while True:
        body = wire.answer(WireRequest("/v2/stocks/bars", {**params, **token}, {})).body
        yield body
        after = body.rpartition(b'"next_page_token":')[2].strip(b'"}')
        if after == b"null":
            return
        token = {"page_token": after.decode()}


def _repeat(times: int, what: Callable[[], object]) -> None:
    for _ in range(times):
        what()


def _no_session() -> Any:
    raise AssertionError("pages are read without a connection")
