"""Roots of option symbols: the underlying of each, the settlement, and which of them deliver what is standard.

A root is the first part of an OSI symbol: SPX and SPXW are two roots of one underlying. A digit at the end (SPY1) marks
a deliverable that a corporate action has adjusted, a digit at the beginning (2SPX) a FLEX option: their multiplier and
deliverable are not known from the symbol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

Settlement = Literal["AM", "PM"]

STANDARD_MULTIPLIER = 100.0


@dataclass(frozen=True)
class IndexRoot:
    """A root whose contracts are settled in cash at the value of an index."""

    underlying: str
    settlement: Settlement  # the opening or the closing values of the expiration's session


# Contract specifications of Cboe and Nasdaq (https://www.cboe.com/tradable_products/, read in 2025): the traditional
# monthlies settle at the opening values, the weeklies and most newer roots at the close.
INDEX_ROOTS = {
    "SPX": IndexRoot("SPX", "AM"),
    "SPXW": IndexRoot("SPX", "PM"),
    "SPXPM": IndexRoot("SPX", "PM"),
    "XSP": IndexRoot("XSP", "PM"),
    "NDX": IndexRoot("NDX", "AM"),
    "NDXP": IndexRoot("NDX", "PM"),
    "XND": IndexRoot("XND", "PM"),
    "NQX": IndexRoot("NQX", "PM"),
    "RUT": IndexRoot("RUT", "AM"),
    "RUTW": IndexRoot("RUT", "PM"),
    "MRUT": IndexRoot("MRUT", "PM"),
    "VIX": IndexRoot("VIX", "AM"),
    "VIXW": IndexRoot("VIX", "AM"),
    "DJX": IndexRoot("DJX", "AM"),
    "OEX": IndexRoot("OEX", "PM"),
    "XEO": IndexRoot("OEX", "PM"),
}

# Share classes: OSI roots have no dot. A root that is a symbol of its own (GOOG, FOXA) is not here.
SHARE_CLASSES = {
    "BFA": "BF.A",
    "BFB": "BF.B",
    "BRKA": "BRK.A",
    "BRKB": "BRK.B",
    "HEIA": "HEI.A",
    "LENB": "LEN.B",
    "LGFA": "LGF.A",
    "LGFB": "LGF.B",
    "MOGA": "MOG.A",
    "RDSA": "RDS.A",
    "RDSB": "RDS.B",
}

_UNDERLYINGS = {root: facts.underlying for root, facts in INDEX_ROOTS.items()} | SHARE_CLASSES
_DIGITS = "0123456789"


def underlying_of_root(root: str) -> str:
    """Return the symbol of a root's underlying.

    >>> [underlying_of_root(root) for root in ("SPY", "SPY1", "SPXW", "BRKB", "2SPX")]
    ['SPY', 'SPY', 'SPX', 'BRK.B', 'SPX']
    """
    plain = root.strip(_DIGITS)
    return _UNDERLYINGS.get(plain, plain)


def roots_of_underlying(underlying: str) -> tuple[str, ...]:
    """Return the standard roots whose contracts have this underlying.

    >>> roots_of_underlying("SPX"), roots_of_underlying("BRK.B"), roots_of_underlying("SPY")
    (('SPX', 'SPXPM', 'SPXW'), ('BRKB',), ('SPY',))
    """
    return tuple(sorted(root for root, each in _UNDERLYINGS.items() if each == underlying)) or (underlying,)


def is_adjusted(root: str) -> bool:
    """Return whether the deliverable of a root is not the standard one: a digit marks it."""
    return root[:1] in _DIGITS or root[-1:] in _DIGITS


def underlying_expr(root: pl.Expr) -> pl.Expr:
    """Return the underlyings of a column of roots, as `underlying_of_root` does."""
    return root.str.strip_chars(_DIGITS).replace(_UNDERLYINGS)


def terms(root: pl.Expr) -> list[pl.Expr]:
    """Return multiplier, deliverable and settlement of a column of roots; null where the root does not state them.

    A standard contract is for 100 units: of an index in cash, else of the share or the fund. Contracts on shares and
    funds settle at the close.
    """
    plain = root.str.strip_chars(_DIGITS)
    standard = plain == root
    cash = root.is_in(list(INDEX_ROOTS))
    settlement = plain.replace_strict({each: facts.settlement for each, facts in INDEX_ROOTS.items()}, default="PM")
    return [
        pl.when(standard).then(STANDARD_MULTIPLIER).alias("multiplier"),
        pl.when(standard & cash)
        .then(pl.lit("cash"))
        .when(standard)
        .then(pl.format("100 {}", underlying_expr(root)))
        .alias("deliverable"),
        pl.when(~root.str.contains("^[0-9]")).then(settlement).alias("settlement"),
    ]
