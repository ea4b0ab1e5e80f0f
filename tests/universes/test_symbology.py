"""The documented suffixes of NASDAQ Trader's lists decide which securities are shares, with the name as evidence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from quantx.universes.declaration import UniverseSpec
from quantx.universes.protocol import Document, MemberList
from quantx.universes.sources import parse_members
from quantx.universes.symbology import kind_of

from ..market_data import either

OTHER = "ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|Round Lot Size|Test Issue|NASDAQ Symbol"
NASDAQ = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
FOOTER = "File Creation Time: 1130202607:02|||||||"


def listing(*lines: str, header: str = OTHER, **declared: object) -> MemberList:
    spec = UniverseSpec.model_validate({"name": "mine", "market": "us", "type": "nasdaq_trader", **declared})
    return parse_members(spec, Document("the list", "\n".join((header, *lines, FOOTER)).encode()))[1]


def symbols(members: MemberList) -> list[str]:
    return [member[0] for member in members.members]


# The lines of the case, and the share classes that have the same letters.
INVENTED = """\
QZAA|Invented Holdings Common Stock|N|QZAA|N|100|N|QZAA
QZAB.A|Invented Brands Class A Common Stock|N|QZAB.A|N|100|N|QZAB.A
QZAC|Invented Acquisition Class A Ordinary Shares|N|QZAC|N|100|N|QZAC
QZAC.U|Invented Acquisition Units, each consisting of one share and one half warrant|N|QZAC.U|N|100|N|QZAC=
QZAC.W|Invented Acquisition Redeemable Warrants|N|QZAC.WS|N|100|N|QZAC+
QZAC.R|Invented Acquisition Rights|N|QZACr|N|100|N|QZAC^
QZAD.V|Invented Spin When-Issued|N|QZADw|N|100|N|QZAD#
QZAE$B|Invented Trust Preferred B|N|QZAEpB|N|100|N|QZAE-B""".splitlines()


def test_units_warrants_rights_and_when_issued_shares_stay_out() -> None:
    members = listing(*INVENTED)
    assert symbols(members) == ["QZAA", "QZAB.A", "QZAC", "QZAE.PRB"]
    assert (members.left_out, members.remarks) == (4, [])


# symbol, name, CQS, NASDAQ Integrated Platform: the rows of the lists of 2016 and 2025, and their kinds.
OTHER_KINDS = [
    ("BRK.A", "Berkshire Hathaway Inc. Common Stock", "BRK.A", "BRK.A", "shares"),
    ("BF.B", "Brown Forman Inc Class B Common Stock", "BF/B", "BF.B", "shares"),
    ("MOG.A", "Moog Inc. Class A Common Stock", "MOG.A", "MOG.A", "shares"),
    ("HEI.A", "Heico Corporation Class A Common Stock", "HEI.A", "HEI.A", "shares"),
    ("LEN.B", "Lennar Corporation Class B Common Stock", "LEN.B", "LEN.B", "shares"),
    ("MKC.V", "McCormick & Company, Incorporated Common Stock", "MKC.V", "MKC.V", "shares"),
    ("QZAU.U", "Invented Class U Common Stock", "QZAU.U", "QZAU.U", "shares"),  # a class: units would be QZAU=
    ("QZAU.U", "Invented Units", "QZAU.U", "QZAU.U", "units"),
    ("QZAU.U", "Invented Units", "QZAU.U", "", "units"),
    ("IND", "ING Group, N.V. Perpetual Debt Securities", "IND/CL", "IND*", "shares"),  # called
    ("VNO$J", "Vornado Realty Trust PFD", "VNOpJ/CL", "VNO-J*", "shares"),
    ("AB", "AllianceBernstein Holding L.P.  Units", "AB", "AB", "shares"),  # the shares of a partnership
    ("ET", "Energy Transfer LP Common Units", "ET", "ET", "shares"),
    ("AMX", "American Depositary Shares (each representing the right to receive 20 Series B)", "AMX", "AMX", "shares"),
    ("GRP.U", "Granite Real Estate Inc. Units", "GRP.U", "GRP=", "units"),
    ("AIG.W", "American International Group, Inc. Warrant expiring January 19, 2021", "AIG/WS", "AIG+", "warrants"),
    ("BAC.A", "Bank of America Corporation Class A Warrant expiring 2019", "BAC/WS/A", "BAC+A", "warrants"),
    ("NE.A", "Noble Corporation plc Tranche 2 Warrants", "NE.WS.A", "NE+A", "warrants"),
    ("KODK.A", "Eastman Kodak Company Wt Exp 135%", "KODK/WS/A", "KODK+A", "warrants"),
    ("CELG.R", "Bristol-Myers Squibb Company Celegne Contingent Value Rights", "CELGr", "CELG^", "rights"),
    ("NXG.V", "Rights (expiring August 13, 2025) Rights when issued", "NXGrw", "NXG^#", "when issued"),
    ("LDOS.V", "Leidos Common Stock Additional Shares When Issued", "LDOSw", "LDOS#", "when issued"),
    ("QZAF$A", "Invented Preferred A When Issued", "QZAFpAw", "QZAF-A#", "when issued"),
    ("QZAG.Z", "Invented Common Stock When Distributed", "QZAG.WD", "QZAG$", "when issued"),
    ("QZAH", "Invented Symbology Test", "QZAH.TEST", "QZAH~", "test issue"),
]


@pytest.mark.parametrize(("symbol", "name", "tape", "integrated", "kind"), OTHER_KINDS)
def test_the_kind_follows_from_the_suffixes_of_the_other_exchanges(
    symbol: str, name: str, tape: str, integrated: str, kind: str
) -> None:
    row = {"Security Name": name, "CQS Symbol": tape, "NASDAQ Symbol": integrated, "Test Issue": "N"}
    assert kind_of(symbol, row).name == kind


NASDAQ_KINDS = [
    ("GOOGL", "Alphabet Inc. - Class A Common Stock", "shares"),
    ("CMCSA", "Comcast Corporation - Class A Common Stock", "shares"),
    ("RILYT", "B. Riley Financial, Inc. - 6.00% Senior Notes Due 2028", "shares"),  # T: with warrants or rights
    ("BPYPM", "Brookfield - 6.25% Class A Cumulative Redeemable Preferred Units, Series 1", "shares"),
    ("MARPS", "Marine Petroleum Trust - Units of Beneficial Interest", "shares"),
    ("NYMTZ", "New York Mortgage Trust, Inc. - 7.000% Series G Preferred Stock", "shares"),
    ("ARLP", "Alliance Resource Partners, L.P. - Common Units Representing Limited Partnership Interests", "shares"),
    ("AACBU", "Artius II Acquisition Inc. - Units", "units"),
    ("ABEOW", "Abeona Therapeutics Inc. - Warrant", "warrants"),
    ("AACBR", "Artius II Acquisition Inc. - Rights", "rights"),
    ("PSNYW", "Polestar Automotive Holding UK Limited - Class C-1 ADS (ADW)", "warrants"),
    ("QZAIV", "Invented Spin - Common Stock When-Issued", "when issued"),
    ("EXEEL", "Expand Energy Corporation - Class C Warrants", "warrants"),
    ("GCVRZ", "Sanofi - Contingent Value Right (Expiring 12/31/2020)", "rights"),
    ("QZAI.W", "Invented Corp. - Warrant", "warrants"),  # the plan of 2010: a dot before the letter
]


@pytest.mark.parametrize(("symbol", "name", "kind"), NASDAQ_KINDS)
def test_the_kind_follows_from_the_fifth_letter_at_nasdaq(symbol: str, name: str, kind: str) -> None:
    found = kind_of(symbol, {"Security Name": name, "Test Issue": "N", "ETF": "N"})
    assert (found.name, found.remark) == (kind, None)


def test_a_fund_with_such_a_letter_is_a_fund() -> None:
    assert kind_of("QZAJU", {"Security Name": "Invented U.S. ETF", "Test Issue": "N", "ETF": "Y"}).is_share


def test_evidence_that_disagrees_is_a_remark() -> None:
    members = listing(
        "FTRPR|Frontier - 11.125% Series A Mandatory Convertible Preferred Stock|Q|N|N|100|N|N",
        "ZNWAA|Zion Oil & Gas Inc - Warrants|G|N|N|100|N|N",
        header=NASDAQ,
    )
    assert symbols(members) == ["FTRPR"]
    assert [remark.partition(",")[0] for remark in members.remarks] == [
        "FTRPR has the letter of rights",
        "ZNWAA has no suffix of warrants",
    ]
    members = listing(
        "AAP|Advance Auto Parts Inc W/I|N|AAP|N|100|N|AAP",
        "QZAC.W|Invented Class W Common Stock|N|QZAC.WS|N|100|N|QZAC+",
    )
    assert symbols(members) == ["AAP"]
    assert members.remarks[0].endswith("it is a member")
    assert members.remarks[1].startswith("QZAC.W has the suffix of warrants, and the name Invented Class W Common")


def test_a_list_without_the_precise_columns_is_read_by_the_act_suffix_and_the_name() -> None:
    header = "ACT Symbol|Security Name|Test Issue|ETF"
    members = listing(
        "QZAA|Invented Holdings Common Stock|N|N", "QZAC.U|Invented Acquisition Units|N|N",
        "MKC.V|McCormick Common Stock|N|N", "QZAC.R|Invented Rights|N|N", header=header,
    )  # fmt: skip
    assert symbols(members) == ["QZAA", "MKC.V"]
    assert len(members.remarks) == 1


RECORDED = [
    ("2016-08-15_nasdaqlisted.txt.gz", {"FTRPR", "CMCSA"}, {"ANDAU", "ABEOW", "CELGZ"}),
    ("2025-07-21_nasdaqlisted.txt.gz", {"GOOGL", "CMCSA"}, {"AACBU", "AACBR", "PSNYW", "EXEEL"}),
    ("2016-08-15_otherlisted.txt.gz", {"BRK.A", "BF.B", "MKC.V", "AAP"}, {"LDOS.V", "BAC.A", "GRP.U", "SPE.R"}),
    ("2025-07-21_otherlisted.txt.gz", {"BRK.A", "BF.B", "MOG.A", "HEI.A", "LEN.B"}, {"NE.A", "NXG.V", "AACT.U"}),
]


@pytest.mark.parametrize(("name", "inside", "outside"), RECORDED)
def test_the_recorded_lists_have_no_unit_warrant_or_right(
    market_data: Path, name: str, inside: set[str], outside: set[str]
) -> None:
    body = gzip.decompress((market_data / "symbols_nasdaqtrader" / name).read_bytes())
    spec = UniverseSpec.model_validate({"name": "mine", "market": "us", "type": "nasdaq_trader", "etfs": False})
    members = parse_members(spec, Document(name, body))[0]
    listed = {line.split("|")[0] for line in body.decode().splitlines()}
    assert either(inside, inside & listed) <= set(members["symbol"])
    assert not outside & set(members["symbol"])
    suffixes = members.filter(members["symbol"].str.contains(r"\.[UWR]$"))
    assert suffixes.is_empty()
