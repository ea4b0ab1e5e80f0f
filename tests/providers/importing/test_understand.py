"""What files mean: forms that vendors and tools write, the recorded ones among them, and what is never guessed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from quantx.errors import InvalidSymbol
from quantx.providers.importing.form import FileForm, PageOrigin
from quantx.providers.importing.found import FileReader, FoundFile, LeftOut, find_files
from quantx.providers.importing.names import SymbolRule
from quantx.providers.importing.options import ImportOptions, parse_columns
from quantx.providers.importing.read import read_file
from quantx.providers.importing.understand import NoBars, Understood, understand
from quantx.providers.importing.values import Undeclared
from quantx.providers.reply_values import WrongForm

AS_TRADED = ImportOptions(basis="as_traded")
ROWS = "date,open,high,low,close,volume\n2024-01-02,10,12,9,11,1000\n2024-01-03,11,13,10,12.5,2000\n"


def read(
    text: str | bytes, options: ImportOptions = AS_TRADED, name: str = "AAPL.csv"
) -> list[Understood | InvalidSymbol]:
    body = text.encode() if isinstance(text, str) else text
    return list(understand(FoundFile(Path("/data") / name), body, options))


def only(text: str | bytes, options: ImportOptions = AS_TRADED, name: str = "AAPL.csv") -> Understood:
    (found,) = read(text, options, name)
    assert isinstance(found, Understood)
    return found


def closes(found: Understood) -> list[tuple[date, float]]:
    return found.rows.rows.select("date", "close").rows()


DAYS = [(date(2024, 1, 2), 11.0), (date(2024, 1, 3), 12.5)]

SAME = {
    "plain": ROWS,
    "mark_of_order": b"\xef\xbb\xbf" + ROWS.encode(),
    "utf_16": ROWS.encode("utf-16"),
    "crlf": ROWS.replace("\n", "\r\n"),
    "no_last_line_end": ROWS.rstrip("\n"),
    "tabs": ROWS.replace(",", "\t"),
    "semicolons_and_decimal_commas": ROWS.replace(",", ";").replace(".", ","),
    "quoted": "".join(",".join(f'"{c}"' for c in line.split(",")) + "\n" for line in ROWS.splitlines()),
    "thousands": ROWS.replace("1000", '"1,000"').replace("2000", '"2,000"'),
    "newest_first": "\n".join([ROWS.splitlines()[0], *ROWS.splitlines()[:0:-1]]),
    "compact_dates": ROWS.replace("-", ""),
    "day_first_by_another_row": "Date;Open;High;Low;Close;Volume\n02.01.2024;10;12;9;11;1000\n"
    "03.01.2024;11;13;10;12,5;2000",
    "epoch": "timestamp,open,high,low,close,volume\n1704153600,10,12,9,11,1000\n1704240000000,11,13,10,12.5,2000\n"
    .replace("1704240000000", "1704240000"),
    "nasdaq_com": "Date,Close/Last,Volume,Open,High,Low\n01/02/2024,$11.00,1000,$10,$12,$9\n"
    "01/13/2024,$12.5,2000,$11,$13,$10\n",
    "investing_com": 'Date,Price,Open,High,Low,Vol.,Change %\n"Jan 02, 2024",11,10,12,9,1.00K,1%\n'
    '"Jan 03, 2024",12.5,11,13,10,2.00K,2%\n',
    "carriage_returns_only": ROWS.replace("\n", "\r"),
    "long_months": ROWS.replace("2024-01-02", '"January 2, 2024"').replace("2024-01-03", '"January 3, 2024"'),
    "epoch_of_microseconds": ROWS.replace("2024-01-02", "1704171600000000").replace("2024-01-03", "1704258000000000"),
    "polygon_flat_file": "ticker,volume,open,close,high,low,window_start,transactions\n"
    "AAPL,1000,10,11,12,9,1704171600000000000,1\nAAPL,2000,11,12.5,13,10,1704258000000000000,1\n",
    "with_a_preface": "Symbol: AAPL\nExported 2024\n" + ROWS,
    "midnights_with_an_offset": ROWS.replace("2024-01-02", "2024-01-02 00:00:00-05:00").replace(
        "2024-01-03", "2024-01-03T00:00:00-05:00"
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", SAME)
def test_the_same_rows_in_many_forms(form: str) -> None:
    wanted = DAYS if form != "nasdaq_com" else [DAYS[0], (date(2024, 1, 13), 12.5)]
    found = only(SAME[form])
    assert sorted(closes(found)) == wanted
    assert sorted(found.rows.rows["volume"]) == [1000, 2000]
    # The page is read from its bytes and its form alone.
    origin = PageOrigin.read(PageOrigin("/data/AAPL.csv", "00", found.form).url)
    assert origin.form == found.form
    body = SAME[form]
    assert read_file(body.encode() if isinstance(body, str) else body, origin.form, "AAPL").rows.equals(found.rows.rows)


NEVER_GUESSED: dict[str, tuple[Any, ...]] = {
    "basis": (ROWS, ImportOptions(), "--basis as_traded"),
    "day_and_month": (ROWS.replace("2024-01-02", "01/02/2024").replace("2024-01-03", "01/03/2024"), AS_TRADED,
                      "--date-format %d/%m/%Y"),
    "decimals": ('date,open,high,low,close,volume\n2024-01-02,"1,234","1,236","1,230","1,235",1\n', AS_TRADED,
                 "--decimal"),
    "sign_of_several_currencies": (ROWS.replace(",1", ",$1").replace(",$1000", ",1000"), AS_TRADED, "--currency",
                                   "0700.HK.csv"),
    "no_header": ("2024-01-02,10,12,9,11,1000\n", AS_TRADED, "--columns date,open,high,low,close,volume"),
    "zone": ("time,open,high,low,close\n2024-01-02 09:30,1,1,1,1\n2024-01-02 09:31,1,1,1,1\n2024-01-02 09:32,1,1,1,1\n",
             AS_TRADED, "--zone exchange"),
    "stamps": ("time,open,high,low,close\n2024-01-02T14:40Z,1,1,1,1\n2024-01-02T14:41Z,1,1,1,1\n"
               "2024-01-02T14:42Z,1,1,1,1\n", AS_TRADED, "--stamps start"),
}  # fmt: skip


@pytest.mark.parametrize("fact", NEVER_GUESSED)
def test_what_has_two_readings_names_the_option_that_decides(fact: str) -> None:
    text, options, option, *name = NEVER_GUESSED[fact]
    with pytest.raises(Undeclared, match=option.replace("%", "%")):
        read(text, options, *name)


WRONG = {
    "cut_off": (ROWS.rstrip("\n")[:-8], "cut off"),
    "no_number": (ROWS.replace("12.5", "12.5x"), "line 3: close '12.5x' is no number"),
    "more_cells": (ROWS.replace("2000", "2000,7"), "line 3 has more cells"),
    "weeks": ("date,open,high,low,close,volume\n" + "".join(f"2024-01-{d:02},1,1,1,1,1\n" for d in (1, 8, 15, 22, 29))
              + "2024-02-05,1,1,1,1,1\n", "those of weeks"),
    "few_weeks": ("date,close\n2024-01-05,1\n2024-01-12,1\n2024-01-19,1\n", "those of weeks.*--timeframe 1d"),
    "stooq_hours": ("<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
                    "AAPL.US,60,20240102,220000,1,1,1,1,1,0\n", "the period 60"),
    "lean_hours": ("20140102 09:00,5551900,5560000,5520000,5531300,1\n", "hours of LEAN"),
    "page": ("404 Not Found: No data found, symbol may be delisted", "has no rows"),
    "twice": (ROWS.replace("volume", "close"), "'close' twice"),
    "binary": (b"date,close\n\0\0\0\0", "binary"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_file_is_refused_with_the_fact(mistake: str) -> None:
    text, why = WRONG[mistake]
    with pytest.raises(WrongForm, match=why):
        read(text)


def test_rows_between_messages_of_a_job_are_read_and_the_messages_counted() -> None:
    text = ROWS.replace("2024-01-03", '{"finance": {"error": "Invalid cookie"}}\n<html>out\n</html>\n2024-01-03')
    found = only(text)
    assert closes(found) == DAYS
    assert (found.rows.stray, found.rows.first_stray) == (3, '{"finance": {"error": "Invalid cookie"}}')


def test_a_long_file_has_a_part_for_each_symbol_with_its_own_lines() -> None:
    text = (
        "date,open,high,low,close,volume,Name\n"
        "2024-01-02,1,1,1,1,1,AAPL\n2024-01-02,2,2,2,2,2,BRK.B\n2024-01-03,1,1,1,1,1,AAPL\n2024-01-03,3,3,3,3,3,???\n"
    )
    apple, berkshire, unknown = read(text, name="all_stocks.csv")
    assert isinstance(apple, Understood)
    assert isinstance(berkshire, Understood)
    assert isinstance(unknown, InvalidSymbol)
    assert apple.body == b"".join(
        line + b"\n" for line in text.encode().split(b"\n") if b"Name" in line or b"AAPL" in line
    )
    assert (berkshire.symbol, berkshire.rows.rows["close"].to_list()) == ("BRK.B", [2.0])


def test_the_columns_of_several_symbols_are_told_apart() -> None:
    text = (
        "Price,Close,Close,Open,Open\nTicker,AAPL,MSFT,AAPL,MSFT\nDate,,,,\n"
        "2024-01-02,11,21,10,20\n2024-01-03,12.5,22,11,21\n"
    )
    found = read(text, ImportOptions())
    assert [(each.symbol, closes(each)[1][1], each.form.basis) for each in found if isinstance(each, Understood)] == [
        ("AAPL", 12.5, "total_adjusted"),
        ("MSFT", 22.0, "total_adjusted"),
    ]


def table() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "symbol": ["AAPL", "AAPL", "0700.HK"],
            "date": [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 2)],
            "open": [1.0, 2.0, 3.0],
            "high": [1.0, 2.0, 3.0],
            "low": [1.0, 2.0, 3.0],
            "close": [1.0, 2.0, 3.0],
            "volume": [1, 2, 3],
        }
    )


@pytest.mark.parametrize("name", ["all.parquet", "all.xlsx"])
def test_tables_with_types(name: str) -> None:
    buffer = io.BytesIO()
    if name.endswith("parquet"):
        table().write_parquet(buffer)
    else:
        table().write_excel(buffer)
    apple, tencent = read(buffer.getvalue(), name=name)
    assert isinstance(apple, Understood)
    assert isinstance(tencent, Understood)
    assert (apple.symbol, closes(apple)) == ("AAPL", [(date(2024, 1, 2), 1.0), (date(2024, 1, 3), 2.0)])
    assert (tencent.symbol, tencent.form.kind) == ("0700.HK", "parquet")


def test_a_workbook_of_several_symbols_is_refused_and_notes_before_the_bars_are_not() -> None:
    def workbook(**sheets: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        with xlsxwriter.Workbook(buffer) as book:
            for name, frame in sheets.items():
                frame.write_excel(book, name)
        return buffer.getvalue()

    one, notes = table().head(2).drop("ticker", strict=False), pl.DataFrame({"About": ["text"]})
    with pytest.raises(WrongForm, match="several sheets of bars \\(AAPL, MSFT\\)"):
        read(workbook(AAPL=one, MSFT=one), name="book.xlsx")
    assert read(workbook(Notes=notes, AAPL=table()), name="book.xlsx")


def test_rows_without_a_symbol_or_a_date_are_named() -> None:
    frame = pl.DataFrame({"date": [date(2024, 1, 2), None], "close": [11.0, 12.5], "symbol": ["AAPL", None]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert [isinstance(each, InvalidSymbol) for each in read(buffer.getvalue(), name="all.parquet")][-1:] == [True]
    buffer = io.BytesIO()
    frame.drop("symbol").write_parquet(buffer)
    assert only(buffer.getvalue(), name="AAPL.parquet").rows.stray == 1


def test_days_that_a_file_has_twice_are_days() -> None:
    assert closes(only(ROWS + ROWS.partition("\n")[2])) == DAYS * 2


def test_dates_of_another_order_are_no_stray_lines() -> None:
    text = "date,close\n01/13/2024,1\n" + "01/02/2024,1\n" * 100 + "31/01/2024,1\n"
    with pytest.raises(WrongForm, match="line 103: '31/01/2024' is no date of the form %m/%d/%Y"):
        read(text, ImportOptions(basis="as_traded", date_format="%m/%d/%Y"))


def test_a_sign_after_prices_names_their_currency() -> None:
    assert only("date;close\n2024-01-02;11,50 €\n2024-01-03;12,50 €\n").form.currency == "EUR"


def test_clock_times_of_days_in_a_declared_zone_are_those_of_the_exchange() -> None:
    text = "timestamp,close\n2024-01-01 16:00:00,11\n2024-01-02 16:00:00,12.5\n"
    assert closes(only(text, ImportOptions(basis="as_traded", zone="UTC"), "0700.HK.csv")) == DAYS


def test_a_time_that_the_clock_skips_is_refused() -> None:
    text = "time,close\n" + "".join(f"2024-03-10 02:{m:02},1\n" for m in range(3))
    with pytest.raises(WrongForm, match="02:00:00 is no time in the zone America/New_York"):
        read(text, ImportOptions(zone="America/New_York", stamps="start"), "EURUSD=X.csv")


def test_declared_columns_units_and_symbols() -> None:
    text = "Tag;Kurs;Stück\n31/01/2024;1234,5;7\n"
    options = ImportOptions(
        columns={"date": "Tag", "close": "Kurs", "volume": "Stück"},
        basis="as_traded",
        price_factor=0.01,
        volume_factor=1000,
        symbols=SymbolRule(names={"tencent": "0700.HK"}),
    )
    found = only(text.encode("cp1252"), options, "tencent.csv")
    assert found.symbol == "0700.HK"
    assert found.rows.rows.select("date", "close", "volume").rows() == [(date(2024, 1, 31), 12.345, 7000.0)]


def test_a_file_without_a_header_by_its_declared_order() -> None:
    columns, order = parse_columns("date,-,close")
    found = only("2024-01-02,x,11\n2024-01-03,x,12.5\n", ImportOptions(columns=columns, order=order, basis="as_traded"))
    assert closes(found) == DAYS


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("AAPL.csv", "AAPL"), ("aapl.us.txt", "AAPL"), ("brk-b.us.txt", "BRK.B"), ("aapl_us_d.csv", "AAPL"),
        ("^spx_d.csv", "^GSPC"), ("7203.T_daily.csv", "7203.T"), ("00700.HK.csv", "0700.HK"), ("AAPL_1min.csv", "AAPL"),
        ("AAPL_2019.csv", "AAPL"), ("daily_MSFT.csv", "MSFT"), ("BRK_A.csv", "BRK.A"), ("V.csv", "V"),
        ("BTC-USD.csv", "BTC-USD"), ("EURUSD=X.csv", "EURUSD=X"), ("EURUSD.csv", None),
        ("all_stocks_5yr.csv", None), ("stock data.csv", None), ("data.csv", None), ("DATA.csv", "DATA"),
        ("Apple.csv", None), ("Apple Stock Price History.csv", None), ("20140605_trade.csv", None),
    ],
)  # fmt: skip
def test_symbols_in_the_names_of_files(name: str, symbol: str | None) -> None:
    if symbol is None:
        with pytest.raises(InvalidSymbol):
            SymbolRule().of_file(name, name)
    else:
        assert SymbolRule().of_file(name, name) == symbol


def test_splits_that_prices_do_not_show_are_no_as_traded_prices() -> None:
    head = "date,open,high,low,close,volume,dividend,split\n"
    divided = head + "2014-06-06,92,93,91,92.2,1,0,1\n2014-06-09,92,94,91,93.7,1,0,7\n"
    with pytest.raises(Undeclared, match="--basis split_adjusted"):
        read(divided, ImportOptions())
    traded = divided.replace("92,93,91,92.2", "645,651,644,645.6")
    assert only(traded, ImportOptions()).form.basis == "as_traded"


def test_files_in_folders_and_archives_are_found_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, packed in (("A.csv", ROWS.encode()), ("b/C.csv.gz", gzip.compress(ROWS.encode())),
                         ("b/D.csv.xz", lzma.compress(ROWS.encode())), ("b/E.csv.bz2", bz2.compress(ROWS.encode())),
                         ("README.md", b"text"), ("cut.zip", b"PK\x03\x04cut"), (".hidden.csv", b"x"),
                         ("F.csv.zst", b"x")):  # fmt: skip
        (tmp_path / name).write_bytes(packed)
    with zipfile.ZipFile(tmp_path / "d_us_txt.zip", "w") as archive:
        archive.writestr("data/daily/us/nasdaq stocks/1/aapl.us.txt", ROWS)
        archive.writestr("__MACOSX/aapl.us.txt", "x")
        archive.writestr("inner.zip", "x")
    found = list(find_files([tmp_path]))
    files = [each for each in found if isinstance(each, FoundFile)]
    left = {Path(each.address).name: each.is_failure for each in found if isinstance(each, LeftOut)}
    assert [each.name for each in files] == ["A.csv", "C.csv", "D.csv", "E.csv", "aapl.us.txt"]
    assert left == {"README.md": False, "cut.zip": True, "d_us_txt.zip!inner.zip": True, "F.csv.zst": True}
    reader = FileReader()
    assert {reader.read(each) for each in files} == {ROWS.encode()}
    reader.close()


def test_an_encrypted_member_is_named_as_such(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("AAPL.csv", ROWS)
    packed = bytearray((tmp_path / "all.zip").read_bytes())
    packed[packed.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "all.zip").write_bytes(packed)
    (left,) = find_files([tmp_path])
    assert isinstance(left, LeftOut)
    assert "encrypted" in left.why


def test_a_file_that_unpacks_to_far_more_than_a_table_is_not_read_whole(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "A.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(5):
            file.write(bytes(2**24))
    (found,) = find_files([tmp_path])
    assert isinstance(found, FoundFile)
    with pytest.raises(WrongForm, match="200 times its size"):
        FileReader().read(found)


def test_a_packed_file_that_is_cut_or_empty_is_refused(tmp_path: Path) -> None:
    for name, body, why in (("A.csv.gz", gzip.compress(ROWS.encode())[:-9], "cut off"), ("B.csv", b" \n", "empty")):
        (tmp_path / name).write_bytes(body)
        with pytest.raises(WrongForm, match=why):
            FileReader().read(FoundFile(tmp_path / name))


# --------------------------------------------------------------------------------------------------- recorded files


def recorded(folder: Path, **options: Any) -> Iterator[Understood]:
    reader = FileReader()
    for file in find_files([folder]):
        if isinstance(file, FoundFile):
            try:
                yield from (
                    each
                    for each in understand(file, reader.read(file), ImportOptions(**options))
                    if isinstance(each, Understood)
                )
            except (WrongForm, NoBars, Undeclared):
                continue
    reader.close()


@pytest.mark.parametrize(
    ("folder", "options", "symbols", "basis", "rows"),
    [
        ("daily_us_unadjusted_with_events_quandl_wiki", {}, 39, "as_traded", 170_984),
        ("daily_us_stooq_bulk_txt", {}, 47, "total_adjusted", 167_286),
        ("daily_hk_yfinance_download_csv", {}, 30, "total_adjusted", 91_966),
        ("daily_jp_yfinance", {"basis": "total_adjusted"}, 24, "total_adjusted", 12_160),
        ("daily_us_yahoo_csv/anomalous_small_caps", {}, 20, "split_adjusted", 92_415),
        ("daily_us_yahoo_append_job_dirty", {}, 11, "split_adjusted", None),
    ],
)
def test_recorded_daily_files_are_recognised(
    market_data: Path, folder: str, options: dict[str, str], symbols: int, basis: str, rows: int | None
) -> None:
    found = list(recorded(market_data / folder, **options))
    assert len({each.symbol for each in found}) == symbols
    assert {(each.form.timeframe, each.form.basis) for each in found} == {("1d", basis)}
    if rows is not None:
        assert sum(each.rows.rows.height for each in found) == rows
        assert not any(each.rows.stray for each in found)


def test_recorded_minutes_are_as_traded_and_in_new_yorks_hours(market_data: Path) -> None:
    lean = {(each.symbol, each.first): each for each in recorded(market_data / "minute_us_lean" / "aapl")}
    day = lean["AAPL", date(2014, 6, 9)].rows.rows
    assert (day.height, str(day["time"][0]), day["close"][-1]) == (834, "2014-06-09 08:00:00+00:00", 93.77)
    vantage = list(
        recorded(market_data / "minute_us_alphavantage_2019-02", basis="as_traded", zone="exchange", timeframe="1m")
    )
    one = next(
        each
        for each in vantage
        if each.symbol == "MSFT" and each.form.timeframe == "1m" and each.rows.rows.height > 1000
    )
    assert one.form.stamps == "end"
    assert str(one.rows.rows["time"].min()) == "2019-02-11 14:30:00+00:00"  # stamped 09:31 in New York


def test_marks_of_thousands_far_below_the_first_rows_are_seen() -> None:
    days = pl.date_range(date(2020, 1, 1), date(2022, 12, 31), eager=True)
    text = "date,open,high,low,close,volume\n" + "".join(f"{day},1.5,1.5,1.5,1.5,900\n" for day in days[:-1])
    found = only(f'{text}{days[-1]},1.5,1.5,1.5,1.5,"1,900"\n')
    assert (found.form.thousands, found.rows.rows["volume"][-1]) == (",", 1900)


def test_prices_that_nothing_divides_need_no_basis() -> None:
    assert only(ROWS, ImportOptions(), "BTC-USD.csv").form.basis == "as_traded"
    assert only(ROWS, ImportOptions(), "CL=F.csv").form.basis == "as_traded"


def test_a_form_survives_its_text() -> None:
    form = FileForm(columns={"date": "Trade, Date:1", "close": 4}, separator=";", thousands=" ", price_factor=0.01)
    assert PageOrigin.read(PageOrigin("/a b/ü.csv!x/y.csv", "ab", form).url) == PageOrigin(
        "/a b/ü.csv!x/y.csv", "ab", form
    )
