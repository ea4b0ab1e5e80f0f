"""No query is silently empty: absent symbols are named with the reason, unknown names are errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quantx
from quantx import IncompleteData
from quantx.core.tables import BARS_1D, TABLES, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, NotInLake
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake, open_lake

T1 = datetime(2024, 1, 10, 22, tzinfo=UTC)


def warned(query: Callable[[], Any]) -> tuple[pl.DataFrame, IncompleteData]:
    """Return the frame and the one warning of a query."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = query()
    (one,) = caught
    assert one.filename == __file__  # it points to the user's line
    assert isinstance(one.message, IncompleteData)
    return frame, one.message


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"start": "2030-01-01"}, "bars of other days only, from 2023-12-28 to 2024-01-04"),
        ({"as_of": "2024-01-09"}, "as_of is before the first ingestion; anything is known since 2024-01-10 22:00 UTC"),
        ({"public_by": "2023-12-27"}, "bars of other days only, from 2023-12-28 to 2024-01-04"),
    ],
)
def test_a_symbol_without_bars_is_a_warning_with_the_reason(lake: Lake, how: dict[str, str], reason: str) -> None:
    frame, warning = warned(lambda: lake.bars("AAA", **how))
    assert frame.is_empty()
    assert str(warning) == f"no daily bars of AAA ({reason})"
    assert warning.names == ("AAA",)


def test_a_later_ingestion_of_one_symbol_is_the_reason(lake: Lake) -> None:
    frame, warning = warned(lambda: lake.bars(["AAA", "BBB"], source="yahoo", as_of="2024-01-11T00:00"))
    assert set(frame["symbol"]) == {"AAA"}
    assert (
        str(warning)
        == "no daily bars from yahoo of 1 of 2 symbols: BBB (known since 2024-01-12 22:00 UTC, after as_of)"
    )


def test_a_member_that_was_never_fetched_is_no_unknown_symbol(lake: Lake) -> None:
    frame, warning = warned(lambda: lake.bars(["AAA", "CCC"]))
    assert frame.height == 5
    assert str(warning) == (
        "no daily bars of 1 of 2 symbols: CCC (never fetched; `quantx backfill --symbols CCC --start 2000-01-01`"
        " fetches it)"
    )
    with pytest.warns(IncompleteData, match="no actions of CCC: never fetched"):
        assert lake.actions(["AAA", "CCC"]).height == 2


def test_a_symbol_with_bars_and_no_actions_is_usual(lake: Lake) -> None:
    assert lake.actions("BRK.B").is_empty()
    with pytest.warns(IncompleteData, match="no actions of AAA: nothing of it was known before 2024-01-10 22:00 UTC"):
        assert lake.actions("AAA", as_of="2024-01-01").is_empty()


@pytest.mark.parametrize("query", ["bars", "actions", "revisions", "symbol_history"])
def test_an_unknown_symbol_is_an_error_with_the_alike_ones(lake: Lake, query: str) -> None:
    with pytest.raises(NotInLake, match=r"knows no symbol AAB \(did you mean AAA\?\); .*--symbols AAB") as raised:
        getattr(lake, query)(["AAA", "AAB"])
    assert raised.value.names == ("AAB",)


def test_an_unknown_source_universe_or_table_is_an_error_with_the_alike_ones(lake: Lake) -> None:
    for query in (
        lambda: lake.bars("AAA", source="yahho"),
        lambda: lake.actions("AAA", source="yahho"),
        lambda: lake.revisions("AAA", source="yahho"),
        lambda: lake.symbols(source="yahho"),
    ):
        with pytest.raises(NotInLake, match=r"\(did you mean yahoo\?\)"):
            query()
    for query in (lambda: lake.universe("uss"), lambda: lake.membership("uss"), lambda: lake.panel(universe="uss")):
        with pytest.raises(NotInLake, match=r"no universe 'uss' \(did you mean us\?\); it has us"):
            query()
    with pytest.raises(NotInLake, match=r"no table 'bars_1' \(did you mean bars_1"):
        lake.scan("bars_1")
    with pytest.raises(ConfigError, match=r"'clsoe' \(did you mean close\?\)"):
        lake.panel("clsoe", symbols="AAA")


