"""The SEC's lists: the tickers of filers, and the filings of a day. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from quantx.core.model import Payload
from quantx.core.symbols import filer_symbol
from quantx.errors import MalformedPayload
from quantx.providers.reply_values import FORM_ERRORS, WrongForm, form_problem, read_json
from quantx.providers.sec_filings import american_symbol
from quantx.providers.sec_values import cik_of

TICKERS_PATH = "/files/company_tickers.json"
_INDEX_PATH = "/Archives/edgar/daily-index/{year}/QTR{quarter}/master.{day}.idx"
_INDEX_HEAD = b"CIK|Company Name|Form Type|Date Filed|File Name"
_INDEX_LINE = re.compile(rb"(\d{1,10})\|([^|\n]*)\|([^|\n]*)\|(\d{8})\|(edgar/data/[^|\n]*)")


@dataclass(frozen=True)
class ListedTicker:
    """A ticker in the SEC's list."""

    filer: str  # CIK0000320193
    symbol: str  # canonical
    title: str


def read_tickers(payload: Payload) -> list[ListedTicker]:
    """Return the tickers of a list, without units, warrants and others that have no symbol at vendors.

    A list that names one symbol of two filers is refused: MalformedPayload.
    """
    document = read_json(payload, "the SEC")
    try:
        rows: Sequence[Mapping[str, Any]] = list(document.values())
        listed: dict[str, ListedTicker] = {}
        for row in rows:
            ticker, title = row["ticker"], row["title"]
            if type(ticker) is not str or type(title) is not str:
                raise WrongForm("a ticker or a title is no text")
            filer, symbol = filer_symbol(cik_of(row["cik_str"])), american_symbol(ticker)
            if symbol is not None and listed.setdefault(symbol, ListedTicker(filer, symbol, title)).filer != filer:
                raise WrongForm(f"{symbol} is the ticker of {listed[symbol].filer} and of {filer}")
    except FORM_ERRORS as error:
        why = form_problem(error)
        raise MalformedPayload(
            f"the SEC's list of tickers can't be read: {why}; the last one stays", payload
        ) from error
    if not listed:
        raise MalformedPayload("the SEC's list of tickers is empty; the last one stays", payload)
    return list(listed.values())


def index_path(day: date) -> str:
    """Return the path of the index of a day's filings.

    >>> index_path(date(2026, 11, 27))
    '/Archives/edgar/daily-index/2026/QTR4/master.20261127.idx'
    """
    return _INDEX_PATH.format(year=day.year, quarter=(day.month + 2) // 3, day=f"{day:%Y%m%d}")


def read_index(payload: Payload) -> frozenset[str]:
    """Return the filers with a filing in a day's index, as in CIK0000320193; MalformedPayload for another form."""
    head, found, lines = payload.body.partition(_INDEX_HEAD)
    if payload.status != 200 or not found or len(head) > 2000:
        raise MalformedPayload("the SEC's index of a day has no header of its columns", payload)
    rows = lines.strip().splitlines()[1:]  # after a line of hyphens
    matches = [_INDEX_LINE.fullmatch(row.strip()) for row in rows]
    if not rows or None in matches:
        raise MalformedPayload("a line in the SEC's index of a day has another form", payload)
    return frozenset(f"CIK{int(match[1]):010}" for match in matches if match is not None)
