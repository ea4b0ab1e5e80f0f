"""Declare one feature of Alpha158."""

from __future__ import annotations

from quantx.core.features.feature import Feature, Kernel, Output, RowMemory

EPSILON = 1e-12  # qlib adds it to a denominator that can be zero


def alpha(
    name: str,
    kernel: Kernel,
    inputs: tuple[str, ...],
    formula: str,
    *,
    rows: int,
    output: Output | None = None,
    version: int = 1,
) -> Feature:
    """Return a ratio of forward-adjusted bars that depends on its own row and `rows` rows before it."""
    memory = RowMemory(rows)
    source = "qlib, Alpha158DL"
    return Feature(
        name, kernel, inputs=inputs, formula=formula, source=source, memory=memory, output=output, version=version
    )
