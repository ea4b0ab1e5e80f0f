"""Declare one indicator: a feature of a symbol's own bars."""

from __future__ import annotations

from quantx.core.features.feature import Basis, CarriedMemory, Feature, Memory, Output, RowMemory, Unit
from quantx.core.features.kernels import Rolling, Talib

# After 400 rows the start of Wilder's means of 14 rows, and of EMAs up to 26 rows, weighs less than 1e-9.
RECURSIVE = RowMemory(400)
WILDER = RowMemory(400, moves=340)


def indicator(
    name: str,
    kernel: Rolling | Talib,
    formula: str,
    *,
    memory: Memory,
    source: str | None = None,
    output: Output | None = None,
    basis: Basis = "total",
    unit: Unit = "ratio",
    version: int = 1,
) -> Feature:
    """Return a feature with the inputs of its kernel, and TA-Lib as its source where that computes it."""
    origin = f"TA-Lib {kernel.function.upper()}" if isinstance(kernel, Talib) else "definition"
    return Feature(
        name,
        kernel,
        inputs=kernel.inputs,
        formula=formula,
        source=source or origin,
        memory=memory,
        output=output,
        basis=basis,
        unit=unit,
        version=version,
    )


def carried_ema(rows: int) -> CarriedMemory:
    """Return the memory of an exponential mean of `rows` rows (α = 2 / (rows + 1))."""
    return CarriedMemory(count=rows, decay=1 - 2 / (rows + 1))
