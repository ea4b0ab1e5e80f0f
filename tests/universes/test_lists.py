"""Lists of exchanges, of the SEC, of Wikipedia and of funds, in the forms that they really have."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.errors import ConfigError, RefusedList
from quantx.providers.yahoo import wire_symbol
from quantx.universes.changes import CurrentMember, MembershipChange, membership
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import american, from_ishares, hong_kong
from quantx.universes.protocol import Document, MemberList
from quantx.universes.sources import parse_members, read_document, same_symbol
from quantx.universes.symbol_lists import listed_symbols
from quantx.universes.web import Web

from ..lists import Lists
from ..market_data import either


def spec(kind: str, **declared: object) -> UniverseSpec:
    return UniverseSpec.model_validate({"name": "mine", "market": "us", "type": kind, **declared})


def parse(kind: str, body: str | bytes, **declared: object) -> pl.DataFrame:
    document = Document("the list", body if isinstance(body, bytes) else body.encode())
    return parse_members(spec(kind, **declared), document)[0]


def parsed(kind: str, body: str, **declared: object) -> MemberList:
    return parse_members(spec(kind, **declared), Document("the list", body.encode()))[1]


# --------------------------------------------------------------------------------------------- one security, many forms

# Canonical, and what Yahoo, the SEC, NASDAQ's lists, Wikipedia, iShares and HKEX write.
FORMS = [
    ("AAPL", "AAPL", "AAPL", "AAPL", "AAPL", "AAPL", None),
    ("BRK.B", "BRK-B", "BRK-B", "BRK.B", "BRK.B", "BRKB", None),
    ("BF.B", "BF-B", "BF-B", "BF.B", "BF.B", "BFB", None),
    ("BAC.PRL", "BAC-PL", "BAC-PL", "BAC$L", None, None, None),
    ("MKC.V", "MKC-V", "MKC-V", "MKC.V", None, None, None),
    ("0700.HK", "0700.HK", None, None, None, None, "00700"),
    ("0005.HK", "0005.HK", None, None, None, None, "5"),
    ("80700.HK", "80700.HK", None, None, None, None, "80700"),
]


@pytest.mark.parametrize(("symbol", "yahoo", "sec", "nasdaq", "wikipedia", "ishares", "hkex"), FORMS)
def test_a_security_has_one_symbol_here_and_a_form_at_each_vendor(
    symbol: str,
    yahoo: str,
    sec: str | None,
    nasdaq: str | None,
    wikipedia: str | None,
    ishares: str | None,
    hkex: str | None,
) -> None:
    assert wire_symbol(symbol) == yahoo
    assert {american(form) for form in (sec, nasdaq, wikipedia) if form} <= {symbol}
    assert {from_ishares(form) for form in (ishares,) if form} <= {symbol}
    assert {hong_kong(form) for form in (hkex,) if form} <= {symbol}


@pytest.mark.parametrize(
    "text", ["", "AACT=", "ACHR+", "ACHR.WS", "0700.HK", "VOD.L", "../x", "A B C", "File Creation Time"]
)
def test_what_has_no_american_symbol_has_none(text: str) -> None:
    assert american(text) is None


# -------------------------------------------------------------------------------------------------------- NASDAQ Trader

HEADER = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
FOOTER = "File Creation Time: 0721202521:31|||||||"
AAPL = "AAPL|Apple Inc. - Common Stock|Q|N|N|100|N|N"
NASDAQ = [
    ("2016-08-15_nasdaqlisted.txt.gz", *either((2999, 2746), (38, 32))),
    ("2016-08-15_otherlisted.txt.gz", *either((5169, 3676), (30, 28))),
    ("2025-07-21_nasdaqlisted.txt.gz", *either((4430, 3516), (38, 32))),
    ("2025-07-21_otherlisted.txt.gz", *either((6491, 3061), (30, 28))),
]


@pytest.mark.parametrize(("name", "securities", "shares"), NASDAQ)
def test_the_lists_of_any_year_are_read_without_test_issues(
    market_data: Path, name: str, securities: int, shares: int
) -> None:
    body = gzip.decompress((market_data / "symbols_nasdaqtrader" / name).read_bytes())
    members = parse("nasdaq_trader", body)
    # Counted apart from the parser: lines that are no test issue and whose symbol is at most four letters.
    rows = [line.split("|") for line in body.decode().splitlines()[1:-1]]
    test = body.decode().splitlines()[0].split("|").index("Test Issue")
    plain = {row[0] for row in rows if row[test] == "N" and row[0].isalpha() and len(row[0]) < 5}
    assert plain <= set(members["symbol"])
    assert not {"ZAZZT", "ZVZZT"} & set(members["symbol"])
    assert (members.height, parse("nasdaq_trader", body, etfs=False).height) == (securities, shares)


def test_rows_can_be_chosen_by_their_exchange(market_data: Path) -> None:
    body = gzip.decompress((market_data / "symbols_nasdaqtrader" / "2025-07-21_otherlisted.txt.gz").read_bytes())
    new_york = parse("nasdaq_trader", body, only={"Exchange": ["N"]})
    assert {"IBM", "BRK.B"} <= set(new_york["symbol"])
    assert "SPY" not in new_york["symbol"]


@pytest.mark.parametrize("footer", [FOOTER, "File Creation Time: 0815201621:32|||||", "File Creation Time: 1"])
def test_the_footer_has_any_number_of_bars(footer: str) -> None:
    assert parse("nasdaq_trader", f"{HEADER}\r\n{AAPL}\r\n{footer}\r\n")["symbol"].to_list() == ["AAPL"]


def test_the_funds_of_a_list_are_named_whether_they_are_members_or_not() -> None:
    fund = "QQQ|Invesco QQQ Trust, Series 1|G|N|N|100|Y|N"
    text = f"{HEADER}\n{AAPL}\n{fund}\n{FOOTER}"
    for etfs, members in ((True, ["AAPL", "QQQ"]), (False, ["AAPL"])):
        listing = parsed("nasdaq_trader", text, etfs=etfs)
        assert [member[0] for member in listing.members] == members
        assert listing.funds == {"QQQ"}


BAD_NASDAQ = {
    "nothing": ("", "does not end with the line"),
    "cut off": (f"{HEADER}\n{AAPL}\nMSFT|Micro", "does not end with the line"),
    "only the footer": (FOOTER, "has no column 'Symbol'"),
    "no member": (f"{HEADER}\n{FOOTER}", "has no members"),
    "a renamed header": (f"{HEADER.replace('Symbol', 'Ticker')}\n{AAPL}\n{FOOTER}", "has no column 'Symbol'"),
    "a lost column": (
        f"{HEADER.replace('|ETF', '')}\n{AAPL.replace('|N|N', '|N', 1)}\n{FOOTER}",
        "has no column 'ETF'",
    ),
    "a lost field": (f"{HEADER}\n{AAPL}\nMSFT|Microsoft|Q|N|N|100|N\n{FOOTER}", "has 7 fields in line 3, not 8"),
    "a symbol twice": (f"{HEADER}\n{AAPL}\n{AAPL}\n{FOOTER}", "has AAPL twice"),
    "a symbol twice with two names": (
        f"{HEADER}\n{AAPL}\n{AAPL.replace('Apple', 'Pear')}\n{FOOTER}",
        "has AAPL twice",
    ),
    "a page with the footer": (f"<html>\n{FOOTER}", "is an HTML page"),
}


@pytest.mark.parametrize(("text", "message"), BAD_NASDAQ.values(), ids=BAD_NASDAQ)
def test_a_list_that_is_not_whole_is_refused(text: str, message: str) -> None:
    with pytest.raises(RefusedList, match=message):
        parse("nasdaq_trader", text)


def test_the_page_that_a_mirror_stored_as_the_list_is_refused(market_data: Path) -> None:
    body = (market_data / "symbols_nasdaqtrader" / "soft_error_page_saved_as_nasdaqlisted.txt").read_bytes()
    with pytest.raises(RefusedList, match=r"HTML page \(Page Not Available\)"):
        parse("nasdaq_trader", body)


# -------------------------------------------------------------------------------------------------------------- the SEC


def test_the_sec_lists_companies_with_a_ticker(market_data: Path, lists: Lists, tmp_path: Path) -> None:
    body = gzip.decompress((market_data / "wire_sec_edgar" / "company_tickers.edgartools.json.gz").read_bytes())
    lists.pages["/files/company_tickers.json"] = body
    declared = spec("sec_tickers")
    with pytest.raises(RefusedList, match="requires a contact; set QUANTX_CONTACT"):
        read_document(declared, tmp_path, Web(base_url=lists.url))
    members, listing = parse_members(declared, read_document(declared, tmp_path, Web("me@here", lists.url)))
    assert members.height + listing.left_out == len(json.loads(body)) == either(9610, 35)
    assert members.height > either(9300, 32)
    assert {"BRK.B", "BAC.PRL", "AAPL"} <= set(members["symbol"])


def test_two_spellings_of_one_share_at_the_sec_are_one_member() -> None:
    rows = [(925261, "AKO-A"), (925261, "AKO-B"), (925261, "AKO.B"), (320193, "AAPL")]
    body = json.dumps({str(i): {"cik_str": cik, "ticker": t, "title": "x"} for i, (cik, t) in enumerate(rows)})
    members, listing = parse_members(spec("sec_tickers"), Document("the list", body.encode()))
    assert members["symbol"].to_list() == ["AAPL", "AKO.A", "AKO.B"]
    assert listing.remarks == ["AKO-B and AKO.B are one share, AKO.B; the first is used"]


def test_two_companies_with_one_symbol_are_refused() -> None:
    rows = [(1, "AKO-B"), (2, "AKO.B")]
    body = json.dumps({str(i): {"cik_str": cik, "ticker": t, "title": "x"} for i, (cik, t) in enumerate(rows)})
    with pytest.raises(RefusedList, match=r"has AKO\.B twice, of the CIK 1 and 2"):
        parse("sec_tickers", body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "it is empty|has no column"),
        ("[1]", "not a JSON list of objects"),
        ('{"0": {"cik_str": 1, "ticker": "A"}}', "no column 'title'"),
        ('{"0": {"cik_str": "x", "ticker": "A", "title": "a"}}', "not a number"),
        ('{"0": {"cik_str": 1, "ticker": "A", "title": "a"}', "can't read"),
        ("[" * 100_000, "can't read"),
        ("<html>", "HTML page"),
    ],
)
def test_what_is_not_the_secs_form_is_refused(text: str, message: str) -> None:
    with pytest.raises(RefusedList, match=message):
        parse("sec_tickers", text)


# -------------------------------------------------------------------------------------------------------- other markets


def test_the_nikkei_and_the_stoxx_are_lists_with_declared_columns(market_data: Path) -> None:
    folder = market_data / "constituents"
    nikkei = parse(
        "csv", (folder / "nikkei225_2026-07.csv").read_bytes(), market="jp", path="n.csv",
        symbol_column="labels", symbol_pattern=r"^([0-9A-Z]{4})\|", symbol_suffix=".T", at_least=either(225, 30),
    )  # fmt: skip
    assert nikkei.height == either(225, 30)
    assert {"7203.T", "543A.T", "285A.T"} <= set(nikkei["symbol"])
    body = gzip.decompress((folder / "stoxx600_2026-05_yahoo_symbols.json.gz").read_bytes())
    stoxx = parse("json", body, market="eu", path="s.json", name_column="name")
    assert stoxx.height == either(596, 42)
    assert set(stoxx["market"]) == {"eu"}


def test_notes_below_a_table_are_no_members() -> None:
    text = (
        "Date,Code,Company Name\n2026/10/30,1332,NISSUI\n2026/10/30,7203,TOYOTA\n"
        '"(c) Nikkei Inc. All rights reserved"\n'
    )
    members = parse("csv", text, market="jp", path="n.csv", symbol_column="Code", symbol_suffix=".T")
    assert members["symbol"].to_list() == ["1332.T", "7203.T"]


def test_the_file_of_the_fund_may_have_lines_about_it_before_and_notes_after() -> None:
    text = (
        'iShares Core S&P 500 ETF\nFund Holdings as of,"Nov 25, 2026"\n \n'
        "Ticker,Name,Sector,Asset Class,Market Value,Exchange\n"
        '"AAPL","APPLE INC","IT","Equity","1,000.00","NASDAQ"\n"BRKB","BERKSHIRE","Fin","Equity","9","NYSE"\n'
        '"XTSLA","BLK CSH FND","Cash","Money Market","1","-"\n'
        '"HOLX","HOLOGIC CVR","H","Equity","0","NO MARKET (E.G. UNLISTED)"\n'
        '\n"The content contained herein is owned or licensed by BlackRock"\n'
    )
    assert parse("ishares", text)["symbol"].to_list() == ["AAPL", "BRK.B"]


# ------------------------------------------------------------------------------------------------------------ Wikipedia


def wikipage(constituents: str, changes: str) -> str:
    return (
        f"<!DOCTYPE html><html><title>List</title><table id='constituents'>{constituents}</table>"
        f"<table id='changes'>{changes}</table></html>"
    )


def rows(*cells: str, tag: str = "td") -> str:
    return "".join(f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in row.split('|'))}</tr>" for row in cells)


TOP = rows("Symbol|Security|Date added", tag="th")
CHANGES = (
    "<tr><th rowspan='2'>Effective Date</th><th colspan='2'>Added</th><th colspan='2'>Removed</th>"
    "<th rowspan='2'>Reason</th></tr>" + rows("Ticker|Security|Ticker|Security", tag="th")
)
MEMBERS = rows("AAPL|Apple[1]|1982-11-30", "META|Meta|2013-12-23", "BRK.B|Berkshire|2010-02-16[2]")
CHANGE = rows("December 23, 2013|FB|Facebook|TER|Teradyne|Size[3]")


NASDAQ100 = "https://en.wikipedia.org/wiki/Nasdaq-100"
OTHER_PAGES = [
    ({}, rows("Company|Ticker[a]", tag="th") + rows("Apple|AAPL[1]", "Meta|META"), ["AAPL", "META"]),
    (
        {},  # a style and a sort key, which no reader of the page sees
        rows("Company|Ticker", tag="th")
        + rows("Apple|<style>.a{}</style>AAPL", 'Meta|<span style="display: none">0<i>1</i></span>META'),
        ["AAPL", "META"],
    ),
    ({"symbol_column": "EPIC", "symbol_suffix": ".L", "market": "eu"}, rows("EPIC|Name", "BP.|BP"), ["BP.L"]),
    ({"symbol_column": "Ticker", "market": "hk"}, rows("Ticker|Name", "SEHK: 5|HSBC", "700|T"), ["0005.HK", "0700.HK"]),
]


@pytest.mark.parametrize(("declared", "table", "symbols"), OTHER_PAGES, ids=["us", "unseen", "eu", "hk"])
def test_the_page_of_another_index_gives_the_members_of_today(
    declared: dict[str, object], table: str, symbols: list[str]
) -> None:
    page = (
        f"<html><table><tr><th>Other</th></tr></table><table>{rows('a|b', 'c|d')}</table><table>{table}</table></html>"
    )
    members = parse("wikipedia", page, url=NASDAQ100, **declared)
    assert members["symbol"].to_list() == symbols
    assert members.select(pl.col("member_from", "member_to").is_null().all()).row(0) == (True, True)


def test_the_page_of_another_american_index_gives_past_members_where_it_lists_its_changes() -> None:
    table = rows("Ticker|Company|GICS Sector", tag="th") + rows("AAPL|Apple|IT", "META|Meta|C")
    page = wikipage(table, CHANGES + rows("December 23, 2024|META|Meta|TER|Teradyne|Annual"))
    members = parse("wikipedia", page, url=NASDAQ100)
    assert members.select("symbol", "member_from", "member_to").rows() == [
        ("AAPL", None, None),
        ("META", date(2024, 12, 23), None),
        ("TER", None, date(2024, 12, 22)),
    ]


def test_changes_in_another_form_cost_only_the_past_of_another_index() -> None:
    table = rows("Ticker|Company", tag="th") + rows("AAPL|Apple")
    listing = parsed("wikipedia", wikipage(table, rows("Year|What", tag="th") + rows("2024|many")), url=NASDAQ100)
    assert [member[0] for member in listing.members] == ["AAPL"]
    assert [remark.partition(":")[0] for remark in listing.remarks] == ["the past members can't be read"]


def test_a_country_decides_the_exchange_and_rows_of_others_are_a_remark() -> None:
    table = rows("Ticker|Company|Country", tag="th") + rows(
        "BP.|BP|United Kingdom", "NOVO B|Novo|Denmark", "MT|ArcelorMittal|Luxembourg"
    )
    listing = parsed(
        "wikipedia",
        f"<html><table>{table}</table></html>",
        url="https://en.wikipedia.org/wiki/STOXX_Europe_600",
        market="eu",
        symbol_column="Ticker",
        suffix_column="Country",
        suffixes={"United Kingdom": ".L", "Denmark": ".CO"},
    )
    assert [member[0] for member in listing.members] == ["BP.L", "NOVO-B.CO"]
    assert listing.left_out == 1
    assert listing.remarks == ["1 row with the Country 'Luxembourg' left out: `suffixes` has no exchange of it"]


def test_a_page_without_the_declared_column_is_refused_with_its_columns() -> None:
    page = f"<html><title>Nasdaq</title><table>{rows('Company|Ticker', 'Apple|AAPL')}</table></html>"
    with pytest.raises(
        RefusedList, match=r"\(Nasdaq\) has no table with a column Sign; its columns are Company, Ticker"
    ):
        parse("wikipedia", page, url=NASDAQ100, symbol_column="Sign")


def test_the_page_with_a_history_is_read_with_it_also_where_its_column_is_declared() -> None:
    url = "https://en.wikipedia.org/wiki/List_of_S%26P_500_companies"
    members = parse("wikipedia", wikipage(TOP + MEMBERS, CHANGES + CHANGE), url=url, symbol_column="Symbol")
    assert members["member_from"].drop_nulls().len() == 3


def test_a_page_gives_members_with_intervals() -> None:
    members = parse("wikipedia", wikipage(TOP + MEMBERS, CHANGES + CHANGE))
    assert members.select("symbol", "name", "member_from", "member_to").rows() == [
        ("AAPL", "Apple", date(1982, 11, 30), None),
        ("BRK.B", "Berkshire", date(2010, 2, 16), None),
        ("META", "Meta", date(2013, 12, 23), None),  # Facebook of that day
        ("TER", "Teradyne", None, date(2013, 12, 22)),
    ]


def test_two_spellings_of_one_member_are_one() -> None:
    page = wikipage(TOP + MEMBERS + rows("BRK-B|Berkshire|2010-02-16"), CHANGES)
    members, listing = parse_members(spec("wikipedia"), Document("the page", page.encode()))
    assert members["symbol"].to_list() == ["AAPL", "BRK.B", "META"]
    assert listing.remarks == ["BRK.B and BRK-B are one share, BRK.B; the first is used"]


BAD_PAGES = {
    "no table": ("<html><title>Gone</title></html>", r"\(Gone\) has 0 tables with the id 'constituents'"),
    "nothing": ("", "can't read|0 tables"),
    "a lost table": (f"<table id='constituents'>{TOP}{MEMBERS}</table>", "0 tables with the id 'changes'"),
    "a renamed column": (wikipage(TOP.replace("Symbol", "Code") + MEMBERS, CHANGES), "no column 'Symbol'"),
    "a lost column": (wikipage(rows("Symbol|Security", tag="th") + rows("A|a"), CHANGES), "no column 'Date added'"),
    "a lost cell": (wikipage(TOP + MEMBERS + rows("MSFT|Microsoft"), CHANGES), r"MSFT \| Microsoft has 2 cells, not 3"),
    "no members": (wikipage(TOP, CHANGES), "has no members"),
    "a member twice": (wikipage(TOP + MEMBERS + rows("AAPL|Pear|2000-01-01"), CHANGES), "has AAPL twice"),
    "a member twice alike": (wikipage(TOP + MEMBERS + MEMBERS, CHANGES), "has AAPL twice"),
    "no symbol": (wikipage(TOP + rows("–|x|2000-01-01"), CHANGES), "has the member"),
    "changes without a column": (
        wikipage(TOP + MEMBERS, rows("Date|Added|Reason", "Date|Ticker|Reason", tag="th") + rows("May 7, 2026|A|x")),
        "no column 'Added Security'",
    ),
    "changes without a date": (
        wikipage(TOP + MEMBERS, rows("Added|Removed", tag="th") * 2),
        "does not begin with a date",
    ),
    "changes that can't be read": (
        wikipage(TOP + MEMBERS, CHANGES + rows("soon|A|a|B|b|x") * 3),
        "3 of 3 changes can't be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_PAGES.values(), ids=BAD_PAGES)
def test_a_page_that_lost_something_is_refused(text: str, message: str) -> None:
    with pytest.raises(RefusedList, match=message):
        parse("wikipedia", text)


def test_entities_of_a_page_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    page = wikipage(TOP + rows("AAPL|&x;|2000-01-01"), CHANGES)
    page = page.replace("<!DOCTYPE html>", f"<!DOCTYPE html [<!ENTITY x SYSTEM 'file://{tmp_path}/secret'>]>")
    try:
        found = str(parse("wikipedia", page).rows())
    except ConfigError as error:
        found = str(error)
    assert "SECRET" not in found


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("csv", "symbol\n" + "ab," * 6_000_000),
        ("csv", "symbol\n" * 2_000_000),
        ("json", "[" + "{}," * 5_000_000 + "{}]"),
        ("wikipedia", "<a>" * 6_000_000),
        ("nasdaq_trader", "A|B\n" * 4_000_000 + "File Creation Time: 1"),
    ],
)
def test_what_would_fill_the_memory_is_refused_before_it_is_taken_apart(kind: str, text: str) -> None:
    with pytest.raises(RefusedList, match="a list of symbols is smaller"):
        parse(kind, text, **({"path": "x"} if kind in ("csv", "json") else {}))


# ------------------------------------------------------------------------------------------------- changes, walked back

D1, D2, D3 = date(2010, 1, 4), date(2015, 1, 5), date(2020, 1, 6)
BEFORE: Callable[[date], date] = lambda day: date.fromordinal(day.toordinal() - 1)  # noqa: E731


def walked(
    current: list[CurrentMember], changes: list[MembershipChange]
) -> tuple[list[tuple[str, date | None, date | None]], list[str]]:
    members, contradictions = membership(current, changes, same_symbol)
    found = [(s, first, last) for s, _, _, first, last in members]
    return sorted(found, key=lambda m: (m[0], -(m[1] or date.min).toordinal())), contradictions


def now(*symbols: str, since: date | None = None) -> list[CurrentMember]:
    return [CurrentMember(symbol, symbol, since) for symbol in symbols]


def test_a_swap_gives_two_intervals() -> None:
    assert walked(now("A", "B"), [MembershipChange(D2, added="B", added_name="", removed="C", removed_name="")]) == (
        [("A", None, None), ("B", D2, None), ("C", None, BEFORE(D2))],
        [],
    )


def test_who_came_back_has_two_intervals() -> None:
    changes = [
        MembershipChange(D1, added=None, added_name="", removed="A", removed_name=""),
        MembershipChange(D3, added="A", added_name="", removed=None, removed_name=""),
    ]
    assert walked(now("A"), changes) == ([("A", D3, None), ("A", None, BEFORE(D1))], [])


def test_who_took_the_symbol_of_who_left_on_that_day_is_another_one() -> None:
    assert walked(
        now("A"), [MembershipChange(D2, added="A", added_name="the new one", removed="A", removed_name="the old one")]
    ) == (
        [("A", D2, None), ("A", None, BEFORE(D2))],
        [],
    )


def test_a_return_that_no_change_tells_is_seen_by_the_members_own_date() -> None:
    assert walked(now("A", since=D3), [MembershipChange(D1, added="B", added_name="", removed="A", removed_name="")])[
        0
    ] == [
        ("A", D3, None),
        ("A", None, BEFORE(D1)),
    ]


def test_an_addition_that_nobody_else_explains_is_the_member_of_that_date() -> None:
    assert walked(
        now("NEW", since=D2), [MembershipChange(D2, added="OLD", added_name="", removed=None, removed_name="")]
    ) == ([("NEW", D2, None)], [])
    several = [*now("N1", since=D2), *now("N2", since=D2)]
    assert walked(several, [MembershipChange(D2, added="OLD", added_name="", removed=None, removed_name="")])[1] == [
        "OLD () joined on 2015-01-05, but is not a member after that day"
    ]


def test_contradictions_are_told_and_todays_list_stays() -> None:
    changes = [
        MembershipChange(D2, added=None, added_name="", removed="A", removed_name="Aleph"),
        MembershipChange(D3, added="Z", added_name="Zed", removed=None, removed_name=""),
    ]
    assert walked(now("A", "B"), changes) == (
        [("A", None, None), ("B", None, None)],
        [
            "Z (Zed) joined on 2020-01-06, but is not a member after that day",
            "A (Aleph) left on 2015-01-05, but is a member after that day",
        ],
    )


symbols = st.one_of(st.none(), st.sampled_from("ABCDE"))
days = st.integers(0, 40).map(lambda n: date.fromordinal(D1.toordinal() + n))
listed_changes = st.lists(
    st.builds(
        lambda day, added, removed: MembershipChange(day, added=added, added_name="", removed=removed, removed_name=""),
        days,
        symbols,
        symbols,
    ),
    max_size=12,
)
listed_members = st.dictionaries(st.sampled_from("ABCDE"), st.one_of(st.none(), days), min_size=1)


@given(listed_members, listed_changes)
def test_whatever_the_changes_say_todays_members_are_those_listed_and_no_interval_overlaps(
    current: dict[str, date | None], changes: list[MembershipChange]
) -> None:
    members, _ = membership([CurrentMember(s, s, since) for s, since in current.items()], changes, same_symbol)
    assert {symbol for symbol, _, _, _, last in members if last is None} == set(current)
    for symbol in {m[0] for m in members}:
        spans = sorted((first or date.min, last or date.max) for s, _, _, first, last in members if s == symbol)
        assert all(first <= last for first, last in spans)
        assert all(earlier[1] < later[0] for earlier, later in pairwise(spans))


@given(st.sets(st.sampled_from("ABCDE"), min_size=1), st.lists(st.tuples(symbols, symbols), max_size=8))
def test_a_history_that_is_told_whole_is_found_again(
    start: set[str], moves: list[tuple[str | None, str | None]]
) -> None:
    members, by_day, changes = set(start), {D1: set(start)}, []
    for n, (added, removed) in enumerate(moves, 1):
        day = date.fromordinal(D1.toordinal() + n)
        joins = added if added not in members else None
        leaves = removed if removed in members and removed != joins else None
        if joins or leaves:
            changes.append(MembershipChange(day, added=joins, added_name="", removed=leaves, removed_name=""))
        members = (members | ({joins} if joins else set())) - {leaves}
        by_day[day] = set(members)
    found, contradictions = membership([CurrentMember(s, s, None) for s in members], changes[::-1], same_symbol)
    assert contradictions == []
    for day, then in by_day.items():
        assert {s for s, _, _, first, last in found if (first or date.min) <= day <= (last or date.max)} == then


# ----------------------------------------------------------------------------------------------------- lists of symbols

SYMBOL_LISTS = {
    "our own": ("universe,symbol,market,member_from\nu,AAPL,us,\nu,0700.HK,hk,2024-01-02\n", ["AAPL", "0700.HK"]),
    "another heading": ("Name,Ticker\nApple,aapl\nBerkshire,BRK-B\n", ["AAPL", "BRK.B"]),
    "codes and their market": ("code,market\n5,HK\n00700,hk\n", ["0005.HK", "0700.HK"]),
    "a symbol on each line": ("# mine\nAAPL\n\nmsft\nAAPL\n", ["AAPL", "MSFT", "AAPL"]),
    "semicolons": ("Symbol;Name\nAAPL;Apple, Inc.\nMSFT;Microsoft\n", ["AAPL", "MSFT"]),
    "tabs, a byte order mark and a plural": ("\ufeffName\tTickers\r\nApple\tAAPL\r\n", ["AAPL"]),
    "rows without a header": ("AAPL,0.5\nMSFT,0.5\n", ["AAPL", "MSFT"]),
}


@pytest.mark.parametrize(("text", "symbols"), SYMBOL_LISTS.values(), ids=SYMBOL_LISTS)
def test_a_file_of_symbols_has_a_column_of_them_or_one_on_each_line(text: str, symbols: list[str]) -> None:
    assert [listed.symbol for listed in listed_symbols(Document("meta/mine.csv", text.encode()))] == symbols


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("symbol\nAAPL\nA PL?\n", r"meta/mine\.csv, row 3: 'A PL\?' is not a symbol"),
        ("AAPL\nno symbol at all\n", r"meta/mine\.csv, row 2: 'no symbol at all' is not a symbol"),
        ("symbol,member_to\nAAPL,soon\n", r"row 2: 'soon' is not a date"),
        ("\n# nothing\n", r"meta/mine\.csv has no symbols"),
        ("<!doctype html><title>Sign in</title>", r"it is an HTML page \(Sign in\)"),
    ],
)
def test_a_wrong_file_of_symbols_is_refused_with_its_row(text: str, message: str) -> None:
    with pytest.raises(RefusedList, match=message):
        listed_symbols(Document("meta/mine.csv", text.encode()))


def test_a_trigger_reads_a_file_of_symbols_without_the_libraries_of_pages_and_workbooks() -> None:
    modules = "quantx.universes.symbol_lists, quantx.universes.files"
    code = f"import sys, {modules}; print({{'lxml', 'fastexcel'}} & {{*sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


@pytest.mark.parametrize("symbol", ["0700", "0700.HK", "0700.hk"])
def test_a_suffix_is_added_where_it_is_missing(symbol: str) -> None:
    declared = {"market": "hk", "symbol_suffix": ".HK"}
    assert parse("csv", f"symbol\n{symbol}\n", path="x.csv", **declared)["symbol"].to_list() == ["0700.HK"]
    assert parse("static", "", symbols=[symbol], **declared)["symbol"].to_list() == ["0700.HK"]
