"""Symbol histories from files: LEAN's own map files are the known answers."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from quantx.core.symbol_history import Naming, SymbolHistory
from quantx.errors import ConfigError, RefusedList
from quantx.universes.map_files import parse_csv, parse_map_file, read_history
from quantx.universes.protocol import Document

from ..market_data import either

# (symbol, day) → which file's security carried it, from reading the map files by eye.
RECORDED_ANSWERS = [
    ("GOOG", "2010-01-04", "us.GOOG.20040819"),  # googl.csv: class A was GOOG until class C came
    ("GOOG", "2014-04-02", "us.GOOG.20040819"),
    ("GOOG", "2014-04-03", "us.GOOCV.20140327"),
    ("GOOGL", "2014-04-02", None),
    ("GOOGL", "2014-04-03", "us.GOOG.20040819"),
    ("GOOCV", "2014-03-28", "us.GOOCV.20140327"),
    ("GOOAV", "2014-03-28", "us.GOOAV.20140327"),
    ("TWX", "2000-06-30", "us.TWX.19980102"),  # the old Time Warner
    ("AOL", "2000-06-30", "us.AOL.19980102"),
    ("AOL", "2003-10-15", "us.AOL.19980102"),
    ("TWX", "2002-06-28", None),  # AOL Time Warner was AOL then
    ("TWX", "2003-10-16", "us.AOL.19980102"),
    ("TWX", "2018-06-15", "us.AOL.19980102"),
    ("TWX", "2018-06-18", None),
    ("FB", "2000-01-03", "us.FB.19990929"),
    ("FB", "2008-01-02", None),
    ("FB", "2020-01-02", "us.FB.20120518"),
    ("QQQ", "2004-11-30", "us.QQQ.19990310"),
    ("QQQQ", "2005-01-03", "us.QQQ.19990310"),
    ("QQQ", "2005-01-03", None),
    ("QQQ", "2026-01-02", "us.QQQ.19990310"),
    ("AAA", "2006-01-03", "us.AAA.20020522"),
    ("AAA", "2015-01-02", None),
    ("AAA", "2021-01-04", "us.AAA.20200909"),
    ("IBM", "1990-01-02", "us.IBM.19980102"),  # the record begins in 1998, the security does not
]
SAMPLE_ANSWERS = [
    ("QZG", "2010-01-04", "us.QZG.20040819"),
    ("QZG", "2014-04-02", "us.QZG.20040819"),
    ("QZG", "2014-04-03", "us.QZGV.20140327"),
    ("QZGL", "2014-04-02", None),
    ("QZGL", "2014-04-03", "us.QZG.20040819"),
    ("QZGV", "2014-03-28", "us.QZGV.20140327"),
    ("QZTW", "2000-06-30", "us.QZTW.19980102"),
    ("QZTW", "2002-06-28", None),
    ("QZOL", "2003-10-15", "us.QZOL.19980102"),
    ("QZTW", "2003-10-16", "us.QZOL.19980102"),
    ("QZTW", "2018-06-15", "us.QZOL.19980102"),
    ("QZTW", "2018-06-18", None),
    ("QZQ", "2004-11-30", "us.QZQ.19990310"),
    ("QZQQ", "2005-01-03", "us.QZQ.19990310"),
    ("QZQ", "2005-01-03", None),
    ("QZQ", "2026-01-02", "us.QZQ.19990310"),
    ("QZI", "1990-01-02", "us.QZI.19980102"),
]
ANSWERS = either(RECORDED_ANSWERS, SAMPLE_ANSWERS)
ENDED = either(
    {
        "us.AAA.20020522": "2007-05-18",
        "us.FB.19990929": "2003-03-28",
        "us.GOOAV.20140327": "2014-04-02",
        "us.TWX.19980102": "2001-01-11",
        "us.AOL.19980102": "2018-06-15",
    },
    {"us.QZTW.19980102": "2001-01-11", "us.QZOL.19980102": "2018-06-15"},
)


@pytest.fixture(scope="module")
def map_files(market_data: Path) -> Path:
    return market_data / "known_answers" / "lean_map_files"


def test_who_carried_a_symbol_on_a_day_is_what_the_map_files_say(map_files: Path) -> None:
    told = read_history(map_files, "lean")
    known = SymbolHistory(naming for each in told for naming in each.namings)
    assert {(s, d): known.resolve(s, date.fromisoformat(d)) for s, d, _ in ANSWERS} == {
        (s, d): i for s, d, i in ANSWERS
    }
    ended = {each.namings[0].instrument: str(each.namings[-1].last) for each in told if each.reason}
    assert ended == ENDED
    assert len(told) == len(list(map_files.glob("*.csv")))


def document(text: str) -> Document:
    return Document("fb.csv", text.encode())


def test_a_csv_tells_securities_with_names_of_its_own() -> None:
    text = (
        "symbol,from,to,instrument,name,reason\nFB,2012-05-18,2022-06-08,facebook,Meta Platforms,\n"
        "META,2022-06-09,,facebook,,\n"
    )
    (told,) = parse_csv(document(text + "\n"))
    assert told.namings == (
        Naming("facebook", "FB", date(2012, 5, 18), date(2022, 6, 8)),
        Naming("facebook", "META", date(2022, 6, 9), None),
    )
    assert (told.market, told.name, told.reason) == ("us", "Meta Platforms", None)
    assert told.evidence.startswith("fb.csv (SHA-256 ")
    (told,) = parse_csv(document("symbol,from,to,instrument\nLEH,,2008-09-17,lehman\n"))
    assert told.reason == "its symbol history ends"


BAD_MAPS = {
    "nothing": ("", "needs a row with the first day"),
    "one row": ("20120518,fb,Q\n", "needs a row with the first day"),
    "a header": ("date,ticker\n20120518,fb\n20501231,fb\n", "has no day and symbol"),
    "a page": ("<html><title>404</title>\n", "HTML page"),
    "days that fall": ("20120518,fb\n20501231,fb\n20220608,meta\n", "days must increase"),
    "a day that does not exist": ("20120518,fb\n20220632,fb\n", "has no day and symbol"),
    "a symbol of elsewhere": ("20120518,0700.hk\n20501231,0700.hk\n", "not American"),
    "no symbol": ("20120518\n20501231\n", "has no day and symbol"),
}


@pytest.mark.parametrize(("text", "message"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_what_is_no_map_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_map_file(document(text))


BAD_CSVS = {
    "no instrument": ("symbol,from,to,instrument\nFB,,,\n", "FB has no instrument"),
    "no column": ("symbol,from,to\nFB,,\n", "no column 'instrument'"),
    "a day in words": ("symbol,from,to,instrument\nFB,then,,x\n", "Invalid isoformat"),
    "a path": ("symbol,from,to,instrument\n../x,,,x\n", "is not a symbol"),
}


@pytest.mark.parametrize(("text", "message"), BAD_CSVS.values(), ids=BAD_CSVS)
def test_a_csv_that_is_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_csv(document(text))


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no \.csv"):
        read_history(tmp_path, "lean")
    with pytest.raises(ConfigError, match="can't be read"):
        read_history(tmp_path / "none.csv", "csv")


def test_a_file_may_name_the_class_of_a_fund_and_a_wrong_one_is_refused_with_all() -> None:
    (fund,) = parse_csv(document("symbol,from,to,instrument,asset_class\nSPY,1993-01-29,,spy,fund\n"))
    assert fund.asset_class == "fund"
    with pytest.raises(RefusedList, match="'etf' is no asset class; it is one of equity, fund, index"):
        parse_csv(document("symbol,from,to,instrument,asset_class\nSPY,1993-01-29,,spy,etf\n"))
