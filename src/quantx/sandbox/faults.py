"""What goes wrong at the vendor, by rate: error replies, wrong content, silence, a cut line.

The bodies are short equivalents of those that real jobs received (Yahoo, 2022 to 2024).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from quantx.errors import ConfigError
from quantx.sandbox.yahoo_wire import JSON, Reply, chart_error, not_found

HTML = "text/html;charset=UTF-8"
_OUTAGE = (
    b'<html lang="en-us"><head><meta charset="utf-8"><title>Yahoo</title></head><body><table><tr><td>'
    b'<h1 style="margin-top:20px;">Will be right back...</h1><p>Thank you for your patience.</p>'
    b"<p>Our engineers are working quickly to resolve the issue.</p></td></tr></table></body></html>\n"
)
_PAGE = b'<!doctype html>\n<html lang="en-us"><head><title>Yahoo Finance</title></head><body>Loading...</body></html>\n'
_COOKIE = b'{"finance":{"error":{"code":"Unauthorized","description":"Invalid cookie"}}}'

# Kinds whose reply is made of the reply that would have been sent, or that are no reply at all.
_DERIVED = ("empty", "truncated", "garbage", "timeout", "reset", "othersymbol")
_FIXED = {
    "429": Reply(429, b"Edge: Too Many Requests", "text/plain;charset=utf-8"),
    "500": chart_error(500, "Internal Server Error", "Internal Server Error"),
    "502": Reply(502, _OUTAGE, HTML),
    "401": Reply(401, _COOKIE, JSON),
    "html": Reply(200, _PAGE, HTML),
    "delisted": not_found(),  # a 429 in disguise: facts of yfinance issues 2125 and 2480
}
KINDS = (*_FIXED, *_DERIVED)


def too_many_requests() -> Reply:
    """Return what Yahoo's front door says beyond the quota; it names no time to wait."""
    return _FIXED["429"]


def fixed_reply(kind: str) -> Reply | None:
    """Return the reply of a fault that needs nothing else, None for the other kinds."""
    return _FIXED.get(kind)


def truncated(reply: Reply) -> Reply:
    """Return the first half of a reply; its content length is right, its JSON is not."""
    return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.content_type)


class Faults:
    """Decides for each request what, if anything, goes wrong; a seed makes that repeatable."""

    def __init__(self, specs: Iterable[str] = (), seed: int = 0) -> None:
        self._random = random.Random(seed)
        self._rates: dict[str, float] = {}
        for spec in specs:
            kind, equals, rate = spec.partition("=")
            if not equals:
                raise ConfigError(f"{spec[:30]!a} is not a fault; write kind=rate as in 502=0.01")
            self.set(kind.strip(), rate)

    @property
    def rates(self) -> dict[str, float]:
        """The faults that are switched on."""
        return dict(self._rates)

    def set(self, kind: str, rate: object) -> None:
        """Switch a fault on at a rate of 0 to 1 of the requests (0 switches it off), or raise ConfigError."""
        if kind not in KINDS:
            raise ConfigError(f"{kind[:20]!a} is no kind of fault; choose one of {', '.join(KINDS)}")
        try:
            share = float(str(rate))
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            raise ConfigError(f"the rate {str(rate)[:20]!a} of fault {kind} is not between 0 and 1")
        rates = {**self._rates, kind: share}
        if sum(rates.values()) > 1 + 1e-9:
            raise ConfigError(f"the rates of all faults together exceed 1 with {kind}={share:g}; lower one of them")
        self._rates = {k: r for k, r in rates.items() if r > 0}

    def draw(self) -> str | None:
        """Return the kind of fault that hits the next request, None where all goes well."""
        if not self._rates:
            return None
        point = self._random.random()
        for kind, rate in self._rates.items():
            point -= rate
            if point < 0:
                return kind
        return None

    def garbage(self) -> Reply:
        """Return random bytes that claim to be JSON."""
        return Reply(200, self._random.randbytes(512), JSON)
