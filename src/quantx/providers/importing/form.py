"""The form of a file: what its columns, dates, prices and units mean. It is kept with each stored page.

A page of an import is read from its body and its form alone, so that `quantx reprocess` needs no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from quantx.providers.protocol import PriceBasis

Kind = Literal["csv", "yfinance", "lean_daily", "lean_minute", "parquet", "excel"]
# The columns of bars and events by our names; `time` has a date and a clock time, or `date` and `clock` have them.
FIELDS = ("date", "clock", "open", "high", "low", "close", "volume", "adj_close", "dividend", "split", "symbol")
BASES: Mapping[str, PriceBasis] = {
    "as_traded": "as_traded",
    "split_adjusted": "split_adjusted",
    "total_adjusted": "fully_adjusted",
}
EXCHANGE = "exchange"  # a zone: that of each symbol's exchange
SPLITS = "splits"  # the kind of a page that has the splits by which a symbol's prices are divided


@dataclass(frozen=True, kw_only=True)
class FileForm:
    """The meaning of a file. None: not known, or of no meaning for its kind."""

    kind: Kind = "csv"
    columns: Mapping[str, str | int] = field(default_factory=dict)  # of FIELDS: the header's name, or the position
    header: int = 1  # lines before the rows; 0: none
    separator: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str = ""
    date_format: str | None = None  # of strptime; iso; epoch_s, epoch_ms, epoch_us, epoch_ns
    zone: str | None = None  # of times without an offset: IANA, or EXCHANGE
    stamps: Literal["start", "end"] | None = None  # what the stamp of a minute is
    timeframe: str = "1d"
    basis: str | None = None  # a key of BASES
    currency: str | None = None
    price_factor: float = 1.0
    volume_factor: float = 1.0
    day: str | None = None  # of a file of one day's minutes whose rows have clock times only, as in 2014-06-05

    def encoded(self) -> dict[str, str]:
        """Return the values that differ from the defaults, as texts."""
        default, given = asdict(FileForm()), asdict(self)
        return {
            name: _columns_text(value) if name == "columns" else str(value)
            for name, value in given.items()
            if value != default[name]
        }

    @classmethod
    def decoded(cls, values: Mapping[str, str]) -> FileForm:
        """Return the form of `encoded` values; ValueError or LookupError where they are none."""
        read: dict[str, Any] = {}
        for each in fields(cls):
            if each.name not in values:
                continue
            text = values[each.name]
            if each.name == "columns":
                read[each.name] = dict(map(_column, text.split(",")))
            elif each.name in ("price_factor", "volume_factor"):
                read[each.name] = float(text)
            else:
                read[each.name] = int(text) if each.name == "header" else text
        return cls(**read)

    def with_values(self, **values: Any) -> FileForm:
        """Return the form with those of the values that are not None."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class PageOrigin:
    """The request of a page: the file that it is from, and its form."""

    path: str  # of the file, and of the member in an archive after an exclamation mark
    file_sha256: str
    form: FileForm
    kind: str = "file"  # or SPLITS
    given: str = ""  # digest of what was declared: with the same file and declaration, nothing has to be read again
    parts: int = 1  # symbols of the file

    @property
    def url(self) -> str:
        """Return the request as a page stores it."""
        return f"import:{quote(self.path, safe='/!')}?{self.key}&given={self.given}&parts={self.parts}"

    @property
    def key(self) -> str:
        """Return what decides about the rows of the page: not the path."""
        values = {"page": self.kind, "sha256": self.file_sha256, **self.form.encoded()}
        return urlencode(values, safe=":,/", quote_via=quote)

    @classmethod
    def read(cls, url: str) -> PageOrigin:
        """Return the origin of a stored page; ValueError where its request is none of an import."""
        split = urlsplit(url)
        if split.scheme != "import":
            raise ValueError("the request is none of an import")
        values = {name: found[0] for name, found in parse_qs(split.query, keep_blank_values=True).items()}
        path = unquote(split.path)
        kind, given, parts = values.get("page", "file"), values.get("given", ""), int(values.get("parts", "1"))
        return cls(path, values.get("sha256", ""), FileForm.decoded(values), kind, given, parts)


def _columns_text(columns: Mapping[str, str | int]) -> str:
    """Return columns as in date:Date,close:Adj%20Close; a position is a number after a sign, as in close:#4."""
    return ",".join(
        f"{name}:#{column}" if isinstance(column, int) else f"{name}:{quote(column, safe='')}"
        for name, column in columns.items()
    )


def _column(text: str) -> tuple[str, str | int]:
    name, _, column = text.partition(":")
    return name, int(column[1:]) if column.startswith("#") else unquote(column)
