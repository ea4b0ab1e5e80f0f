"""The ECB's euro foreign exchange reference rates: XML documents without a key, from 1999-01-04 on.

A rate is the number of units of a currency for one euro. There are some thirty currencies on each day of TARGET:
Saturdays, Sundays and TARGET's holidays have no element. A currency that joins the euro or is no longer quoted ends:
the kuna on 2022-12-30, the lev on 2025-12-31, the rouble on 2022-03-01 (suspended). Its earlier rates stay.

Two documents serve all windows: `eurofxref-hist-90d.xml` with the last ninety days, which a daily update fetches whole
to notice corrections, and `eurofxref-hist.xml` with everything. Rates are public at 16:00 in Frankfurt, the time that
the ECB states. They are published for information only; the ECB discourages their use for transactions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

import polars as pl

from quantx.core.model import Payload
from quantx.core.rate_series import EURO
from quantx.errors import MalformedPayload
from quantx.providers.drift import Shape, sample
from quantx.providers.http_provider import HttpQuery
from quantx.providers.protocol import Capabilities, Request
from quantx.providers.published_rates import RateProvider, rate_of
from quantx.providers.reply_values import WrongForm
from quantx.settings.vendors import EcbSettings

SOURCE = "ecb"
PATH = "/stats/eurofxref/"
HISTORY, RECENT, DAILY = "eurofxref-hist.xml", "eurofxref-hist-90d.xml", "eurofxref-daily.xml"
RECENT_DAYS = 85  # of the ninety days of RECENT: it changes before the day of the request ends
BASE = EURO.symbol

SHAPE = Shape("fx_rates", [{"time": "text", "rates": [{"currency": "text", "rate": "number|null"}]}])

# Of a yen, a Danish krone and a Swedish one there are always several in a euro: 80, 7 and 8 at least since 1999.
_MANY_PER_EURO = ("JPY", "DKK", "SEK")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME, _CURRENCY, _RATE = "time", "currency", "rate"

Days = Sequence[tuple[str, Sequence[Mapping[str, str]]]]  # each day as sent, with the attributes of its elements


class Ecb(RateProvider[Days]):
    """The provider `ecb`."""

    capabilities = Capabilities(
        source=SOURCE,
        timeframes=(),
        markets=("eu",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota=EcbSettings.default_quota,
        datasets=(EURO.dataset,),
    )
    name = "the ECB"
    host = "https://www.ecb.europa.eu"
    series = EURO

    def documents(self, request: Request) -> Sequence[HttpQuery]:
        """Return the smallest document with the whole window."""
        recent = self._clock.now().date() - timedelta(days=RECENT_DAYS)
        return [HttpQuery(PATH + (RECENT if request.window.start >= recent else HISTORY), {})]

    def open_reply(self, payload: Payload) -> Days:
        """Return the days of a document."""
        text = self.document_text(payload)
        try:
            return _days(text)
        except ElementTree.ParseError:
            kind = "a page" if "<html" in text[:1000].lower() else f"{len(payload.body)} bytes that are no whole XML"
        except WrongForm:
            kind = "a document without a day"
        raise MalformedPayload(f"{self.name} sends {kind} in place of the rates", payload)

    def shape(self, payload: Payload) -> Shape | None:
        """Return the shape of the document."""
        return SHAPE

    def fields(self, content: Days) -> list[dict[str, Any]]:
        """Return a sample of the days as objects."""
        return [{_TIME: day, "rates": [_object(each) for each in rates]} for day, rates in sample(content)]

    def parsed(self, payload: Payload) -> list[dict[str, Any]]:
        """Return a sample of the days of a reply that may be malformed."""
        try:
            return self.fields(_days(payload.body.decode("utf-8", "replace")))
        except (ElementTree.ParseError, WrongForm):
            return []

    def read_rates(self, content: Days, payload: Payload) -> pl.DataFrame:
        """Return a row per day and currency that has a rate."""
        rates = list[tuple[date, str, float]]()
        for sent, elements in content:
            if not _DAY.fullmatch(sent):
                raise WrongForm(f"{sent[:20]!a} is no day in the form of 2024-01-31")
            day, of_day = date.fromisoformat(sent), dict[str, float]()
            for element in elements:
                if element[_CURRENCY] == BASE:  # then none of the rates is per euro
                    raise WrongForm(f"it has a rate of the euro on {day}: its rates are of another base")
                value = rate_of(element[_RATE], f"{element[_CURRENCY][:10]} of {day}")
                if value is not None:
                    of_day[element[_CURRENCY]] = value
                    rates.append((day, element[_CURRENCY], value))
            if all(of_day.get(code, 1.0) < 1.0 for code in _MANY_PER_EURO):
                raise WrongForm(f"its rates of {day} are inverted: less than one {' and one '.join(_MANY_PER_EURO)}")
        frame = pl.DataFrame(rates, {"date": pl.Date, "quote": pl.String, "rate": pl.Float64}, orient="row")
        return frame.with_columns(pl.lit(BASE).alias("base"))


def _days(text: str) -> Days:
    """Return the elements with a day, with the attributes of those below; WrongForm where there is none."""
    if "<!" in text:  # a page, or declarations of entities: the ECB's documents have neither
        raise ElementTree.ParseError
    root = ElementTree.fromstring(text)  # noqa: S314 – without declarations there is nothing to expand
    days = [(day, [each.attrib for each in element]) for element in root.iter() if (day := element.get(_TIME))]
    if not days:
        raise WrongForm("it has no day")
    return days


def _object(attributes: Mapping[str, str]) -> dict[str, Any]:
    def value(name: str, sent: str) -> Any:
        try:
            return rate_of(sent, name) if name == _RATE else sent
        except WrongForm:
            return sent

    return {name: value(name, sent) for name, sent in attributes.items()}
