"""Lists of securities: Nasdaq Trader, Hong Kong's workbook, the SEC, Nikkei, STOXX, and symbol histories."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from xml.sax.saxutils import escape

# ------------------------------------------------------------------------------------------------------ Nasdaq Trader

_NASDAQ = "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
_OTHER = "ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|Round Lot Size|Test Issue|NASDAQ Symbol"


def _nasdaq(footer: str) -> bytes:
    rows = [f"QZ{a}{b}|Invented {a}{b} Inc. - Common Stock|Q|N|N|100|N|N" for a in "ABCD" for b in "ABCDEFGH"]
    rows += [f"QZE{b}|Invented {b} Fund|G|N|N|100|Y|N" for b in "ABCDEF"]
    rows += ["QZAAW|Invented AA Inc. - Warrants|Q|N|N|100|N|N", "QZAAU|Invented AA Inc. - Units|Q|N|N|100|N|N"]
    tests = ["ZAZZT|Tick Pilot Test Stock Class A|G|Y|N|100|N|N", "ZVZZT|NASDAQ TEST STOCK|G|Y| |100|N|N"]
    return "".join(f"{line}\r\n" for line in (_NASDAQ, *rows, *tests, footer)).encode()


def _other(footer: str) -> bytes:
    """Return New York's, ARCA's and Cboe's list: classes, preferred shares, funds, test issues."""

    def row(act: str, name: str, exchange: str = "N", etf: str = "N", test: str = "N") -> str:
        cqs = act.replace("$", "p").replace(".W", ".WS")
        return f"{act}|{name}|{exchange}|{cqs}|{etf}|100|{test}|{act.replace('$', '-').replace('.U', '=')}"

    rows = [row(f"QY{a}{b}", f"Invented {a}{b} Common Stock") for a in "ABC" for b in "ABCDEFGH"]
    rows += [row("BRK.B", "Invented Class B"), row("IBM", "Invented Machines Common Stock")]
    rows += [row("QYAA.A", "Class A"), row("QYAA$B", "Series B Preferred Stock"), row("QYAB$", "Preferred Stock")]
    rows += [row("SPY", "Invented Index Trust", "P", "Y"), row("QYZE", "Invented Volatility ETF", "Z", "Y")]
    rows += [row("ZTEST", "NYSE TEST STOCK", "N", "N", "Y"), row("ZBZX", "CBOE TEST", "Z", "N", "Y")]
    return "".join(f"{line}\r\n" for line in (_OTHER, *rows, footer)).encode()


_SOFT_ERROR = b"""<!DOCTYPE html>
<html><head><title>Page Not Available</title></head>
<body><h1>This page is not available</h1><p>Invented for the tests.</p></body></html>
"""


def nasdaq_trader() -> dict[str, bytes]:
    """Return the files of `symbols_nasdaqtrader`; the footer has other numbers of bars in other years."""
    return {
        "2016-08-15_nasdaqlisted.txt.gz": _nasdaq("File Creation Time: 0815201621:32|||||"),
        "2016-08-15_otherlisted.txt.gz": _other("File Creation Time: 0815201621:32||||||"),
        "2025-07-21_nasdaqlisted.txt.gz": _nasdaq("File Creation Time: 0721202521:31|||||||"),
        "2025-07-21_otherlisted.txt.gz": _other("File Creation Time: 0721202521:31||||||"),
        "soft_error_page_saved_as_nasdaqlisted.txt": _SOFT_ERROR,
    }


# --------------------------------------------------------------------------------------------------------------- HKEX


def _sheet(rows: Sequence[Sequence[str]]) -> bytes:
    """Return a sheet whose `dimension` is too small, as that of the exchange is."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = ("".join(f'<c t="inlineStr"><is><t>{escape(text)}</t></is></c>' for text in row) for row in rows)
    body = "".join(f"<row>{row}</row>" for row in cells)
    return f'<worksheet xmlns="{space}"><dimension ref="A1:F8"/><sheetData>{body}</sheetData></worksheet>'.encode()


def hkex() -> dict[str, bytes]:
    """Return the sheet in `symbols_hkex`: two rows of titles, codes with zeros in front, and much that is no share."""
    shares = [(f"{code:05d}", f"INVENTED {code}", "Equity", "Main Board", "1,000", "-") for code in range(1, 41)]
    shares.append(("00700", "INVENTED 700", "Equity", "Main Board", "100", "-"))
    kinds = ("Debt Securities", "Derivative Warrants", "Callable Bull/Bear Contracts")
    rest = [(f"{10_000 + n}", f"INVENTED {n} WARRANT", kinds[n % 3], "", "10,000", "-") for n in range(60)]
    head = ("Stock Code", "Name of Securities", "Category", "Sub-Category", "Board Lot", "Par Value")
    rows = [("List of Securities",), ("Updated as at 03/12/2021",), head, *shares, *rest]
    return {"2021-12_ListOfSecurities.xlsx": _sheet(rows)}


# ---------------------------------------------------------------------------------------- the SEC, Nikkei and STOXX


def sec() -> dict[str, bytes]:
    """Return the SEC's list of tickers: CIKs as numbers, classes with a hyphen, warrants and units."""
    chance = random.Random("sec")
    tickers = ["AAPL", "BRK-B", "BAC-PL", *(f"Q{a}{b}" for a in "XYZ" for b in "ABCDEFGHIJ"), "QXAA-WT", "QXAB-UN"]
    rows = {
        str(n): {"cik_str": chance.randint(1_000, 2_000_000), "ticker": ticker, "title": f"Invented {ticker}"}
        for n, ticker in enumerate(tickers)
    }
    return {"company_tickers.edgartools.json.gz": json.dumps(rows, separators=(",", ":")).encode()}


def indices() -> dict[str, bytes]:
    """Return lists of index members: codes before a bar, and symbols of many exchanges in JSON."""
    codes = ["7203", "543A", "285A", *(str(9_801 + n) for n in range(27))]
    nikkei = ["labels,url", *(f"{code}|Invented{code},https://example.com/{code}/" for code in codes)]
    suffixes = (".L", ".PA", ".DE", ".SW", ".HE", ".CO", ".AS")
    stoxx = [
        {"symbol": f"QZ{chr(65 + n // 7)}{suffixes[n % 7]}", "name": f"INVENTED {n}", "currency": "EUR", "weight": 0.5}
        for n in range(42)
    ]
    return {
        "nikkei225_2026-07.csv": "".join(f"{line}\n" for line in nikkei).encode(),
        "stoxx600_2026-05_yahoo_symbols.json.gz": json.dumps(stoxx, separators=(",", ":")).encode(),
    }


# --------------------------------------------------------------------------------------------------- symbol histories


def map_files() -> dict[str, bytes]:
    """Return the files of `known_answers/lean_map_files`: the first day, then the last day of each symbol."""
    files = {
        "qzg": "20140327,qzgv,Q\n20140402,qzgv,Q\n20501231,qzg,Q\n",  # class C takes over the symbol of class A
        "qzgl": "20040819,qzg,Q\n20140402,qzg,Q\n20501231,qzgl,Q\n",
        "qztw.1": "19980102,qztw\n20010111,qztw\n",  # an older security of the same symbol
        "qztw": "19980102,qzol,N\n20031015,qzol,N\n20180615,qztw,N\n",
        "qzq": "19990310,qzq,Q\n20041130,qzq,Q\n20110322,qzqq,Q\n20501231,qzq,Q\n",  # and back to its first symbol
        "qzi": "19980102,qzi,N\n20501231,qzi,N\n",
    }
    return {f"{name}.csv": text.encode() for name, text in files.items()}
