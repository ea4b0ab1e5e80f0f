"""The one reader of splits and dividends in replies: an event that can't be applied costs only itself."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

from quantx.core.quality.event_rules import EVENT_RULES
from quantx.core.quality.rule import split_by, with_classes
from quantx.providers.protocol import REJECTED_EVENTS, VENDOR_ACTIONS, VENDOR_EVENTS

EventKind = Literal["split", "dividend", "capital_gain"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOST_SENT = 2000  # characters of an event that are kept


@dataclass(frozen=True, kw_only=True)
class SentEvent:
    """A split, dividend or capital gain as the vendor sent it, with its parts."""

    symbol: str
    kind: EventKind
    place: str  # in the reply, as in `events.splits.1549290600`
    sent: object  # as parsed from JSON
    day: date | None
    value: float | None  # new shares per old one, or cash; None where it can't be read
    paid_in: str | None = None


@dataclass(frozen=True)
class ReadEvents:
    """The events that can be applied, and the others."""

    actions: pl.DataFrame  # VENDOR_ACTIONS
    rejected: pl.DataFrame  # REJECTED_EVENTS


def check_fields(rows: Sequence[object], *names: str) -> None:
    """Raise KeyError where rows have none of these fields: it is a reply of another kind, not a senseless event."""
    missing = [name for name in names if rows and not any(isinstance(row, Mapping) and name in row for row in rows)]
    if missing:
        raise KeyError(", ".join(missing))


def read_events(events: Iterable[SentEvent]) -> ReadEvents:
    """Split events by EVENT_RULES; those without effect (1:1, no cash) are in neither part."""
    read = read_parts([(0, event) for event in events])
    return ReadEvents(read.actions.select(list(VENDOR_ACTIONS)), read.rejected.select(list(REJECTED_EVENTS)))


def read_parts(events: Sequence[tuple[int, SentEvent]]) -> ReadEvents:
    """Do the same with the events of many parts of replies; both frames also have the number of the `part`."""
    rows = [(n, e.symbol, e.day, e.kind, e.value, e.paid_in, e.place, None) for n, e in events]
    frame = pl.DataFrame(rows, schema={"part": pl.Int64, **VENDOR_EVENTS}, orient="row")
    checked = split_by(with_classes(frame.with_row_index("nth")), EVENT_RULES)
    effect = pl.col("value") != pl.when(pl.col("kind") == "split").then(1.0).otherwise(0.0)
    applied = checked.accepted.filter(effect).select("part", *VENDOR_ACTIONS)
    applied = applied.sort("part", "ex_date", "kind", "value", "paid_in")
    return ReadEvents(applied, _with_texts(checked.rejected, events).select("part", *REJECTED_EVENTS))


def _with_texts(rejected: pl.DataFrame, events: Sequence[tuple[int, SentEvent]]) -> pl.DataFrame:
    """Return rejected events with their texts."""
    texts = [_as_json(events[nth][1].sent) for nth in rejected["nth"]]
    return rejected.with_columns(pl.Series("sent", texts, dtype=pl.String))


def part(entry: object, name: str) -> Any:
    """Return a field of an event, None where it is missing or the event has no fields."""
    return entry.get(name) if isinstance(entry, Mapping) else None


def day_of(spelt: object) -> date | None:
    """Return the date of a text as in 2024-02-29, None where it is none."""
    if not isinstance(spelt, str) or not _DAY.fullmatch(spelt):
        return None
    try:
        return date.fromisoformat(spelt)
    except ValueError:
        return None


def number_of(sent: object) -> float | None:
    """Return a number, None where the value is none."""
    if type(sent) not in (int, float):
        return None
    try:
        return float(sent)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf


def spelt_number_of(sent: object) -> float | None:
    """Return a number or the number that a text spells, None where the value is none."""
    if isinstance(sent, str):
        return float(sent) if _NUMBER.fullmatch(sent) else None
    return number_of(sent)


def ratio_of(new: float | None, old: float | None) -> float | None:
    """Return new shares per old one; infinite where no share can be divided so, None where a number is missing."""
    if new is None or old is None:
        return None
    if new <= 0 or old <= 0 or math.isinf(old):
        return math.inf
    return new / old


def _as_json(sent: object) -> str:
    return json.dumps(sent, separators=(",", ":"), default=str)[:_MOST_SENT]
