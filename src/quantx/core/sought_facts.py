"""Find a stored fact in its reply: a JSON pointer and the text there; `fact_places` finds rows that no rule has passed.

Known forms: the SEC's companyfacts (facts by taxonomy, tag and unit, each a flat object with `end`, `val` and `accn`;
https://www.sec.gov/search-filings/edgar-application-programming-interfaces), and lists of statements (flat objects with
a field per item). A fact is a flat object in both, so that a search for braces finds it in milliseconds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from quantx.core.reply_places import ReplyPlace

_FLAT = re.compile(r"\{[^{}]*\}|\]")
_LONGEST = 600  # characters of a text
_SAME = 1e-9


@dataclass(frozen=True, kw_only=True)
class SoughtFact:
    """A fact to find; `symbol` is the one that its reply is stored under."""

    symbol: str
    taxonomy: str
    tag: str
    unit: str
    start: date | None
    end: date
    value: float
    accession: str | None

    def place_in(self, body: bytes) -> tuple[ReplyPlace | None, dict[str, float] | None, float]:
        """Return the fact's place in a reply and its value as sent; (None, None, 1) if it is not there."""
        text = body.decode("utf-8", "replace")
        place = _in_facts(text, self) or _in_statements(text, self)
        return (None, None, 1.0) if place is None else (place, {self.tag: self.value}, 1.0)


def _in_facts(text: str, sought: SoughtFact) -> ReplyPlace | None:
    taxonomy = _key(text, sought.taxonomy, 0)
    at = None if taxonomy is None else _key(text, sought.tag, taxonomy)
    at = None if at is None else _key(text, sought.unit, at)
    if at is None:
        return None
    for number, (row, sent) in enumerate(_objects(text, at, whole_list=True)):
        if _is(row, sought):
            pointer = "/".join(_escaped(p) for p in (sought.taxonomy, sought.tag, "units", sought.unit))
            return ReplyPlace(f"/facts/{pointer}/{number}", sent[:_LONGEST], 1)
    return None


def _in_statements(text: str, sought: SoughtFact) -> ReplyPlace | None:
    for number, (row, sent) in enumerate(_objects(text, 0, whole_list=False)):
        value = row.get(sought.tag.rpartition(".")[2])  # a tag may name its statement, as in cashFlow.netIncome
        if _equal(value, sought.value) and any(str(each)[:10] == str(sought.end) for each in row.values()):
            return ReplyPlace(f"/{number}/{_escaped(sought.tag)}", sent[:_LONGEST], 1)
    return None


def _is(row: dict[str, Any], sought: SoughtFact) -> bool:
    start = None if sought.start is None else str(sought.start)
    named = row.get("end") == str(sought.end) and row.get("start") == start
    return named and row.get("accn") == sought.accession and _equal(row.get("val"), sought.value)


def _objects(text: str, at: int, *, whole_list: bool) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the flat objects from a place on with their texts; of a list, up to its end."""
    for match in _FLAT.finditer(text, at):
        if match.group() == "]":
            if whole_list:
                return
            continue
        try:
            yield json.loads(match.group()), match.group()
        except json.JSONDecodeError:
            continue


def _key(text: str, name: str, at: int) -> int | None:
    """Return the place behind the next key of a name; None if there is none."""
    match = re.compile(re.escape(json.dumps(name)) + r"\s*:").search(text, at)
    return None if match is None else match.end()


def _equal(sent: object, value: float) -> bool:
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return False
    return math.isclose(sent, value, rel_tol=_SAME)


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")
