"""The S&P 500 on past days as Wikipedia's page tells it, against what an index fund held on those days.

iShares writes the tickers of its own day of writing: Intel as INCO (Amsterdam's), a dead one as SHLDQ or `MIL.`, a
reused one as `GAS.2`. So a security is compared by all tickers under which its ISIN or SEDOL appears in any of the
files, and cash, futures and rights without a market fall away. RENAMED tells which symbols are one security, to the
walk through the page's changes and to the comparison. What is left of a difference is what the page does not tell.
"""

from __future__ import annotations

import gzip
import lzma
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quantx.core.symbol_history import Naming, SymbolHistory, naming_chain
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import from_ishares
from quantx.universes.protocol import Document
from quantx.universes.sources import parse_members, same_symbol
from quantx.universes.texts import csv_rows, under_header

from ..market_data import either

WIKIPEDIA = UniverseSpec(name="us_sp500", market="us", type="wikipedia")
# Symbols of one security, with the last day of each but the last.
RECORDED_RENAMED = """
KORS 2019-01-01 CPRI | COG 2021-10-03 CTRA | CDAY 2024-01-31 DAY | TSO 2017-07-31 ANDV | LUK 2018-05-23 JEF
PCLN 2018-02-26 BKNG | HRS 2019-06-28 LHX | COH 2017-10-30 TPR | UTX 2020-04-02 RTX | MYL 2020-11-16 VTRS
SYMC 2019-11-04 NLOK 2022-11-07 GEN | HCP 2019-11-04 PEAK 2024-03-03 DOC | TMK 2019-08-08 GL | PX 2018-10-30 LIN
MHP 2013-05-13 MHFI 2016-04-27 SPGI | HCN 2018-02-27 WELL | WAG 2014-12-30 WBA | WLP 2014-12-02 ANTM 2022-06-27 ELV
LTD 2013-12-02 LB 2021-08-02 BBWI | CBS 2019-12-04 VIAC 2022-02-16 PARA 2025-08-06 PSKY | FLT 2024-03-24 CPAY
WRK 2024-07-05 SW | FII 2020-02-03 FHI | CBG 2018-03-19 CBRE | KFT 2012-10-01 MDLZ | MOT 2011-01-03 MSI
FO 2011-10-03 BEAM | SHLD 2018-10-24 SHLDQ | ANR 2015-08-03 ANRZQ | RSH 2015-02-05 RSHCQ | FB 2022-06-08 META
"""
RENAMED = either(RECORDED_RENAMED, "QZOLD 2019-06-28 QZNEW")
# Day: the lowest agreement that is accepted (with RENAMED, with the page alone), a little below what was measured in
# November 2026. The page has few changes before 2008, and its revision is of May 2026.
RECORDED_FLOORS = {
    "2006-12-29": (0.73, 0.67),
    "2008-06-30": (0.81, 0.74),
    "2009-06-30": (0.90, 0.82),
    "2010-06-30": (0.93, 0.84),
    "2011-06-30": (0.955, 0.87),
    "2012-06-29": (0.96, 0.88),
    "2012-12-31": (0.965, 0.89),
    "2013-12-31": (0.98, 0.91),
    "2014-12-31": (0.985, 0.92),
    "2015-06-30": (0.98, 0.91),
    "2016-12-30": (0.99, 0.93),
    "2017-12-29": (0.99, 0.94),
    "2018-12-31": (0.99, 0.95),
    "2019-12-31": (0.995, 0.97),
    "2020-12-31": (0.995, 0.98),
    "2021-12-31": (0.995, 0.985),
    "2022-12-30": (0.995, 0.985),
    "2023-12-29": (0.995, 0.985),
    "2024-12-31": (0.998, 0.99),
    "2025-12-31": (0.998, 0.998),
}
SAMPLE_FLOORS = {"2016-12-30": (1.0, 0.95), "2018-12-31": (1.0, 0.95), "2021-12-31": (1.0, 0.95)}
FLOORS = either(RECORDED_FLOORS, SAMPLE_FLOORS)


@dataclass
class Holdings:
    """What the fund held, by day, each security as the set of all its symbols."""

    by_day: dict[date, list[frozenset[str]]]

    def agreement(self, members: pl.DataFrame, day: date) -> tuple[float, set[str], list[frozenset[str]]]:
        """Return the part of all names that both have, the symbols that only `members` has, and the others."""
        began = pl.col("member_from").is_null() | (pl.col("member_from") <= day)
        on = members.filter(began & (pl.col("member_to").is_null() | (pl.col("member_to") >= day)))["symbol"]
        listed, held = {last_symbol(symbol) for symbol in on}, self.by_day[day]
        met = [names for names in held if names & listed]
        extra = listed - frozenset().union(*met)
        return len(met) / (len(held) + len(extra)), extra, [names for names in held if not names & listed]


