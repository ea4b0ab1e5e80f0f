"""Run kernels of TA-Lib over the arrays of each symbol; Polars takes the results without a copy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx.core.features.kernels import Talib

if TYPE_CHECKING:
    import numpy as np


class ArrayResults:
    """The results of kernels, a row of one matrix per output: made at once."""

    def __init__(self, kernels: Iterable[Talib], bars: pl.DataFrame) -> None:
        """Run each kernel over each symbol's rows of bars."""
        import numpy as np

        self._kernels = list(dict.fromkeys(kernels))
        places = [(kernel, output) for kernel in self._kernels for output in kernel.outputs or (None,)]
        self._at: dict[tuple[Talib, str | None], int] = {place: n for n, place in enumerate(places)}
        self._values = np.empty((len(places), bars.height))
        given = {name: bars[name].to_numpy() for name in {each for kernel in self._kernels for each in kernel.inputs}}
        ends = bars["symbol"].rle().struct.field("len").cum_sum().to_list()
        for start, end in zip([0, *ends], ends, strict=False):
            row = 0
            for kernel in self._kernels:
                for values in kernel.arrays(*(given[name][start:end] for name in kernel.inputs)):
                    self._values[row, start:end] = values
                    row += 1

    def __contains__(self, kernel: object) -> bool:
        """Return whether a kernel was run."""
        return kernel in self._kernels

    def columns(self, kernel: Talib) -> tuple[list[pl.Series], pl.Expr]:
        """Return copies of a kernel's outputs as columns, and the expression of its result."""
        names = {output: f"{self._kernels.index(kernel)} {output}" for output in kernel.outputs or (None,)}
        columns = [pl.Series(name, self._values[self._at[kernel, output]]) for output, name in names.items()]
        result = pl.struct(pl.col(name).alias(output or "") for output, name in names.items())
        return columns, result if kernel.outputs else pl.col(next(iter(names.values())))

    def finite(self, name: str, kernel: Talib, output: str | None, divisor: Any | None) -> pl.Series:
        """Return an output / divisor as a column, null where it is no finite number. It must be the last use.

        The column is the memory of the result: a second division would divide it again.
        """
        import numpy as np
        import pyarrow as pa

        values: np.ndarray[Any, Any] = self._values[self._at.pop((kernel, output))]
        if divisor is not None:
            np.divide(values, divisor, out=values)
        column: Any = pl.from_arrow(pa.array(values, mask=~np.isfinite(values)))
        return pl.Series(column).alias(name)
