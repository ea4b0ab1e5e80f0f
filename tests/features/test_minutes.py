"""Builds of minute features: months and symbols whose bars have changed are computed again, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantx.core.features.compute import compute
from quantx.core.features.minute import MINUTE
from quantx.core.features.tables import table_of
from quantx.core.tables import BARS_1M
from quantx.features.minutes import days_of

from .site import FeatureSite

TABLE = table_of(MINUTE)
DAYS = [date(2024, 5, 30), date(2024, 5, 31), date(2024, 6, 3), date(2024, 6, 4)]


def minutes_of(symbol: str, seed: int, days: Sequence[date] = DAYS, count: int = 60) -> pl.DataFrame:
    """Return minutes of a random walk, and one before each session."""
    random = np.random.default_rng(seed)
    times = [
        datetime(d.year, d.month, d.day, 13, 29, tzinfo=UTC) + timedelta(minutes=n) for d in days for n in range(count)
    ]
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.001, len(times))))
    frame = pl.DataFrame(
        {
            "source": "alpaca",
            "month": [t.year * 100 + t.month for t in times],
            "symbol": symbol,
            "date": [t.date() for t in times],
            "time": times,
            "open": close * 1.0001,
            "high": close * 1.001,
            "low": close * 0.999,
            "close": close,
            "volume": random.integers(100, 9_000, len(times)),
            "regular": [t.minute != 29 or t.hour != 13 for t in times],
            "currency": "USD",
            "raw": "raw1",
            "known_from": datetime(2024, 7, 1, tzinfo=UTC),
        }
    )
    return frame.cast(dict(BARS_1M.schema)).select(list(BARS_1M.schema))


@pytest.fixture
def site(tmp_path: Path) -> FeatureSite:
    site = FeatureSite(tmp_path / "lake")
    site.commit(BARS_1M, pl.concat([minutes_of("AAA", 1), minutes_of("BBB", 2)]))
    return site


def stored(site: FeatureSite) -> pl.DataFrame:
    return site.platform.tables[TABLE.name].read().sort("symbol", "time")


def test_a_build_stores_the_minutes_of_regular_sessions_with_the_end_of_their_minute(site: FeatureSite) -> None:
    built = site.build("minute")
    assert (built.rows, built.symbols, built.whole) == (2 * 4 * 59, 2, True)
    rows = stored(site)
    assert rows.select((pl.col("public_at") - pl.col("time") == timedelta(minutes=1)).all()).item()
    assert rows["month"].unique().sort().to_list() == [202405, 202406]
    bars = minutes_of("BBB", 2).filter(pl.col("regular"))
    one = pl.lit(1.0)
    expected = compute(MINUTE.features, bars.with_columns(split_factor=one, total_factor=one))
    assert rows.filter(pl.col("symbol") == "BBB").select(expected.columns).equals(expected)
    assert site.build("minute").rows == 0  # nothing has changed


def test_a_correction_replaces_its_own_session_and_a_new_month_is_added(site: FeatureSite, tmp_path: Path) -> None:
    site.build("minute")
    before = stored(site)
    wrong = minutes_of("AAA", 1).filter(pl.col("time") == datetime(2024, 5, 31, 13, 50, tzinfo=UTC))
    site.commit(BARS_1M, BARS_1M.empty(), wrong.with_columns(pl.col("close") * 1.01))
    site.commit(BARS_1M, minutes_of("BBB", 3, [date(2024, 7, 1)]))
    built = site.build("minute")
    assert (built.rows, built.removed, built.whole) == (59, 0, False)
    changed = stored(site).join(before, on=["symbol", "time", "known_from"], how="anti")
    assert changed.select("symbol", "date").unique().sort("symbol").rows() == [
        ("AAA", date(2024, 5, 31)),
        ("BBB", date(2024, 7, 1)),
    ]
    assert changed.filter(pl.col("symbol") == "AAA")["time"].min() == wrong["time"][0]  # no look-ahead
    assert site.platform.tables[TABLE.revisions.name].read().height == built.changed
    anew = site.copy(tmp_path / "anew")
    anew.build("minute")
    values = [c for c in TABLE.schema if c != "known_from"]
    assert stored(site).select(values).equals(stored(anew).select(values))


def test_a_query_computes_the_minutes_of_its_sessions(site: FeatureSite) -> None:
    site.build("minute")
    shown = site.lake().features("minute", "AAA", start=DAYS[1], end=DAYS[2], timeframe="1m")
    rows = stored(site).filter((pl.col("symbol") == "AAA") & pl.col("date").is_between(DAYS[1], DAYS[2]))
    assert shown.drop("known_from").equals(rows.select(shown.drop("known_from").columns))
    until = datetime(2024, 5, 31, 14, 0, tzinfo=UTC)
    known = site.lake().features("rsi_14", "AAA", start=DAYS[1], public_by=until, timeframe="1m")
    assert known.columns == ["symbol", "date", "time", "rsi_14", "public_at", "known_from"]
    assert known["public_at"].max() == until
    assert known["rsi_14"].equals(shown.filter(pl.col("public_at") <= until)["rsi_14"])


def test_without_minutes_nothing_is_built(tmp_path: Path) -> None:
    assert FeatureSite(tmp_path / "lake").build("minute").rows == 0


def test_a_minute_feature_needs_no_adjustment() -> None:
    assert {each.basis for each in MINUTE.features} == {"traded"}
    assert days_of(202412) == (date(2024, 12, 1), date(2024, 12, 31))


def test_queries_of_minutes_are_stored_rows_or_computed_ones(site: FeatureSite) -> None:
    asked = {"start": DAYS[1], "end": DAYS[2], "timeframe": "1m"}
    computed = site.lake().features("minute", "AAA", **asked)
    site.build(MINUTE)
    lake = site.lake()
    shown = lake.features("minute", "AAA", **asked)
    assert shown.columns[:4] == ["symbol", "date", "time", "return_1"]
    assert shown.height == 2 * 59
    assert shown.drop("known_from").equals(computed.drop("known_from"))
    at = shown["time"][10]
    public = lake.features("rsi_14", "AAA", public_by=at, **asked)
    assert public["time"].max() == at - timedelta(minutes=1)
