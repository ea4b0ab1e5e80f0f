"""Members as their sources give them: nothing is guessed, nothing wrong gets in."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.errors import ConfigError
from quantx.universes.declaration import UniverseSpec, read_declaration
from quantx.universes.protocol import MEMBERS
from quantx.universes.sources import parse_members, read_document, read_members
from quantx.universes.web import Web


def static(*symbols: str) -> UniverseSpec:
    return UniverseSpec(name="mine", market="us", type="static", symbols=symbols)


def from_csv(tmp_path: Path, text: str | bytes, **columns: Any) -> pl.DataFrame:
    path = tmp_path / "members.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    declared = {"name": "mine", "market": "us", "type": "csv", "path": "members.csv", **columns}
    return read_members(UniverseSpec.model_validate(declared), tmp_path)


def test_static_members_are_members_since_ever(tmp_path: Path) -> None:
    members = read_members(static("MSFT", "aapl", "0700.HK"), tmp_path)
    assert members.rows() == [
        ("0700.HK", "hk", None, None, None),
        ("AAPL", "us", None, None, None),
        ("MSFT", "us", None, None, None),
    ]
    assert dict(members.schema) == MEMBERS


def test_a_csv_gives_symbols_names_and_intervals(tmp_path: Path) -> None:
    text = "ticker,company,from,to\nMSFT,Microsoft,1994-06-01,\nGE,General Electric,,2018-06-25\n"
    members = from_csv(
        tmp_path, text, symbol_column="ticker", name_column="company", from_column="from", to_column="to"
    )
    assert members.rows() == [
        ("GE", "us", "General Electric", None, date(2018, 6, 25)),
        ("MSFT", "us", "Microsoft", date(1994, 6, 1), None),
    ]


def test_symbols_that_look_like_truths_or_missing_values_are_symbols(tmp_path: Path) -> None:
    members = from_csv(tmp_path, "symbol\nTRUE\nNA\nNAN\nNULL\nON\nE\n")
    assert members["symbol"].to_list() == ["E", "NA", "NAN", "NULL", "ON", "TRUE"]


def test_names_that_look_like_missing_values_are_names(tmp_path: Path) -> None:
    members = from_csv(tmp_path, 'symbol,name\nA,NA\nB,"Berkshire, Hathaway"\n', name_column="name")
    assert members["name"].to_list() == ["NA", "Berkshire, Hathaway"]


@pytest.mark.parametrize(
    "text",
    ["symbol\r\nAAPL\r\n", "\ufeffsymbol\nAAPL\n", "symbol\nAAPL", "other,symbol\n1,AAPL\n", 'symbol\n" aapl "\n'],
    ids=[
        "line ends of Windows",
        "a byte order mark",
        "no last line end",
        "other columns",
        "white space and small letters",
    ],
)
def test_harmless_forms_of_a_csv_are_read(tmp_path: Path, text: str) -> None:
    assert from_csv(tmp_path, text)["symbol"].to_list() == ["AAPL"]


def test_one_symbol_may_have_several_intervals(tmp_path: Path) -> None:
    text = "symbol,from,to\nDELL,1996-09-06,2013-10-29\nDELL,2024-09-23,\n"
    members = from_csv(tmp_path, text, from_column="from", to_column="to")
    assert members.select("member_from", "member_to").rows() == [
        (date(1996, 9, 6), date(2013, 10, 29)),
        (date(2024, 9, 23), None),
    ]


def test_the_same_row_twice_is_one_member(tmp_path: Path) -> None:
    assert from_csv(tmp_path, "symbol\nAAPL\nAAPL\n").height == 1
    assert read_members(static("AAPL", "AAPL"), tmp_path).height == 1


DATES = {"from_column": "from", "to_column": "to"}
BAD: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "an empty file": ("", {}, r"can't read"),
    "only a header": ("symbol\n", {}, r"has no members; the last good list stays"),
    "a missing column": ("ticker,name\nAAPL,Apple\n", {}, r"has no column 'symbol'; it has ticker, name"),
    "a missing date column": ("symbol\nAAPL\n", {"from_column": "since"}, r"has no column 'since'"),
    "a path as a symbol": ("symbol\n../../x\n", {}, r"invalid member in row 2 of .*: '../../x' is not a symbol"),
    "a formula": ("symbol\n=cmd()\n", {}, r"'=cmd\(\)' is not a symbol"),
    "an empty symbol": ('symbol,name\nAAPL,a\n"",b\n', {}, r"'' is not a symbol"),
    "a page instead of a list": ("<html>\n<body>Page Not Available</body>\n", {}, r"is an HTML page"),
    "a date in words": ("symbol,from,to\nAAPL,yesterday,\n", DATES, r"'from' has 'yesterday', which is not a date"),
    "an American date": ("symbol,from,to\nAAPL,01/31/2024,\n", DATES, r"which is not a date, use YYYY-MM-DD"),
    "a day that does not exist": ("symbol,from,to\nAAPL,,2023-02-29\n", DATES, r"'to' has '2023-02-29'"),
    "an end before the beginning": (
        "symbol,from,to\nAAPL,2024-01-31,2023-01-31\n",
        DATES,
        r"can't leave \(2023-01-31\)",
    ),
    "two facts for one symbol": (
        "symbol,name\nAAPL,Apple\nAAPL,Ananas\n",
        {"name_column": "name"},
        r"has AAPL twice",
    ),
    "another encoding": ("symbol,name\nA,Société\n".encode("latin-1"), {"name_column": "name"}, r"can't read"),
    "a row with too many cells": ("symbol\nAAPL,MSFT\n", {}, r"can't read"),
    "a zip": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00" * 4, {}, r"can't read|has no column"),
}


@pytest.mark.parametrize(("text", "columns", "message"), BAD.values(), ids=BAD)
def test_a_wrong_list_is_refused_whole(
    tmp_path: Path, text: str | bytes, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        from_csv(tmp_path, text, **columns)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the universe mine can't read .*missing\.csv"):
        read_members(UniverseSpec(name="mine", market="us", type="csv", path=Path("missing.csv")), tmp_path)


def test_a_file_that_is_far_too_large_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "members.csv").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(ConfigError, match="more than 20 MB"):
        read_members(UniverseSpec(name="mine", market="us", type="csv", path=Path("members.csv")), tmp_path)


def test_a_wrong_static_symbol_is_refused(tmp_path: Path) -> None:
    message = r"the universe mine has an invalid member in position 2 of `symbols`: 'BRK_B' is not a symbol"
    with pytest.raises(ConfigError, match=message):
        read_members(static("AAPL", "BRK_B"), tmp_path)


# ---------------------------------------------------------------------------------------------- one share, many forms

# The declared market and suffix, the cells, and their symbols.
FORMS: list[tuple[str, str, list[str], list[str]]] = [
    ("us", "", ["BRK-B", "BF/B", "HEI A", "MOG.A", "ABR$D", "BAC-PL"],
     ["BRK.B", "BF.B", "HEI.A", "MOG.A", "ABR.PRD", "BAC.PRL"]),
    ("eu", ".L", ["BP.", "BT.A", "VOD", "SHEL"], ["BP.L", "BT-A.L", "VOD.L", "SHEL.L"]),
    ("eu", ".ST", ["ERIC B", "VOLV-B", "SAND"], ["ERIC-B.ST", "VOLV-B.ST", "SAND.ST"]),
    ("eu", "", ["ERIC B.ST", "NOVO B.CO", "BT.A.L", "ASML.AS"], ["ERIC-B.ST", "NOVO-B.CO", "BT-A.L", "ASML.AS"]),
    ("hk", "", ["5", "00700", "700.HK", "80700"], ["0005.HK", "0700.HK", "80700.HK"]),
    ("hk", ".HK", ["5", "700", "00941"], ["0005.HK", "0700.HK", "0941.HK"]),
]  # fmt: skip


@pytest.mark.parametrize(("market", "suffix", "cells", "symbols"), FORMS)
def test_a_table_may_have_the_forms_of_the_other_lists(
    tmp_path: Path, market: str, suffix: str, cells: list[str], symbols: list[str]
) -> None:
    members = from_csv(tmp_path, "\n".join(("symbol", *cells)), market=market, symbol_suffix=suffix)
    assert members["symbol"].to_list() == sorted(symbols)


def test_a_workbooks_numbers_get_their_zeros_back(tmp_path: Path) -> None:
    padded = {"symbol_pad": 4, "market": "hk", "symbol_suffix": ".HK"}
    assert from_csv(tmp_path, "symbol\n5\n700.0\n80700\n", **padded)["symbol"].to_list() == [
        "0005.HK",
        "0700.HK",
        "80700.HK",
    ]
    tokyo = from_csv(tmp_path, "symbol\n7203.0\n1332\n285A\n", symbol_pad=4, market="jp", symbol_suffix=".T")
    assert tokyo["symbol"].to_list() == ["1332.T", "285A.T", "7203.T"]


UNCLEAR = [
    ({"market": "eu"}, "symbol\nBT.A\n", r"row 2 of .*'BT.A' is a share class without an exchange.*`symbol_suffix`"),
    ({"market": "jp"}, "symbol\n7203\n", r"row 2 of .*declare the exchange's suffix, as in `symbol_suffix: .T`"),
    ({"market": "us"}, "symbol\nAAPL\nNYSE:IBM\n", r"universe mine .*row 3 of .*declare `symbol_pattern`"),
    ({"market": "us"}, "symbol\nAAPL;MSFT\n", r"universe mine .*row 2 of .*declare `separator: \";\"`"),
    ({"market": "us"}, "The list\nsymbol;name\nAAPL;Apple\n", r"mine: row 2 of .* is .*declare `separator: \";\"`"),
    ({"market": "us"}, "symbol\tname\nAAPL\tApple\n", r"mine: row 1 of .*declare `separator: \"\\t\"`"),
]


@pytest.mark.parametrize(("declared", "text", "message"), UNCLEAR)
def test_an_unclear_form_is_refused_with_the_universe_the_position_and_the_mend(
    tmp_path: Path, declared: dict[str, Any], text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        from_csv(tmp_path, text, **declared)


def test_two_spellings_of_one_share_are_one_member_with_a_remark(tmp_path: Path) -> None:
    declared = UniverseSpec.model_validate(
        {"name": "mine", "market": "hk", "type": "static", "symbols": ["0005.HK", "00005.HK", "00700.HK"]}
    )
    listing = parse_members(declared, read_document(declared, tmp_path, Web()))[1]
    assert [member[0] for member in listing.members] == ["0005.HK", "0700.HK"]
    assert listing.remarks == ["0005.HK and 00005.HK are one share, 0005.HK; the first is used"]
    assert from_csv(tmp_path, "symbol,name\nAKO.B,Andina\nAKO-B,Embotelladora\n", name_column="name").height == 1


def test_every_universe_that_is_shipped_can_be_read() -> None:
    path = Path(__file__).parents[2] / "config" / "universes.yaml"
    for _, spec in read_declaration(path).select(None, None):
        members = read_members(spec, path.parent)
        assert set(members["market"]) == {spec.market}
