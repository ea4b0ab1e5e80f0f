"""Find a fact in a vendor's reply: its place and the text there.

Known forms have a JSON pointer: the SEC's companyfacts (facts by taxonomy, tag and unit, each an object with `end`,
`val` and `accn`; https://www.sec.gov/search-filings/edgar-application-programming-interfaces), and lists of statements
(objects with a field per item). In other forms a fact is found by its value, its days and its filing. A fact is a flat
object in all of them, so that a search for braces finds it in milliseconds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from quantx.core.reply_places import ReplyPlace

_FLAT = re.compile(r"\{[^{}]*\}|\]")
_LONGEST = 600  # characters of a text
_SAME = 1e-9
_TEXTS = ("taxonomy", "tag", "unit", "accession")
_DAYS = ("start", "end", "filed")


@dataclass(frozen=True, kw_only=True)
class SoughtFact:
    """A fact to find; what the row does not have is None. `symbol` is the one that its reply is stored under."""

    symbol: str
    taxonomy: str | None = None
    tag: str | None = None
    unit: str | None = None
    start: date | None = None
    end: date | None = None
    filed: date | None = None
    value: float | None = None
    accession: str | None = None

    @classmethod
    def of_row(cls, symbol: str, row: Mapping[str, Any]) -> Self:
        """Return the fact of a row of any dataset of facts; days may be ISO texts, as in quarantine."""
        days = {name: row.get(name) for name in _DAYS}
        read = {name: date.fromisoformat(day) if isinstance(day, str) else day for name, day in days.items()}
        return cls(symbol=symbol, value=row.get("value"), **read, **{name: row.get(name) for name in _TEXTS})

    def place_in(self, body: bytes) -> tuple[ReplyPlace | None, Mapping[str, float] | None, float]:
        """Return the fact's place in a reply and its value as sent; (None, None, 1) if it is not there."""
        text = body.decode("utf-8", "replace")
        if None in (self.taxonomy, self.tag, self.unit, self.end, self.value):
            place = _by_values(text, self)
        else:
            place = _in_facts(text, self) or _in_statements(text, self)
        sent = None if place is None or self.value is None else {self.tag or "value": self.value}
        return place, sent, 1.0


def _in_facts(text: str, sought: SoughtFact) -> ReplyPlace | None:
    path, at = [str(sought.taxonomy), str(sought.tag), str(sought.unit)], 0
    for name in path:
        found = _key(text, name, at)
        if found is None:
            return None
        at = found
    for number, (row, match) in enumerate(_objects(text, at, whole_list=True)):
        if _is(row, sought):
            taxonomy, tag, unit = map(_escaped, path)
            return ReplyPlace(f"/facts/{taxonomy}/{tag}/units/{unit}/{number}", match.group()[:_LONGEST], 1)
    return None


def _in_statements(text: str, sought: SoughtFact) -> ReplyPlace | None:
    tag = str(sought.tag)
    for number, (row, match) in enumerate(_objects(text, 0, whole_list=False)):
        value = row.get(tag.rpartition(".")[2])  # a tag may name its statement, as in cashFlow.netIncome
        if _equal(value, sought.value) and any(str(each)[:10] == str(sought.end) for each in row.values()):
            return ReplyPlace(f"/{number}/{_escaped(tag)}", match.group()[:_LONGEST], 1)
    return None


def _by_values(text: str, sought: SoughtFact) -> ReplyPlace | None:
    """Return the first object with the fact's value and most of its days and its filing; None without any of these.

    `where` is the object's number of bytes from the beginning.
    """
    describing = [str(each) for each in (sought.end, sought.start, sought.accession, sought.filed) if each]
    best, most = None, 0
    for row, match in _objects(text, 0, whole_list=False):
        agreeing = sum(each in match.group() for each in describing)
        if agreeing > most and (sought.value is None or any(_equal(sent, sought.value) for sent in row.values())):
            best, most = match, agreeing
    if best is None:
        return None
    return ReplyPlace(f"byte {len(text[: best.start()].encode()):,}", best.group()[:_LONGEST], most)


def _is(row: Mapping[str, Any], sought: SoughtFact) -> bool:
    start = None if sought.start is None else str(sought.start)
    named = row.get("end") == str(sought.end) and row.get("start") == start
    return named and row.get("accn") == sought.accession and _equal(row.get("val"), sought.value)


def _objects(text: str, at: int, *, whole_list: bool) -> Iterator[tuple[dict[str, Any], re.Match[str]]]:
    """Yield the flat objects from a place on with their matches; of a list, up to its end."""
    for match in _FLAT.finditer(text, at):
        if match.group() == "]":
            if whole_list:
                return
            continue
        try:
            yield json.loads(match.group()), match
        except json.JSONDecodeError:
            continue


def _key(text: str, name: str, at: int) -> int | None:
    """Return the place behind the next key of a name; None if there is none."""
    match = re.compile(re.escape(json.dumps(name)) + r"\s*:").search(text, at)
    return None if match is None else match.end()


def _equal(sent: object, value: float | None) -> bool:
    """Return whether a value as sent, a number or the text of one, is a value."""
    if value is None or isinstance(sent, bool):
        return False
    try:
        return math.isclose(float(str(sent)), value, rel_tol=_SAME)
    except ValueError:
        return False


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
