"""Find a published rate in its document: a line of a CSV, or an element below the day's element of an XML."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, Self

from quantx.core.reply_places import ReplyPlace

_LONGEST = 600  # characters of a text
_CELL = re.compile(r'[,;\t"\']')
_NEXT_DAY = re.compile(r"\btime=")
_CURRENCY = re.compile(r"""<\w+\s+currency=["'](\w+)["']\s+rate=["']([^"']+)["']\s*/?>""")


class SoughtInReply(Protocol):
    """A row that is searched in a reply."""

    @property
    def symbol(self) -> str:
        """Return the symbol under which the reply is stored."""
        ...

    def place_in(self, body: bytes) -> tuple[ReplyPlace | None, Mapping[str, float] | None, float]:
        """Return the place in a reply, the values as sent, and the ratio; (None, None, 1) if it is not there."""
        ...


@dataclass(frozen=True)
class SoughtRate:
    """A rate to find: the date, the value as sent, and the currency of an exchange rate."""

    symbol: str
    day: date | None
    value: float | None
    currency: str | None = None

    @classmethod
    def of_row(cls, symbol: str, row: Mapping[str, Any]) -> Self:
        """Return the rate of a row of a table of rates; its day may be an ISO text, as in quarantine."""
        day = row.get("date")
        value = row.get("value", row.get("rate"))
        return cls(symbol, date.fromisoformat(day) if isinstance(day, str) else day, value, row.get("quote"))

    def place_in(self, body: bytes) -> tuple[ReplyPlace | None, Mapping[str, float] | None, float]:
        """Return the place in a document, the value as sent, and 1; (None, None, 1) if the day is not there."""
        if self.day is None:
            return None, None, 1.0
        text = body.decode("utf-8", "replace")
        place = _in_xml(text, self) if text.lstrip()[:1] == "<" else _in_lines(text, self)
        sent = {"value": self.value} if place is not None and place.agreeing and self.value is not None else None
        return place, sent, 1.0


def _in_lines(text: str, sought: SoughtRate) -> ReplyPlace | None:
    """Return the line of the day, the one that has the value where the day is there twice."""
    assert sought.day is not None, "checked by place_in"
    stamps = {f"{sought.day:%m/%d/%Y}", f"{sought.day:%Y-%m-%d}"}
    found: ReplyPlace | None = None
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in _CELL.split(line) if cell.strip()]
        if cells and cells[0] in stamps:
            agreeing = float(any(_equal(cell, sought.value) for cell in cells[1:]))
            if found is None or agreeing > found.agreeing:
                found = ReplyPlace(f"line {number}", line[:_LONGEST], agreeing)
    return found


def _in_xml(text: str, sought: SoughtRate) -> ReplyPlace | None:
    """Return the element of the currency below that of the day; the place is an XPath."""
    for day in re.finditer(rf"\btime=[\"']{sought.day}[\"']", text):
        end = _NEXT_DAY.search(text, day.end())
        for element in _CURRENCY.finditer(text, day.end(), len(text) if end is None else end.start()):
            if element[1] == sought.currency and (sought.value is None or _equal(element[2], sought.value)):
                path = f"//Cube[@time='{sought.day}']/Cube[@currency='{sought.currency}']"
                return ReplyPlace(path, element.group()[:_LONGEST], 1)
    return None


def _equal(sent: str, value: float | None) -> bool:
    try:
        return value is not None and math.isclose(float(sent), value, rel_tol=1e-12)
    except ValueError:
        return False
