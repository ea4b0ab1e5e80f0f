"""Run kernels of TA-Lib over the arrays of each symbol, on as many threads as Polars has: TA-Lib releases the GIL."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import polars as pl

from quantx.core.features.feature import Kernel
from quantx.core.features.kernels import Talib

_LEAST = 50_000  # rows of a thread


def over_arrays(kernels: Sequence[Talib], bars: pl.DataFrame) -> tuple[list[pl.Series], dict[Kernel, pl.Expr]]:
    """Return columns with the results, a row per bar, and for each kernel the expression of its result."""
    if not kernels:
        return [], {}
    import numpy as np

    names = [
        [f"{kernel.function} {n} {output}" for output in kernel.outputs or ("",)] for n, kernel in enumerate(kernels)
    ]
    given = {name: bars[name].to_numpy() for name in {each for kernel in kernels for each in kernel.inputs}}
    results = np.empty((sum(map(len, names)), bars.height))

    def run(symbols: Sequence[tuple[int, int]]) -> None:
        for start, end in symbols:
            row = 0
            for kernel in kernels:
                for values in kernel.arrays(*(given[name][start:end] for name in kernel.inputs)):
                    results[row, start:end] = values
                    row += 1

    ends = bars["symbol"].rle().struct.field("len").cum_sum().to_list()
    symbols = list(zip([0, *ends], ends, strict=False))
    threads = max(1, min(pl.thread_pool_size(), bars.height // _LEAST))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, (symbols[n::threads] for n in range(threads))))
    flat = [name for each in names for name in each]
    columns = [pl.Series(name, values) for name, values in zip(flat, results, strict=True)]
    return columns, {kernel: _result(kernel, each) for kernel, each in zip(kernels, names, strict=True)}


def _result(kernel: Talib, names: Sequence[str]) -> pl.Expr:
    if not kernel.outputs:
        return pl.col(names[0])
    return pl.struct(pl.col(name).alias(output) for name, output in zip(names, kernel.outputs, strict=True))
