"""What the URL of the Series page requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from quantx.core.symbols import symbol_of
from quantx.errors import ConfigError
from quantx.reader.fundamentals import Period

ADJUSTMENTS, TIMEFRAMES = ("none", "split", "total"), ("1d", "1m")
PERIODS: Mapping[str, Period] = {"quarter": "quarter", "annual": "annual", "ttm": "ttm"}
FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, kw_only=True)
class SeriesRequest:
    """The parameters of the page; an empty text means: not given."""

    symbol: str
    timeframe: str = "1d"
    start: str = ""
    end: str = ""
    adjust: str = "none"
    as_of: str = ""
    on: str = ""  # the day on which the security carried the symbol, where several have
    source: str = ""
    vendors: str = ""  # 1: also the lines of other vendors
    period: str = "quarter"
    point: str = ""  # the day, or the minute, whose value is explained
    field: str = "close"  # of a bar, or a concept and its period, as in revenue_annual
    page: str = "1"  # of the table of bars, from the newest bar

    @staticmethod
    def parse(given: Mapping[str, str]) -> SeriesRequest:
        """Return the request of a URL's parameters; those that the page does not have are ignored.

        Raises ConfigError for a wrong symbol or choice.
        """
        names = SeriesRequest.__dataclass_fields__
        texts = {name: text.strip() for name, text in given.items() if name in names and text.strip()}
        request = SeriesRequest(**{"symbol": "", **texts})
        for name, choices in (
            ("adjust", ADJUSTMENTS),
            ("timeframe", TIMEFRAMES),
            ("period", PERIODS),
        ):
            if (value := getattr(request, name)) not in choices:
                raise ConfigError(f"{name}={value[:60]!r} must be one of {', '.join(choices)}")
        if not request.page.isdecimal() or len(request.page) > 6:
            raise ConfigError(f"page={request.page[:60]!r} is not a number; use 1 for the newest bars")
        return request if not request.symbol else request.with_(symbol=symbol_of(request.symbol))

    @property
    def minutes(self) -> bool:
        """Return whether the bars are minutes."""
        return self.timeframe == "1m"

    @property
    def bars(self) -> dict[str, Any]:
        """Return the arguments of `Lake.bars` without the symbol."""
        given = {name: getattr(self, name) or None for name in ("start", "end", "as_of", "source", "on")}
        return {"timeframe": self.timeframe, "adjust": self.adjust, **given}

    def with_(self, **values: str) -> SeriesRequest:
        """Return the request with other values."""
        return SeriesRequest(**{**self.__dict__, **values})

    def address(self, path: str = "/series", **values: str) -> str:
        """Return a URL of the request with other values; what is as by default is left out."""
        plain = SeriesRequest(symbol="").__dict__
        texts = {name: text for name, text in self.with_(**values).__dict__.items() if text != plain[name]}
        return f"{path}?{urlencode(texts)}"


def address_of(row: Mapping[str, Any]) -> str:
    """Return the address of the page of a row's symbol."""
    return SeriesRequest(symbol=row["symbol"]).address()
