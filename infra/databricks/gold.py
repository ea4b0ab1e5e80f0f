"""Bring a gold table of split-adjusted monthly bars up to date: `gold.py CATALOG.SCHEMA PATH`.

The lake needs no change data feed: a row that was added or corrected since a moment has a later `known_from`, and a
replaced one stands in `<table>_revisions` with a later `known_to`. The symbols with such rows are computed again.
The gold table has the property `delta.enableChangeDataFeed`, so that jobs after this one can read its changes.
"""

from __future__ import annotations

import sys
from typing import Any

from pyspark.sql import SparkSession

SOURCE = "yahoo"
FIRST = "1900-01-01 00:00:00"

CHANGED = """
    select distinct symbol from (
        select symbol from {bars} where source = '{source}' and known_from > timestamp '{since}'
        union all select symbol from {actions} where source = '{source}' and known_from > timestamp '{since}'
        union all select symbol from {bars_revisions} where source = '{source}' and known_to > timestamp '{since}'
    )
"""
# The factor of a day is one divided by the product of the ratios of all later splits; a sum of logarithms is a product.
MONTHLY = """
    with adjusted as (
        select b.symbol, b.date, b.high, b.low, b.close, b.volume, b.known_from,
               exp(coalesce(sum(ln(a.value)), 0)) as shares
        from {bars} b
        join changed c on c.symbol = b.symbol
        left join {actions} a
            on a.source = b.source and a.symbol = b.symbol and a.kind = 'split' and a.ex_date > b.date
        where b.source = '{source}'
        group by b.symbol, b.date, b.high, b.low, b.close, b.volume, b.known_from
    )
    select symbol, trunc(date, 'MM') as month,
           max(high / shares) as high, min(low / shares) as low,
           max_by(close / shares, date) as close, sum(volume * shares) as volume, max(known_from) as known_from
    from adjusted group by 1, 2
"""
MERGE = """
    merge into {gold} as g using monthly as m on g.symbol = m.symbol and g.month = m.month
    when matched then update set *
    when not matched then insert *
"""


def update(spark: Any, names: dict[str, str], since: str) -> None:
    """Merge the monthly bars of the symbols that have changed since a moment (UTC) into the gold table."""
    spark.sql(CHANGED.format(**names, source=SOURCE, since=since)).createOrReplaceTempView("changed")
    spark.sql(MONTHLY.format(**names, source=SOURCE)).createOrReplaceTempView("monthly")
    spark.sql(MERGE.format(**names))


def newest(spark: Any, names: dict[str, str]) -> str:
    """Return the newest moment that the gold table has seen; it is the same where nothing was processed."""
    [row] = spark.sql("select max(known_from) as seen from {gold}".format(**names)).collect()
    return FIRST if row["seen"] is None else f"{row['seen']:%Y-%m-%d %H:%M:%S.%f}"


def main(schema: str, path: str) -> None:
    """Create the gold table where it is missing, and update it."""
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    tables = ("bars_1d", "actions", "bars_1d_revisions")
    names = dict(zip(("bars", "actions", "bars_revisions"), (f"{schema}.{name}" for name in tables), strict=True))
    names["gold"] = f"{schema}.bars_monthly"
    spark.sql(
        f"create table if not exists {names['gold']} (symbol string, month date, high double, low double,"
        f" close double, volume double, known_from timestamp) using delta location '{path}'"
        " tblproperties (delta.enableChangeDataFeed = true)"
    )
    update(spark, names, newest(spark, names))


if __name__ == "__main__":
    main(*sys.argv[1:3])
