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

    def __init__(
        self, kernels: Iterable[Talib], bars: pl.DataFrame, by: str = "symbol", wanted: str | None = None
    ) -> None:
        """Run each kernel over the rows of each symbol, or of each run of equal values in another column.

        Keep the results of the rows where the column `wanted` is true; None: of all.
        """
        import numpy as np

        self._kernels = list(dict.fromkeys(kernels))
        places = [(kernel, output) for kernel in self._kernels for output in kernel.outputs or (None,)]
        self._at: dict[tuple[Talib, str | None], int] = {place: n for n, place in enumerate(places)}
        kept = np.ones(bars.height, bool) if wanted is None else bars[wanted].to_numpy()
        self._values = np.empty((len(places), int(kept.sum())))
        given = {name: bars[name].to_numpy() for name in {each for kernel in self._kernels for each in kernel.inputs}}
        ends = bars[by].rle().struct.field("len").cum_sum().to_list()
        begin = 0
        for start, end in zip([0, *ends], ends, strict=False):
            chosen = slice(None) if wanted is None else np.flatnonzero(kept[start:end])
            place = slice(begin, begin + (end - start if isinstance(chosen, slice) else len(chosen)))
            begin, row = place.stop, 0
            for kernel in self._kernels:
                for values in kernel.arrays(*(given[name][start:end] for name in kernel.inputs)):
                    self._values[row, place] = values[chosen]
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
