"""The US Treasury's daily par yield curve rates: one CSV per year, without a key, from 1990 on.

Yields are in per cent, bond-equivalent, of tenors from one month to thirty years (constant maturity). A year's document
has a row per day, the newest first, dates as in 03/09/2020, and the columns that the Treasury publishes now or
published then: `1.5 Month` since 2025-02-18, `4 Mo` since 2022-10-19, `2 Mo` since 2018-10-16, `1 Mo` since 2001-07-31,
`20 Yr` since 1993-10, no `30 Yr` from 2002-02-19 to 2006-02-08. An empty cell or `N/A` is no rate. Days on which the
bond market is closed have no row. A new column in the form of a tenor is read, and is a finding until it is declared.

The values of a day are public at 18:00 in New York, the time that the Treasury states; they are made from quotations
at or near 15:30. The Treasury corrects values without notice: the document of the year is fetched whole each day, and
a changed value is a revision.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from quantx.core.model import Payload
from quantx.core.rate_series import UST
from quantx.errors import MalformedPayload
from quantx.providers.drift import Shape, sample
from quantx.providers.http_provider import HttpQuery
from quantx.providers.protocol import Capabilities, Request
from quantx.providers.published_rates import RateProvider, rate_of
from quantx.providers.reply_values import WrongForm
from quantx.settings.vendors import TreasurySettings

SOURCE = "treasury"
PATH = "/resource-center/data-chart-center/interest-rates/daily-treasury-rates.csv"
KIND = "daily_treasury_yield_curve"
DATE = "Date"
UNIT = "percent"

ALWAYS = ("3 Mo", "6 Mo", "1 Yr", "2 Yr", "3 Yr", "5 Yr", "7 Yr", "10 Yr", "30 Yr")
SINCE = ("1 Mo", "1.5 Month", "2 Mo", "4 Mo", "20 Yr")  # not in the documents of all years
SHAPE = Shape(
    "rates",
    [{DATE: "text", **dict.fromkeys(ALWAYS, "number|null"), **{f"{name}?": "number|null" for name in SINCE}}],
)

_TENOR = re.compile(r"([0-9]{1,2}(?:\.[0-9])?) (Mo|Month|Months|Yr|Year|Years)")
_DAY = re.compile(r"[0-9]{2}/[0-9]{2}/[0-9]{4}")

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # the header and the rows of a CSV


class Treasury(RateProvider[Table]):
    """The provider `treasury`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=(),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota=TreasurySettings.default_quota,
        datasets=(UST.dataset,),
    )
    name = "the US Treasury"
    host = "https://home.treasury.gov"
    series = UST

    def documents(self, request: Request) -> Sequence[HttpQuery]:
        """Return the document of each year of the window."""
        years = range(request.window.start.year, request.window.end.year + 1)
        return [
            HttpQuery(
                f"{PATH}/{year}/all", {"type": KIND, "field_tdr_date_value": str(year), "page": "", "_format": "csv"}
            )
            for year in years
        ]

    def open_reply(self, payload: Payload) -> Table:
        """Return the header and the rows of a CSV."""
        text = self.document_text(payload)
        table = _table(text)
        if table is None:
            kind = "a page" if text.lstrip()[:1] == "<" else f"{len(payload.body)} bytes without the header of its CSV"
            raise MalformedPayload(f"{self.name} sends {kind} in place of the rates", payload)
        return table

    def shape(self, payload: Payload) -> Shape | None:
        """Return the shape of the CSV."""
        return SHAPE

    def fields(self, content: Table) -> list[dict[str, Any]]:
        """Return a sample of the rows as objects."""
        header, rows = content
        return [_object(header, row) for row in sample(rows)]

    def parsed(self, payload: Payload) -> list[dict[str, Any]]:
        """Return a sample of the rows of a reply that may be malformed."""
        table = _table(payload.body.decode("utf-8", "replace"))
        return [] if table is None else self.fields(table)

    def read_rates(self, content: Table, payload: Payload) -> pl.DataFrame:
        """Return a row per day and tenor that has a rate."""
        header, rows = content
        tenors = {place: tenor for place, name in enumerate(header) if (tenor := tenor_of(name)) is not None}
        if not tenors:
            raise WrongForm("it has no column of a tenor, as in 10 Yr")
        if len(set(tenors.values())) < len(tenors):
            raise WrongForm("a tenor is there twice")
        year, rates = _year_of(payload), list[tuple[date, str, float]]()
        for row in rows:
            if len(row) != len(header):
                raise WrongForm(f"a row has {len(row)} cells, the header {len(header)}")
            day = _day(row[0])
            if year is not None and day.year != year:
                raise WrongForm(f"the document of {year} has a row of {day}")
            for place, tenor in tenors.items():
                value = rate_of(row[place], f"{header[place]} of {day}")
                if value is not None:
                    rates.append((day, tenor, value))
        frame = pl.DataFrame(rates, {"date": pl.Date, "tenor": pl.String, "value": pl.Float64}, orient="row")
        return frame.with_columns(pl.lit(UNIT).alias("unit"))


def tenor_of(name: str) -> str | None:
    """Return the tenor of a column, None where it has none.

    >>> tenor_of("1.5 Month"), tenor_of("10 Yr"), tenor_of("Extrapolation Factor")
    ('1.5m', '10y', None)
    """
    match = _TENOR.fullmatch(name)
    return None if match is None else f"{match[1]}{match[2][0].lower()}"


def _table(text: str) -> Table | None:
    """Return the header and the rows of a CSV; None where it does not begin with the Treasury's header."""
    lines = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    return (lines[0], lines[1:]) if lines and lines[0][0] == DATE else None


def _object(header: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    def value(name: str, cell: str) -> Any:
        try:
            return cell if name == DATE else rate_of(cell, name)
        except WrongForm:
            return cell

    return {name: value(name, cell) for name, cell in zip(header, row, strict=False)}


def _day(cell: str) -> date:
    if not _DAY.fullmatch(cell):
        raise WrongForm(f"{cell[:20]!a} is no day in the form of 03/09/2020")
    return datetime.strptime(cell, "%m/%d/%Y").date()  # noqa: DTZ007 – a day, without a time


def _year_of(payload: Payload) -> int | None:
    """Return the year of the requested document."""
    parts = urlsplit(payload.request).path.removeprefix(PATH).split("/")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None
