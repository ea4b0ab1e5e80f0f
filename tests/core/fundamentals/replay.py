"""What the facts public at an instant make, in plain Python: the slow specification of `concept_values`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from quantx.core.fundamentals.concept_map import Concept, ConceptMap, parse_formula
from quantx.core.fundamentals.revisions import PERIODIC_FORMS

Cell = tuple[str, date | None, date]  # unit, start, end
ByTag = dict[tuple[str, str], list[tuple[int, dict[str, Any]]]]  # with the order of time
UNITS = {"money": "[A-Z]{3}", "per_share": "[A-Z]{3}/shares", "shares": "shares"}
DAY = timedelta(1)


@dataclass(frozen=True)
class Value:
    """A value, the time from which on it has been that, and when it was filed last (None: it is of a formula)."""

    value: float
    at: datetime
    filed: datetime | None = None


def replay(facts: list[dict[str, Any]], concepts: ConceptMap) -> dict[tuple[str, str, date], float]:
    """Return the values by concept, period and end that facts of one filer make; `facts` are those known."""
    by_tag: ByTag = defaultdict(list)
    for order, fact in enumerate(sorted(facts, key=lambda fact: (fact["public_at"], fact["accession"]))):
        by_tag[fact["taxonomy"], fact["tag"]].append((order, fact))
    currencies = _currencies(by_tag, concepts)
    cells: dict[str, dict[Cell, Value]] = {}
    for name, concept in concepts.concepts.items():
        cells[name] = _cells(by_tag, concept, currencies, cells)
    found: dict[tuple[str, str, date], float] = {}
    ends = {e for name, c in concepts.concepts.items() if c.kind == "duration" or c.dates_balance_sheet
            for _, _, e in cells[name]}  # fmt: skip
    year_ends = {e for name, c in concepts.concepts.items() if c.kind == "duration"
                 for _, s, e in cells[name] if s and 350 <= (e - s).days <= 380}  # fmt: skip
    for name, concept in concepts.concepts.items():
        if concept.kind == "instant":
            found |= _newest(name, "quarter", {c: v for c, v in cells[name].items() if c[2] in ends or concept.any_day})
            if not concept.any_day:
                found |= _newest(name, "annual", {c: v for c, v in cells[name].items() if c[2] in year_ends})
        else:
            found |= _periods(name, cells[name], adds_up=concept.adds_up)
    return found


def _fits(fact: dict[str, Any], concept: Concept) -> bool:
    start, end = fact["start"], fact["end"]
    if not re.fullmatch(UNITS[concept.unit], fact["unit"]) or fact["revision"] == "scale":
        return False
    if concept.kind == "instant":
        return start is None
    return start is not None and 75 <= (end - start).days <= 380


def _currencies(by_tag: ByTag, concepts: ConceptMap) -> dict[str, str]:
    """Return the currency of most facts of each filing."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for concept in concepts.concepts.values():
        for tag in ((taxonomy, tag) for taxonomy, some in concept.tags.items() for tag in some):
            for _, fact in by_tag.get(tag, []):
                if _fits(fact, concept) and fact["unit"] != "shares":
                    counts[fact["accession"]][fact["unit"][:3]] += 1
    return {accession: min(some, key=lambda c: (-some[c], c == "USD", c)) for accession, some in counts.items()}


def _cells(
    by_tag: ByTag, concept: Concept, currencies: dict[str, str], made: dict[str, dict[Cell, Value]]
) -> dict[Cell, Value]:
    ranks = {(taxonomy, tag): rank for taxonomy, some in concept.tags.items() for rank, tag in enumerate(some)}
    seen: dict[Cell, list[tuple[int, bool, dict[str, Any]]]] = defaultdict(list)
    tagged = sorted(((order, rank, fact) for tag, rank in ranks.items() for order, fact in by_tag.get(tag, [])),
                    key=lambda each: each[0])  # fmt: skip
    for _, rank, fact in tagged:
        if not _fits(fact, concept):
            continue
        if fact["unit"] != "shares" and fact["unit"][:3] != currencies[fact["accession"]]:
            continue
        form = fact["form"].removesuffix("/A")
        if form in ("10-Q", "10-QT") and fact["start"] and (fact["end"] - fact["start"]).days > 330:
            continue
        seen[fact["unit"], fact["start"], fact["end"]].append((rank, form in PERIODIC_FORMS, fact))
    candidates: dict[Cell, dict[int, Value]] = defaultdict(dict)
    for cell, some in seen.items():
        periodic_yet = False
        for rank, periodic, fact in some:
            periodic_yet |= periodic
            before = candidates[cell].get(rank)
            if periodic == periodic_yet:
                same = before is not None and before.value == fact["value"]
                since = before.at if before and same else fact["public_at"]
                candidates[cell][rank] = Value(fact["value"], since, fact["public_at"])
    for rank, text in enumerate(concept.formulas, start=1000):
        parts = parse_formula(text)
        for cell in {cell for part in parts for cell in made[part.concept]}:
            known = [(part, made[part.concept].get(cell)) for part in parts]
            if all(value or part.optional for part, value in known):
                value = sum(part.sign * value.value for part, value in known if value)
                candidates[cell][rank] = Value(value, max(value.at for _, value in known if value))
    return {cell: _decided(some, concept.rule) for cell, some in candidates.items()}


