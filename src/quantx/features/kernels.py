"""The kernels as functions of Arrow tables, for bars that are in Spark already: `groupBy("symbol").applyInArrow(…)`.

`quantx features build --engine spark` does not need this: it reads the lake itself.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa

from quantx.core.features.compute import INDEX, compute
from quantx.core.features.feature import FeatureSet
from quantx.core.features.sets import SETS
from quantx.errors import ConfigError


def arrow_kernel(feature_set: str) -> Callable[[pa.Table], pa.Table]:
    """Return a function of an Arrow table with all bars of some symbols, in any order, to one with their features.

    The bars have symbol, date (minutes: and time), open, high, low, close and volume as traded, split_factor and
    total_factor as `quantx.core.features.feature` defines them. The result has the columns of `spark_schema`, sorted.
    Raises ConfigError for an unknown set.
    """
    name = _known(feature_set).name

    def kernel(bars: pa.Table) -> pa.Table:  # Spark reads these types
        return _computed(name, bars)

    return kernel


def spark_schema(feature_set: str) -> str:
    """Return the columns of a kernel's result in Spark's notation.

    >>> spark_schema("minute")[:48]
    'symbol string, date date, time timestamp, `retur'
    """
    known = _known(feature_set)
    time = ", time timestamp" if known.timeframe == "1m" else ""
    return f"symbol string, date date{time}, " + ", ".join(f"`{name}` double" for name in known.names)


def _computed(feature_set: str, bars: pa.Table) -> pa.Table:
    frame = pl.DataFrame(bars)
    rows = compute(SETS[feature_set].features, frame.sort(name for name in INDEX if name in frame.columns))
    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.set_column(0, "symbol", table["symbol"].cast(pa.string()))  # Spark's texts are not large ones


def _known(feature_set: str) -> FeatureSet:
    known = SETS.get(feature_set)
    if known is None:
        raise ConfigError(f"there is no feature set {feature_set!r}; use one of {', '.join(SETS)}")
    return known
