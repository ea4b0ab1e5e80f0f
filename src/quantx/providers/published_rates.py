"""The base of adapters for publishers of rates: documents without a key, one for all rates of some days."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Generic, TypeVar

import polars as pl

from quantx.core.model import Payload
from quantx.core.rate_series import RateSeries
from quantx.errors import MalformedPayload, UnknownSymbol
from quantx.providers.http_provider import HttpProvider, HttpQuery
from quantx.providers.protocol import FactFrames, Request, VendorFrames
from quantx.providers.reply_values import WrongForm

Content = TypeVar("Content")

_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")
_NOTHING = ("", "N/A")  # no rate of the day


class RateProvider(HttpProvider[Content], Generic[Content]):
    """A publisher of one series of rates. A subclass supplies `documents`, `read_rates`, `open_reply` and `shape`."""

    series: ClassVar[RateSeries]

    @abstractmethod
    def documents(self, request: Request) -> Sequence[HttpQuery]:
        """Return the documents that together have all days of the request's window."""

    @abstractmethod
    def read_rates(self, content: Content, payload: Payload) -> pl.DataFrame:
        """Return the rates of a document with the columns of the series' table; any of FORM_ERRORS for another form."""

    def queries(self, request: Request, symbol: str) -> Sequence[HttpQuery]:
        """Return the queries of the documents; UnknownSymbol for any other series."""
        if symbol != self.series.symbol or request.dataset != self.series.dataset:
            raise UnknownSymbol(f"{self.name} has no {request.dataset} of {symbol}", [symbol])
        return self.documents(request)

    def read(self, content: Content, payload: Payload) -> VendorFrames:
        """Refuse: a document of rates has no bars."""
        raise WrongForm("it is a document of rates, which has no bars")

    def normalize_facts(self, payload: Payload) -> FactFrames:
        """Return the rates of a stored document, each public at the publisher's time of its day."""
        return self._frames(payload, self._rates)

    def _rates(self, content: Content, payload: Payload) -> FactFrames:
        return FactFrames(rows=self.read_rates(content, payload).with_columns(public_at(self.series)))

    def document_text(self, payload: Payload) -> str:
        """Return the text of a document; MalformedPayload for another status, and for what is no text."""
        if payload.status != 200:
            raise MalformedPayload(f"{self.name} answers HTTP {payload.status} in place of the document", payload)
        try:
            return payload.body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise MalformedPayload(f"{self.name}'s document is no text", payload) from None


def public_at(series: RateSeries) -> pl.Expr:
    """Return the instant at which the rates of the column `date` are public, in UTC."""
    since_midnight = timedelta(hours=series.published.hour, minutes=series.published.minute)
    local = pl.col("date").cast(pl.Datetime("us")) + since_midnight
    return local.dt.replace_time_zone(series.zone).dt.convert_time_zone("UTC").alias("public_at")


def rate_of(sent: str, what: str) -> float | None:
    """Return a rate as sent, None where the publisher has none; WrongForm for what is no decimal number.

    >>> rate_of("4.35", "10 Yr"), rate_of("N/A", "30 Yr")
    (4.35, None)
    """
    sent = sent.strip()
    if sent in _NOTHING:
        return None
    if not _NUMBER.fullmatch(sent):
        raise WrongForm(f"{what} has {sent[:20]!a}, which is no rate")
    return float(sent)
