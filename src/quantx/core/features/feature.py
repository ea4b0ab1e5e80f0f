"""The declaration of a feature, and of a set of features.

A feature of the kind `series` is a function of the observed bars of one symbol, in order. Its kernel gets prices and
volumes that are adjusted *forward*: the first session of the series is the base, so that a later event changes no
earlier value. With S(d) the product of the ratios of splits with ex-date ≤ d, and D(d) that of
(1 − cash / close before) over dividends with ex-date ≤ d, a traded price p of the session d becomes

    traded: p        split: p · S(d)        total: p · S(d) / D(d)        and a volume v as v / S(d) (traded: v).

What the kernel returns in prices is divided by the same factor of its session, and what it returns in shares is
multiplied by S(d): so it is stored in that day's as-traded units, and read back adjusted like a price or a volume.
Ratios, and amounts of the currency, are the same in all units.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Literal

import polars as pl

Basis = Literal["traded", "split", "total"]
Unit = Literal["ratio", "price", "shares", "currency"]
Kind = Literal["series", "cross_section", "fundamental", "label", "option"]
Kernel = Callable[[], pl.Expr]  # over one symbol's rows; loads its library when it is called, not when it is declared
Output = str | Callable[[pl.Expr], pl.Expr]

BARS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class RowMemory:
    """The memory of a feature whose value depends on the last rows alone, to a relative difference of 1e-9."""

    count: int  # rows before the first one that is wanted; 0: a function of its own row
    moves: int = 0  # how many of them need a close other than the row's before: ratios of Wilder's means keep their
    # value, and forget nothing, while the price stands still


@dataclass(frozen=True)
class CarriedMemory:
    """The memory of a recursion over the whole series: a tail goes on from a stored value.

    The difference to the whole series is multiplied by `decay` with each row: 1 for a sum, 1 − 2/(n + 1) for an EMA,
    an expression over the rows for an adaptive mean.
    """

    count: int = 1  # rows before the first one that is wanted, the one of the stored value among them
    decay: float | Kernel = 1.0


Memory = RowMemory | CarriedMemory


@dataclass(frozen=True)
class Feature:
    """One column of a feature set."""

    name: str
    kernel: Kernel
    _: KW_ONLY
    inputs: tuple[str, ...]  # columns of bars, concepts, or features as in "technical.return_252"
    formula: str  # for the page of the set
    source: str  # of the formula
    memory: Memory
    output: Output | None = None  # of equal kernels, which run once: the field of a struct, or a row-wise function
    basis: Basis = "total"
    unit: Unit = "ratio"
    kind: Kind = "series"
    horizon: int = 0  # of a label: rows after its own that it uses
    version: int = 1  # raised with each change of the kernel

    @property
    def definition(self) -> dict[str, object]:
        """Return what identifies the values of the feature: a change of it makes stored values obsolete."""
        return {
            "name": self.name,
            "inputs": self.inputs,
            "formula": self.formula,
            "basis": self.basis,
            "unit": self.unit,
            "kind": self.kind,
            "version": self.version,
        }


@dataclass(frozen=True)
class FeatureSet:
    """Features that are stored in one table."""

    name: str
    title: str
    features: tuple[Feature, ...]
    timeframe: str = "1d"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the features, in the order of the columns."""
        return tuple(each.name for each in self.features)

    @cached_property
    def hash(self) -> str:
        """Return the SHA-256 of all definitions, as 16 hexadecimal digits."""
        return definition_hash(self.features)

    @property
    def table_name(self) -> str:
        """Return the name of the table that stores the set."""
        return f"{self.name}_{self.timeframe}"


def definition_hash(features: Sequence[Feature]) -> str:
    """Return the SHA-256 of the definitions of features, as 16 hexadecimal digits."""
    document = json.dumps([each.definition for each in features], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:16]
