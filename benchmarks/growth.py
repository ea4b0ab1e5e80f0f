"""The growth of a cost with its work, measured at two sizes and shown as an exponent.

An exponent of 1 means that the cost grows as fast as the work: double the symbols, and it doubles. Below 1 a fixed part
is shared by more work; above 1 something is done again for work that is there already.

    half, whole = apart(FUNCTION, count=2_500), apart(FUNCTION, count=5_000)
    lines = (*lines, *growth_lines("symbols", half, whole, {"cpu": "CPU seconds", "peak_mb": "peak memory"}))
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.table import Line

MOST = "≤ 1.1"  # nothing may grow faster than its work; a tenth is the noise of a shared machine


def exponent(small: float, large: float, times: float = 2.0) -> float:
    """Return the power of the work by which a cost grows, where the work of `large` is `times` that of `small`.

    >>> exponent(10, 20)
    1.0
    >>> exponent(3, 12)
    2.0
    >>> exponent(7, 7), exponent(0, 0)
    (0.0, 0.0)
    """
    if times <= 1:
        raise ValueError(f"the larger work must be larger: {times} times the smaller one")
    if small == large:
        return 0.0
    return math.log(large / small) / math.log(times) if small > 0 else math.inf


def growth_lines(
    what: str,
    small: Mapping[str, Any],
    large: Mapping[str, Any],
    costs: Mapping[str, str],
    *,
    times: float = 2.0,
    aim: str = MOST,
) -> tuple[Line, ...]:
    """Return a line per cost with its exponent: `costs` names the values of both measurements, and their texts.

    `what` is what was multiplied by `times`, as "symbols" or "years"; give the ratio of the rows where it differs.
    """
    return tuple(
        Line(
            f"growth with {times:.3g} × the {what}: {text}, exponent",
            exponent(small[name], large[name], times),
            aim=aim,
        )
        for name, text in costs.items()
    )
