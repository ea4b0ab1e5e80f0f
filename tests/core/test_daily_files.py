"""Daily files in each form that vendors and download jobs write, and what is none."""

from __future__ import annotations

import gzip
import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quantx.cli.app import run
from quantx.core.daily_files import read_daily_file
from quantx.core.quality.daily_file_checks import check_file

FORMS = {
    "yahoo": "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,1,2,0.5,1.5,1.4,100\n"
    "2024-01-03,null,null,null,null,null,null\n",
    "yahoo_events": (
        "Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits,Capital Gains\n"
        "2024-01-02 00:00:00-05:00,1,2,0.5,1.5,1.4,100,0.2,4,0\n2024-01-03 00:00:00-05:00,1,2,0.5,1.5,1.5,90,0,0,0\n"
    ),
    "yahoo_times": (
        "Datetime,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits,Repaired?\n"
        "2024-01-02 00:00:00-05:00,1,2,0.5,1.5,1.4,100,0.2,4,False\n"
        "2024-01-03 00:00:00-05:00,1,2,0.5,1.5,1.5,90,0,0,False\n"
    ),
    "quandl": (
        "Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio,AdjOpen,AdjHigh,AdjLow,AdjClose,AdjVolume\n"
        "2024-01-02,1,2,0.5,1.5,100,0.2,4.0,1,2,0.5,1.4,100\n2024-01-03,1,2,0.5,1.5,90,0.0,1.0,1,2,0.5,1.5,90\n"
    ),
    "yfinance": (
        "Price,Close,High,Low,Open,Volume\nTicker,0700.HK,0700.HK,0700.HK,0700.HK,0700.HK\nDate,,,,,\n"
        "2024-01-02,1.5,2,0.5,1,100\n2024-01-03,1.5,2,0.5,1,90\n"
    ),
    "stooq": "Date,Open,High,Low,Close,Volume\n2024-01-02,1,2,0.5,1.5,100.5\n2024-01-03,1,2,0.5,1.5\n",
    "stooq_polish": "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen\n2024-01-02,1,2,0.5,1.5,100\n"
    "2024-01-03,1,2,0.5,1.5,90\n",
    "stooq_bulk": (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "AAPL.US,D,20240102,000000,1,2,0.5,1.5,100,0\nAAPL.US,D,20240103,000000,1,2,0.5,1.5,90,0\n"
    ),
}


@pytest.mark.parametrize(("name", "text"), FORMS.items(), ids=FORMS)
def test_each_form_is_known_by_its_header(name: str, text: str) -> None:
    file = read_daily_file(text.replace("\n", "\r\n"))
    assert file.layout.name == name
    assert file.strange == ()
    assert file.rows["date"].dt.to_string().to_list() == ["2024-01-02", "2024-01-03"]
    first = file.rows.row(0, named=True)
    assert [first[c] for c in ("open", "high", "low", "close")] == [1.0, 2.0, 0.5, 1.5]
    assert file.is_daily
    if "Dividends" in text or name == "quandl":
        assert (first["adj_close"], first["dividend"], first["split"]) == (1.4, 0.2, 4.0)


def test_lines_that_are_no_rows_are_kept_apart() -> None:
    page = '{"finance":{"error":{"code":"Unauthorized"}}}\n<html>\n2024-01-04,too,few\n'
    file = read_daily_file(page + FORMS["yahoo"].split("\n", 1)[1] + page)
    assert (file.layout.name, file.rows.height, len(file.strange)) == ("yahoo", 2, 6)


@pytest.mark.parametrize("text", ["", "404 Not Found", "Date,Open,High,Low,Close,Adj Close,Volume\n", "<html>"])
def test_a_file_without_rows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no daily rows in a known layout"):
        read_daily_file(text)


def test_the_command_judges_files_and_names_those_it_cannot_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "BRK-B.csv.gz").write_bytes(gzip.compress(FORMS["yahoo"].encode()))
    (tmp_path / "AAPL.csv").write_text("404 Not Found")
    assert run(["validate", "files", str(tmp_path), "--json"]) == 1
    unread, read = json.loads(capfd.readouterr().out)
    assert "no daily rows" in unread["why"]
    assert (read["symbol"], read["rows"], [row["rules"] for row in read["rejected"]]) == (
        "BRK.B",
        2,
        ["prices_present,volume_valid"],
    )


def test_the_command_asks_for_a_symbol_that_the_name_does_not_tell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "my prices.csv"
    strange.write_text(FORMS["quandl"])
    assert run(["validate", "files", str(strange)]) == 1
    assert "use --symbol" in capfd.readouterr().err
    assert run(["validate", "files", str(strange), "--symbol", "AAPL"]) == 0
    assert run(["validate", "files", str(tmp_path), str(strange), "--symbol", "AAPL"]) == 2
    assert run(["validate", "files", str(tmp_path / "none.csv")]) == 2


@pytest.mark.parametrize(("step", "found"), [(1.3, True), (1.03, True), (1.0, False), (0.8, False)])
def test_without_dividends_an_adjusted_close_proves_something_where_it_steps_up(step: float, found: bool) -> None:
    """What is paid makes the adjusted closes before it smaller than the closes, never larger."""
    rows = "".join(
        f"2024-01-{day:02},100,101,99,100,{100 * step if day < 5 else 100},1000\n" for day in (2, 3, 4, 5, 8, 9)
    )
    report = check_file("AAPL", read_daily_file("Date,Open,High,Low,Close,Adj Close,Volume\n" + rows))
    days = report.violations.filter(pl.col("rule") == "adjustment_agrees")["first_day"].to_list()
    assert days == ([date(2024, 1, 5)] if found else [])