def renamed() -> SymbolHistory:
    namings: list[Naming] = []
    for words in (part.split() for line in RENAMED.splitlines() for part in line.split("|") if part.strip()):
        days = [date.fromisoformat(day) for day in words[1::2]]
        namings += naming_chain(words[0], list(zip([*days, date.max], words[::2], strict=True)), None, None)
    return SymbolHistory(namings)


IDENTITY = renamed()


def last_symbol(symbol: str) -> str:
    bearers = IDENTITY.namings_of(symbol)
    return IDENTITY.symbols_of(bearers[-1].instrument)[-1].symbol if bearers else symbol


@pytest.fixture(scope="module")
def holdings(market_data: Path) -> Holdings:
    shares = {}
    for file in sorted((market_data / "constituents" / "ishares_ivv_holdings").glob("*.csv.xz")):
        rows = csv_rows(lzma.decompress(file.read_bytes()).decode(), ",", file.name)
        table = under_header(rows, ("symbol", "asset_class", "exchange", "ISIN", "SEDOL"), file.name)
        traded = [r for r in table if r["asset_class"] == "Equity" and not r["exchange"].startswith("NO MARKET")]
        shares[date.fromisoformat(f"{file.name[:4]}-{file.name[4:6]}-{file.name[6:8]}")] = traded
    one: dict[str, str] = {}  # ISIN or SEDOL → another number of the same security

    def security(number: str) -> str:
        while one.setdefault(number, number) != number:
            number = one[number]
        return number

    every = [row for rows in shares.values() for row in rows]
    for row in every:
        one[security(row["SEDOL"])] = security(row["ISIN"])
    names: dict[str, set[str]] = {}
    for row in every:
        names.setdefault(security(row["ISIN"]), set()).add(last_symbol(from_ishares(row["symbol"]) or row["symbol"]))
    return Holdings({day: [frozenset(names[security(r["ISIN"])]) for r in rows] for day, rows in shares.items()})


@pytest.fixture(scope="module")
def page(market_data: Path) -> Document:
    body = (market_data / "constituents" / "wikipedia_sp500_2026.html.gz").read_bytes()
    return Document("the page", gzip.decompress(body))


@pytest.mark.parametrize("day", FLOORS)
def test_the_members_of_a_past_day_are_those_that_the_fund_held(holdings: Holdings, page: Document, day: str) -> None:
    with_renames, alone = FLOORS[day]
    for latest, floor in ((IDENTITY.latest_symbol, with_renames), (same_symbol, alone)):
        members, _ = parse_members(WIKIPEDIA, page, latest)
        part, extra, missing = holdings.agreement(members, date.fromisoformat(day))
        assert part >= floor, f"{part:.3f}; only listed: {sorted(extra)}; only held: {[sorted(m) for m in missing]}"


def test_the_page_tells_its_contradictions_and_todays_list_stays(page: Document) -> None:
    members, listing = parse_members(WIKIPEDIA, page, IDENTITY.latest_symbol)
    assert members.filter(pl.col("member_to").is_null()).height == either(503, 39)
    contradicted = either("AGN (Allergan) left on 2015-03-23", "QZAA (Invented QZAA) left on 2015-03-23")
    assert any(contradicted in remark for remark in listing.remarks)
    assert len(listing.remarks) == either(9, 1)
    alone = parse_members(WIKIPEDIA, page)[1].remarks
    assert len(alone) == either(15, 2)
    assert any(remark.startswith(either("KORS", "QZOLD")) for remark in alone)


def test_the_file_of_one_day_is_read_as_the_members_of_that_day(market_data: Path) -> None:
    file = market_data / "constituents" / "ishares_ivv_holdings" / "20260630.csv.xz"
    document = Document(file.name, lzma.decompress(file.read_bytes()))
    spec = UniverseSpec(name="ivv", market="us", type="ishares", at_least=either(500, 39))
    members, listing = parse_members(spec, document)
    assert (members.height, listing.left_out) == either((503, 5), (39, 4))  # cash, its collateral, a future, a right
    assert {"BRK.B", "BF.B", "META"} <= set(members["symbol"])
    assert "ESU6" not in members["symbol"]
