"""Declare the zones of the lake as external tables: `unity_tables.py LAKE CATALOG.SCHEMA`. Nothing is copied.

Bronze is the view `raw` of the vendors' replies, silver the curated tables, and the feature tables lie beside them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from quantx.core.features.tables import FEATURE_TABLES
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, INSTRUMENTS, SYMBOL_HISTORY, UNIVERSE_MEMBERS

SILVER = (BARS_1D, BARS_1D.revisions, BARS_1M, BARS_1M.revisions, ACTIONS, ACTIONS.revisions)
REFERENCE = (INSTRUMENTS, SYMBOL_HISTORY, UNIVERSE_MEMBERS)


def statements(lake: str, schema: str) -> Iterator[str]:
    """Yield the statements that declare everything once."""
    yield f"create schema if not exists {schema}"
    yield f"create or replace view {schema}.raw as select * from parquet.`{lake}/raw`"
    for table in (*SILVER, *REFERENCE, *FEATURE_TABLES):
        yield f"create table if not exists {schema}.{table.name} using delta location '{lake}/{table.path}'"


def declare(spark: Any, lake: str, schema: str) -> None:
    """Run the statements; a table that the lake does not have yet is reported and left out."""
    for statement in statements(lake, schema):
        try:
            spark.sql(statement)
        except AnalysisException as error:  # a table without data files has no schema yet; others stop the job
            print(f"left out: {statement}: {error}")


if __name__ == "__main__":
    declare(SparkSession.builder.getOrCreate(), *sys.argv[1:3])
