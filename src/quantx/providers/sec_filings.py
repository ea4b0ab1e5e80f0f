"""The filings and the filer in a reply of `submissions`: its newest thousand filings, or an older page of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quantx.core.symbols import canonical_symbol, venue_of
from quantx.errors import InvalidSymbol
from quantx.providers.protocol import VENDOR_FILERS, VENDOR_FILINGS
from quantx.providers.reply_values import WrongForm
from quantx.providers.sec_values import accession_column, cik_of, day_column, instant_column, text_column

# Where the documents of a filing lie. A filing of paper or of before 2001 has no document of its own.
_ARCHIVE = "https://www.sec.gov/Archives/edgar/data"
_COLUMNS = (
    "accessionNumber",
    "filingDate",
    "reportDate",
    "acceptanceDateTime",
    "form",
    "items",
    "primaryDocument",
    "primaryDocDescription",
)


def read_filings(page: Mapping[str, Any], cik: int) -> pl.DataFrame:
    """Return VENDOR_FILINGS of a page of parallel lists; any of FORM_ERRORS where a value has another form."""
    sent = {name: page[name] for name in _COLUMNS}
    if not all(type(values) is list for values in sent.values()):
        raise WrongForm("the filings are no lists")
    if len({len(values) for values in page.values() if type(values) is list}) > 1:
        raise WrongForm("the lists of its filings have different lengths")
    filings = pl.DataFrame(
        [
            accession_column(sent["accessionNumber"]),
            text_column("form", sent["form"]),
            text_column("items", sent["items"], null=True),
            day_column("report_end", sent["reportDate"], null=True),
            day_column("filed", sent["filingDate"]),
            instant_column("accepted", sent["acceptanceDateTime"]),
            text_column("description", sent["primaryDocDescription"], null=True),
            text_column("document", sent["primaryDocument"], null=True),
        ]
    )
    folder = pl.lit(f"{_ARCHIVE}/{cik}/") + pl.col("accession").str.replace_all("-", "", literal=True)
    name = pl.coalesce("document", pl.col("accession") + "-index.htm")
    filings = filings.with_columns(pl.lit(cik, pl.Int64).alias("cik"), (folder + "/" + name).alias("url"))
    return filings.select(list(VENDOR_FILINGS)).unique("accession", keep="first", maintain_order=True)


def older_pages(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the pages with the older filings; any of FORM_ERRORS where there is no list of them."""
    names = [file["name"] for file in document["filings"]["files"]]
    start = f"CIK{cik_of(document['cik']):010}-submissions-"
    for name in names:
        if (
            type(name) is not str
            or not name.startswith(start)
            or not name[len(start) :].removesuffix(".json").isalnum()
        ):
            raise WrongForm("the name of an older page has another form")
    return names


def read_filer(document: Mapping[str, Any]) -> pl.DataFrame:
    """Return the one row of VENDOR_FILERS; any of FORM_ERRORS where a value has another form."""
    tickers = text_column("tickers", document["tickers"])
    symbols = [symbol for symbol in map(american_symbol, tickers) if symbol is not None]
    row = {
        "cik": [cik_of(document["cik"])],
        "name": text_column("name", [document["name"]]),
        "kind": text_column("kind", [document.get("entityType")], null=True),
        "sic": text_column("sic", [document.get("sic")], null=True),
        "industry": text_column("industry", [document.get("sicDescription")], null=True),
        "fiscal_year_end": text_column("fiscal_year_end", [document.get("fiscalYearEnd")], null=True),
        "tickers": [",".join(dict.fromkeys(symbols)) or None],
    }
    return pl.DataFrame(row, schema=VENDOR_FILERS)


def american_symbol(ticker: str) -> str | None:
    """Return the canonical symbol of a ticker of the SEC; None for a security without a symbol at vendors.

    >>> american_symbol("BRK-B"), american_symbol("EP-PC"), american_symbol("VAL-WT")
    ('BRK.B', 'EP.PRC', None)
    """
    try:
        symbol = canonical_symbol(ticker)
    except InvalidSymbol:
        return None
    return symbol if venue_of(symbol).market == "us" else None
