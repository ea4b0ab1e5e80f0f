"""What an erasure leaves of a table with checkpoints, replaced files and damaged objects that were put aside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from quantx.core.tables import BARS_1D
from quantx.lake.mend import set_aside
from quantx.lake.protocol import CommitContext
from quantx.lake.replay import read_log
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable

CLOSE = 4217.375


def rows(symbol: str, number: int, close: float) -> pl.DataFrame:
    day = date(2024, 1, 1) + timedelta(number)
    row = {"source": "yahoo", "year": 2024, "symbol": symbol, "date": day, "close": close, "volume": 1}
    return pl.DataFrame([row | {"known_from": datetime(2024, 6, 1, tzinfo=UTC)}], schema=dict(BARS_1D.schema))


def texts(folder: Path) -> bytes:
    parts = []
    for path in folder.rglob("*"):
        if path.is_file():
            parts.append(path.read_bytes())
            if path.suffix == ".parquet":
                parts.append(str(pl.read_parquet(path, hive_partitioning=False).to_dicts()).encode())
    return b"".join(parts)


def test_no_checkpoint_entry_or_damaged_object_has_an_erased_value(tmp_path: Path) -> None:
    location = open_location(str(tmp_path / "lake"))
    table = LakeTable(location, BARS_1D)
    for number in range(25):
        table.commit(CommitContext(), rows("AAA", number, CLOSE))
        table.commit(CommitContext(), rows("BBB", number, 10.0 + number))
    damaged = table.files()["path"][0]
    set_aside(location, f"{BARS_1D.path}/{damaged}", keep_name=False)
    table.fold(CommitContext(), 1, tail=0)  # with a checkpoint
    held = LakeTable(location, BARS_1D)
    assert held.read().height == 50
    earlier = DeltaTable(held.url)
    assert (checkpoints := list((tmp_path / "lake").rglob("*.checkpoint.parquet")))
    assert str(CLOSE).encode() in texts(tmp_path)

    version = table.version()
    erased = table.erase(CommitContext(), (pl.col("symbol") == "AAA").fill_null(False), "yahoo")
    assert (erased.rows, erased.entries > 0, erased.files > 0) == (25, True, True)
    assert str(CLOSE).encode() not in texts(tmp_path)
    assert list((tmp_path / "lake").rglob("*.checkpoint.parquet")) != checkpoints
    log = read_log(location, BARS_1D.path)
    assert log is not None
    assert (log.damages, log.whole, log.version) == ([], True, (version or 0) + 1)
    for reader in (held, LakeTable(location, BARS_1D)):
        assert reader.read().sort("date")["close"].to_list() == [10.0 + number for number in range(25)]
    assert pl.read_delta(held.url).height == 25
    with pytest.raises((OSError, pl.exceptions.PolarsError)):  # of an older version, never other rows
        pl.scan_delta(earlier).collect()
    assert table.commit(CommitContext(), rows("CCC", 1, 1.0))