def test_a_program_can_turn_the_warning_into_an_error(lake: Lake) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", quantx.IncompleteData)
        with pytest.raises(quantx.IncompleteData, match="CCC"):
            lake.bars("CCC")


def test_a_panel_of_a_universe_has_a_column_for_each_member(tmp_path: Path) -> None:
    tables = open_tables(open_location(str(tmp_path)), TABLES)
    names = [f"M{n:02d}" for n in range(20)]
    members = [("u", "p", name, "us", None, None, None, T1) for name in names]
    tables["universe_members"].commit(
        CommitContext(1), pl.DataFrame(members, schema=dict(UNIVERSE_MEMBERS.schema), orient="row")
    )
    lake = open_lake(tmp_path)
    panel, warning = warned(lambda: lake.panel(universe="u"))
    assert (panel.columns, panel.height) == (["date", *names], 0)
    assert "has no table bars_1d yet; `quantx backfill` fetches them" in str(warning)
    assert warning.names == tuple(names)
    bar = ("yahoo", 2024, "M03", date(2024, 1, 2), 1.0, 1.0, 1.0, 1.0, 1, "USD", "r", T1)
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame([bar], schema=dict(BARS_1D.schema), orient="row"))
    panel, warning = warned(lambda: lake.panel(["close", "volume"], universe="u"))
    assert panel.columns == ["date", *(f"close_{n}" for n in names), *(f"volume_{n}" for n in names)]
    assert panel.schema["close_M00"] == pl.Float64
    assert panel.row(0, named=True)["close_M03"] == 1.0
    assert [panel[f"close_{n}"].null_count() for n in names if n != "M03"] == [1] * 19
    assert str(warning).startswith("no daily bars of 19 of 20 symbols: M00, M01, M02, M04, M05 and 14 more (19 never")
    assert warning.names == tuple(n for n in names if n != "M03")


def test_what_was_checked_once_is_not_read_again(lake_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(lake_folder)
    reads: list[str] = []
    rows = lake._stored.rows
    monkeypatch.setattr(lake._stored, "rows", lambda table, *how: reads.append(table.name) or rows(table, *how))
    counts = []
    for symbol in ("AAA", "CCC", "CCC"):
        reads.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lake.bars(symbol, columns="close")
        counts.append(reads.count("bars_1d"))
    assert counts == [1, 2, 1]  # a symbol with bars costs nothing more, and an absent one is searched once


def test_a_folder_that_is_no_lake_is_an_error(tmp_path: Path, lake_folder: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigError, match="there is no lake in"):
            open_lake(folder)
    with pytest.raises(ConfigError, match=rf"did you mean {lake_folder}\?"):
        open_lake(lake_folder.parent)
    with pytest.raises(ConfigError, match=rf"did you mean {lake_folder}\?"):
        open_lake(lake_folder / "curated")
    assert list(tmp_path.iterdir()) == []


def test_a_lake_without_tables_states_it(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    lake = open_lake(tmp_path)
    assert "no tables yet; `quantx backfill` fetches bars" in repr(lake)
    for query in (
        lambda: lake.bars("AAA"),
        lambda: lake.bars("AAA", timeframe="1m"),
        lambda: lake.panel(symbols="AAA"),
    ):
        assert warned(query)[0].is_empty()
    assert lake.revisions().is_empty()
    assert lake.symbols().is_empty()
    with pytest.raises(NotInLake, match="none; run `quantx refresh-universe`"):
        lake.universe("us")


def test_the_forms_of_vendors_are_understood(lake: Lake) -> None:
    assert lake.bars(["BRK-B", "700.HK"])["symbol"].to_list() == ["0700.HK", "BRK.B"]
    assert lake.panel(symbols=["brk/b", "AAA.US"], start="2024-01-02", end="2024-01-02").columns == [
        "date",
        "AAA",
        "BRK.B",
    ]
    with pytest.raises(ConfigError, match=r"write 0700\.HK for Hong Kong"):
        lake.bars("700")
