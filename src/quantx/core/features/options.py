"""The set `options`: what the chain of a session says of its underlying, at the session's end.

A kernel is an expression over one row: MEASURES of the chain. A measure that the chain does not give is null.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet, RowMemory, Unit

TERMS = (30, 90)  # days
MEASURES = (
    *(f"{name}_{days}" for name in ("atm", "put_wing", "call_wing") for days in TERMS),
    *(f"{right}_{what}" for right in ("put", "call") for what in ("volume", "interest")),
)
_VARIANCE = "linear in total variance between expirations"
_SURFACE = "quantx.core.options.surface"


@dataclass(frozen=True)
class Measure:
    """The kernel of a measure as it is."""

    column: str

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        return pl.col(self.column)


@dataclass(frozen=True)
class Difference:
    """The kernel of one measure less another one."""

    column: str
    less: str

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        return pl.col(self.column) - pl.col(self.less)


@dataclass(frozen=True)
class PutCall:
    """The kernel of a sum over the puts, divided by that over the calls; null without calls."""

    what: str

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        calls = pl.col(f"call_{self.what}")
        return pl.when(calls > 0).then(pl.col(f"put_{self.what}") / calls)


def _feature(
    name: str, kernel: Measure | Difference | PutCall, inputs: tuple[str, ...], formula: str, unit: Unit = "ratio"
) -> Feature:
    return Feature(
        name,
        kernel,
        inputs=inputs,
        formula=formula,
        source=_SURFACE,
        memory=RowMemory(0),
        basis="traded",
        unit=unit,
        kind="option",
    )


def _skew(days: int) -> Feature:
    sides = f"put_wing_{days}", f"call_wing_{days}"
    text = f"volatility of the 25-delta put − that of the 25-delta call at {days} days, each {_VARIANCE}"
    return _feature(f"skew_{days}", Difference(*sides), sides, text)


def _volatility(days: int) -> Feature:
    text = f"volatility at the forward, yearly, at {days} days, {_VARIANCE}"
    return _feature(f"iv_{days}", Measure(f"atm_{days}"), (f"atm_{days}",), text)


def _put_call(what: str, text: str) -> Feature:
    return _feature(f"put_call_{what}", PutCall(what), (f"put_{what}", f"call_{what}"), text)


OPTIONS = FeatureSet(
    "options",
    "Volatilities of options and ratios of puts to calls",
    (
        *(_volatility(days) for days in TERMS),
        *(_skew(days) for days in TERMS),
        _feature("term_slope", Difference("atm_90", "atm_30"), ("atm_90", "atm_30"), "iv_90 − iv_30"),
        _put_call("volume", "contracts of puts / contracts of calls that were traded in the session"),
        _put_call("interest", "open interest of puts / that of calls, the newest public one at the session's close"),
    ),
)
