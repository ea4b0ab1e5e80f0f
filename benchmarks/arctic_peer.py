"""ArcticDB with the data of the reader's benchmark: a script for an environment of its own, without this project.

`python arctic_peer.py URL SYMBOLS` prints the seconds of each query as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import arcticdb
import numpy as np
import pandas as pd

PANEL = 500
YEAR = (datetime(2020, 1, 1), datetime(2020, 12, 31))  # noqa: DTZ001 — as its index


def main(url: str, count: int) -> None:
    """Write the symbols, then time the queries."""
    logging.disable(logging.CRITICAL)
    library = arcticdb.Arctic(url).get_library("bars", create_if_missing=True)
    days = pd.bdate_range("2011-01-03", "2025-12-31")[:3770]
    names = [f"S{number:04}" for number in range(count)]
    for number, name in enumerate(names):
        library.write(name, _bars(days, number))

    def panel(between: tuple[datetime, datetime] | None) -> pd.DataFrame:
        requests = [arcticdb.ReadRequest(name, columns=["close"], date_range=between) for name in names]
        read = library.read_batch(requests)
        return pd.concat({item.symbol: item.data["close"] for item in read}, axis=1)

    queries: dict[str, tuple[Callable[[], Any], int]] = {
        "one symbol × 1 year": (lambda: library.read("S0001", date_range=YEAR).data, 20),
        "one symbol × 15 years": (lambda: library.read("S0001").data, 20),
        "500 symbols × 1 year, panel": (lambda: panel(YEAR), 3),
        "500 symbols × 15 years, panel": (lambda: panel(None), 2),
    }
    measured = {name: _timed(*query) for name, query in queries.items() if count >= PANEL or "panel" not in name}
    print(json.dumps(measured))


def _bars(days: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.01, len(days))))
    columns = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close}
    volume = np.floor(random.lognormal(14, 0.5, len(days))).astype(np.int64)
    return pd.DataFrame({**columns, "volume": volume}, index=days)


def _timed(query: Callable[[], Any], repetitions: int) -> list[float]:
    query()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        query()
        seconds.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
