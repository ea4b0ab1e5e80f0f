"""Faults of the vendors, by rate: error replies, wrong content, silence, an aborted connection."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from quantx.errors import ConfigError
from quantx.sandbox.messages import JSON, WireReply, WireRequest
from quantx.sandbox.wires import Wire

# Kinds for which each vendor has its own text: status codes, a page in place of data, and "unknown symbol".
REFUSALS = ("429", "500", "502", "401", "html", "delisted")
# Kinds that change the vendor's reply, or send none.
_DERIVED = ("empty", "truncated", "garbage", "timeout", "reset", "othersymbol")
KINDS = (*REFUSALS, *_DERIVED)


class Faults:
    """Draws the fault of each request, repeatable by a seed.

    A kind applies to all `vendors` (`500`) or to one (`alpaca:500`).
    """

    def __init__(self, specs: Iterable[str] = (), seed: int = 0, vendors: Iterable[str] = ("yahoo",)) -> None:
        self._random = random.Random(seed)
        self._vendors = tuple(vendors)
        self._rates: dict[str, float] = {}
        for spec in specs:
            kind, equals, rate = spec.partition("=")
            if not equals:
                raise ConfigError(f"{spec[:30]!a} is not a fault; write kind=rate as in 502=0.01 or alpaca:500=0.02")
            self.set(kind.strip(), rate)

    @property
    def rates(self) -> dict[str, float]:
        """The faults that are switched on."""
        return dict(self._rates)

    def set(self, kind: str, rate: object) -> None:
        """Switch a fault on at a rate of 0 to 1 of the requests (0 switches it off), or raise ConfigError."""
        vendor, _, name = kind.rpartition(":")
        if name not in KINDS or (vendor and vendor not in self._vendors):
            raise ConfigError(
                f"{kind[:30]!a} is no kind of fault; choose one of {', '.join(KINDS)}"
                f" (of one vendor: {', '.join(f'{v}:…' for v in self._vendors)})"
            )
        try:
            share = float(str(rate))
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            raise ConfigError(f"the rate {str(rate)[:20]!a} of fault {kind} is not between 0 and 1")
        rates = {**self._rates, kind: share}
        if any(sum(_of(vendor, rates).values()) > 1 + 1e-9 for vendor in self._vendors):
            raise ConfigError(f"the rates of all faults together exceed 1 with {kind}={share:g}; lower one of them")
        self._rates = {k: r for k, r in rates.items() if r > 0}

    def draw(self, vendor: str = "yahoo") -> str | None:
        """Return the kind of fault of the next request to a vendor, None for no fault."""
        rates = _of(vendor, self._rates)
        if not rates:
            return None
        point = self._random.random()
        for kind, rate in rates.items():
            point -= rate
            if point < 0:
                return kind.rpartition(":")[2]
        return None

    def reply(self, kind: str, wire: Wire, request: WireRequest) -> WireReply:
        """Return the reply of a fault; `timeout` and `reset` have none."""
        if kind in REFUSALS:
            return wire.refusal(kind, request)
        if kind == "empty":
            return wire.empty(request)
        if kind == "othersymbol":
            return wire.astray(request)
        if kind == "garbage":  # declared as JSON
            return WireReply(200, self._random.randbytes(512), JSON)
        good = wire.answer(request)  # truncated: the content length is right, the JSON is not
        return WireReply(good.status, good.body[: len(good.body) // 2], good.content_type)


def _of(vendor: str, rates: dict[str, float]) -> dict[str, float]:
    """Return the rates that apply to a vendor."""
    return {kind: rate for kind, rate in rates.items() if ":" not in kind or kind.startswith(f"{vendor}:")}