def _decided(candidates: dict[int, Value], rule: str) -> Value:
    if rule == "priority":
        return candidates[min(candidates)]
    if rule == "sizeable":
        largest = max(each.value for each in candidates.values())
        return candidates[min(candidates, key=lambda r: (candidates[r].value < largest / 3, r))]
    newest = max((v.filed for v in candidates.values() if v.filed), default=None)

    def filed(value: Value) -> float:
        moment = value.filed or newest
        return moment.timestamp() if moment else 0.0

    if rule == "larger":
        largest = max(each.value for each in candidates.values())
        candidates = {r: v for r, v in candidates.items() if not v.value < 0.5 * largest}
        return candidates[min(candidates, key=lambda r: (-filed(candidates[r]), -candidates[r].value, r))]
    return candidates[min(candidates, key=lambda r: (-filed(candidates[r]), r))]


def _newest(name: str, period: str, cells: dict[Cell, Value]) -> dict[tuple[str, str, date], float]:
    best: dict[date, Value] = {}
    for (_, _, end), value in cells.items():
        if end not in best or value.at > best[end].at:
            best[end] = value
    return {(name, period, end): value.value for end, value in best.items()}


def _days(start: date | None, end: date) -> int:
    assert start is not None
    return (end - start).days


def _periods(name: str, cells: dict[Cell, Value], *, adds_up: bool) -> dict[tuple[str, str, date], float]:
    quarters = {cell: value for cell, value in cells.items() if 75 <= _days(*cell[1:]) <= 125}
    years = {cell: value for cell, value in cells.items() if 350 <= _days(*cell[1:]) <= 380}
    four: dict[Cell, Value] = {}
    to_date: dict[Cell, Value] = {}
    if adds_up:
        by_start = defaultdict(list)
        for (unit, start, end), value in cells.items():
            by_start[unit, start].append((end, value))
        for (unit, start, end), long in sorted(cells.items(), key=lambda item: _days(*item[0][1:])):
            for short_end, short in by_start[unit, start]:
                if 75 <= (end - short_end).days <= 125:
                    derived = Value(long.value - short.value, max(long.at, short.at))
                    quarters.setdefault((unit, short_end + DAY, end), derived)
        four = _four(quarters)
        to_date = _to_date(cells, years)
    found = _newest(name, "quarter", quarters) | _newest(name, "annual", years)
    for sums in (to_date, four, years):
        found |= _newest(name, "ttm", sums)
    return found


def _four(quarters: dict[Cell, Value]) -> dict[Cell, Value]:
    by_end = defaultdict(list)
    for unit, start, end in quarters:
        by_end[unit, end].append(start)
    sums = {}
    for unit, start, end in quarters:
        chains = [[(unit, start, end)]]
        for _ in range(3):
            chains = [[*chain, (unit, s, chain[-1][1] - DAY)] for chain in chains
                      for s in by_end[unit, chain[-1][1] - DAY]]  # fmt: skip
        for chain in chains:
            first = chain[-1][1]
            if 350 <= (end - first).days <= 380:
                some = [quarters[cell] for cell in chain]
                sums[unit, first, end] = Value(sum(v.value for v in some), max(v.at for v in some))
    return sums


def _to_date(cells: dict[Cell, Value], years: dict[Cell, Value]) -> dict[Cell, Value]:
    parts = defaultdict(list)
    for (unit, start, end), value in cells.items():
        if _days(start, end) < 350:
            parts[unit, start].append((end, value))
    sums = {}
    for (unit, start, end), year in years.items():
        for end_now, now in parts[unit, end + DAY]:
            for end_before, before in parts[unit, start]:
                alike = abs(_days(end + DAY, end_now) - _days(start, end_before)) <= 8
                if alike and 350 <= (end_now - end_before - DAY).days <= 380:
                    value = year.value + now.value - before.value
                    sums[unit, end_before + DAY, end_now] = Value(value, max(year.at, now.at, before.at))
    return sums
