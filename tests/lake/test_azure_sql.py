"""SQL on a remote lake: DuckDB reads lazy frames, which take columns and filters to the store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quantx.core.tables import ACTIONS, BARS_1D, TABLES
from quantx.errors import ConfigError, SqlError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake
from quantx.settings import load_settings, preferred_vendors

from ..azurite import Azurite

KNOWN = datetime(2024, 1, 12, 22, tzinfo=UTC)


def test_queries_of_a_remote_lake(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = load_settings(
        lake_url=f"az://{azurite.new_container()}/lake",
        azure_storage_connection_string=azurite.connection_string,
        cache_size="0",
    )
    location = open_location(settings.lake_url, settings)
    tables = open_tables(location, TABLES)
    days = [date(2022, 12, 1) + timedelta(days=n) for n in range(60)]
    bars = [
        (source, d.year, symbol, d, 1.0 + n, 2.0 + n, 0.5 + n, 1.5 + n, n, "USD", "r", KNOWN)
        for source, symbol in (("yahoo", "AAA"), ("yahoo", "BBB"), ("alpaca", "BBB"))
        for n, d in enumerate(days)
    ]
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame(bars, schema=dict(BARS_1D.schema), orient="row"))
    split = [("yahoo", "AAA", days[30], "split", 2.0, None, "USD", "r", KNOWN)]
    tables["actions"].commit(CommitContext(1), pl.DataFrame(split, schema=dict(ACTIONS.schema), orient="row"))

    lake = Lake(location, partial(preferred_vendors, settings.sources))
    ours = lake.sql("select * exclude currency from bars order by symbol, date")
    assert_frame_equal(ours, lake.bars(["AAA", "BBB"]).drop("adj_close"))
    adjusted = lake.sql("select * from bars_adjusted where symbol = 'AAA' order by date")
    assert_frame_equal(adjusted, lake.bars("AAA", adjust="total"))
    assert lake.sql("select count(*) from bars_asof('2024-01-11')").item() == 0
    assert lake.sql("select count(*) from bars_asof('2024-01-12')").item() == 120
    assert lake.sql("select count(*) from verdicts").item() == 0
    # A new version is seen by the next query.
    tables["bars_1d"].commit(
        CommitContext(2),
        pl.DataFrame(bars[:1], schema=dict(BARS_1D.schema), orient="row").with_columns(pl.lit("CCC").alias("symbol")),
    )
    assert lake.sql("select count(*) from bars where symbol = 'CCC'").item() == 1
    with pytest.raises(SqlError, match=r"longer than 0\.3"):
        lake.sql("select count(*) from range(100000000) a, range(1000000) b where a.range + b.range = -1", timeout=0.3)
    with pytest.raises(SqlError, match="no table"):
        lake.sql("select * from frame_bars_1d")
    with pytest.raises(ConfigError, match="needs a lake in a local folder"):
        lake.write_views(tmp_path_factory.mktemp("views") / "x.duckdb")
