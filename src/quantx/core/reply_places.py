"""Find a rejected row in the vendor's reply: its place (a JSON pointer, or a line) and its text there.

No adapter is involved. A row is found by its stamp, in any form that vendors use, and by its values as sent. In JSON it
is a record, a list, or the elements with one index of parallel lists.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

_TOKEN = re.compile(r'[ \t\r\n]*(?:([{}\[\],:])|("(?:[^"\\]|\\.)*")|([^\s{}\[\],:"]+))')
_STAMP = re.compile(r"(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_MINUTE = timedelta(minutes=1)  # of a vendor that stamps minutes with their end
_SECONDS_OF_DAY = 86_400
_LONGEST = 600  # characters of a row
_SAME = 1e-9

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class ReplyPlace:
    """A place in a reply: `pointer` (RFC 6901) or a line's number, the text there, and how many values agree."""

    where: str
    text: str
    agreeing: float


@dataclass(frozen=True)
class SoughtRow:
    """A row to find: its session, its stamp, and its numbers as sent.

    Without a stamp it is any of the session's day: a date, or an instant of that day in the zone of the exchange.
    """

    symbol: str
    day: date
    time: datetime | None
    zone: ZoneInfo
    values: Sequence[float]
    _letters: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "_letters", _letters(self.symbol))

    def is_stamped(self, sent: object) -> bool:
        """Return whether a scalar or a key of a reply is the stamp of this row."""
        if isinstance(sent, bool) or sent is None:
            return False
        if isinstance(sent, int | float):
            return self._is_at(sent)
        match = _STAMP.fullmatch(str(sent).strip())
        if match is None:
            return False
        try:
            return self._is_stamp(match)
        except ValueError:  # the 32nd of a month, hour 25
            return False

    def _is_at(self, seconds: float) -> bool:
        if not math.isfinite(seconds):
            return False
        if self.time is None:
            start = datetime.combine(self.day, time(), self.zone).timestamp()
            return any(0 <= seconds / unit - start < _SECONDS_OF_DAY for unit in (1, 1_000, 1_000_000_000))
        at = self.time.timestamp()
        return any(abs(seconds / unit - at) < 1 for unit in (1, 1_000, 1_000_000_000))

    def _is_stamp(self, match: re.Match[str]) -> bool:
        year, month, day, hour, minute, second, offset = match.groups()
        if hour is None:
            return date(int(year), int(month), int(day)) == self.day
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
        if self.time is None:
            return local.date() == self.day
        if offset is None:
            return local.replace(tzinfo=self.zone) in (self.time, self.time + _MINUTE) or local == self.time
        return datetime.fromisoformat(f"{local:%Y-%m-%dT%H:%M:%S}{'+00:00' if offset == 'Z' else offset}") == self.time

    def agreement(self, scalars: Sequence[object], path: Path = ()) -> float:
        """Return how many of the row's values are among these scalars; a path with the symbol counts a little."""
        numbers = [number for number in map(_number, scalars) if number is not None]
        found = sum(any(math.isclose(n, value, rel_tol=_SAME) for n in numbers) for value in self.values)
        named = any(isinstance(part, str) and _letters(part) == self._letters for part in path)
        return found + 0.5 * named


def find_row(body: bytes, row: SoughtRow) -> ReplyPlace | None:
    """Return the best place of a row in a reply; None if nothing there has its stamp."""
    return ReplyText(body).find_row(row)


class ReplyText:
    """A reply that is searched for several rows: it is parsed once."""

    def __init__(self, body: bytes) -> None:
        self._text = body.decode("utf-8", "replace")
        is_json = self._text.lstrip()[:1] in ("{", "[")
        self._document = _JsonText.of(self._text) if is_json else None

    def find_row(self, row: SoughtRow, *, like: ReplyPlace | None = None) -> ReplyPlace | None:
        """Return the best place of a row; None if nothing has its stamp.

        With `like`, the place of another row, only places of that form count: its path with other numbers.
        """
        document = self._document
        found = _places_in_lines(self._text, row) if document is None else _places_in_json(document, row)
        places = (place for place in found if like is None or _form(place) == _form(like))
        return max(places, key=lambda place: place.agreeing, default=None)


def _form(place: ReplyPlace) -> str:
    return re.sub(r"(?<=[/ ])\d[^/]*", "#", place.where)


def find_event(body: bytes, place: str, sent: str) -> ReplyPlace | None:
    """Return the place of an event in a JSON reply, given the adapter's name of the place and the event as JSON.

    An event that the reply has twice is told apart by the end of the place, as in `events.splits.1549290600` or `[3]`.
    """
    try:
        event, last = json.loads(sent), re.findall(r"[^.\[\]]+", place)[-1:]
    except json.JSONDecodeError:
        return None
    document = _JsonText.of(body.decode("utf-8", "replace"))
    for node in sorted(document.nodes, key=lambda node: [str(part) for part in node.path[-1:]] != last):
        text = document.text[node.start : node.end]
        if isinstance(event, dict | list) == (text[:1] in "{[") and _same_json(text, event):
            return ReplyPlace(_pointer(node.path), text[:_LONGEST], 1)
    return None


def _same_json(text: str, event: object) -> bool:
    try:
        return bool(json.loads(text) == event)
    except json.JSONDecodeError:
        return False


# ------------------------------------------------------------------------------------------------------------------ CSV


def _places_in_lines(text: str, row: SoughtRow) -> Iterator[ReplyPlace]:
    day = re.compile(f"{row.day:%Y[-/.]?%m[-/.]?%d}")
    for number, line in enumerate(text.splitlines(), 1):
        if day.search(line) is None:
            continue
        fields = [part.strip().strip('"') for part in re.split(r"[,;\t|]", line)]
        if any(row.is_stamped(part) for part in fields):
            yield ReplyPlace(f"line {number}", line[:_LONGEST], row.agreement(fields))


# ----------------------------------------------------------------------------------------------------------------- JSON


@dataclass(frozen=True)
class _Node:
    path: Path
    start: int
    end: int
    scalar: object = None
    is_scalar: bool = False
    size: int = 0  # elements of a list


@dataclass(frozen=True)
class _JsonText:
    """A JSON text with the position of each of its values; what is no JSON has none."""

    text: str
    nodes: Sequence[_Node]

    @classmethod
    def of(cls, text: str) -> _JsonText:
        try:
            return cls(text, list(_scan(text)))
        except (ValueError, IndexError):
            return cls(text, [])


def _places_in_json(document: _JsonText, row: SoughtRow) -> Iterator[ReplyPlace]:
    by_path = {node.path: node for node in document.nodes}
    scalars: dict[Path, list[object]] = {}
    for node in document.nodes:
        if node.is_scalar:
            scalars.setdefault(node.path[:-1], []).append(node.scalar)
    lists = [node for node in document.nodes if node.size]
    for node in document.nodes:
        if not node.path:
            continue
        key, parent = node.path[-1], node.path[:-1]
        if isinstance(key, str) and not node.is_scalar and row.is_stamped(key):
            yield _place(document, node, row.agreement(scalars.get(node.path, ()), node.path))
        elif node.is_scalar and row.is_stamped(node.scalar):
            agreeing = row.agreement(scalars[parent], parent)
            yield _place(document, by_path[parent], agreeing)
            if isinstance(key, int):
                yield _of_columns(document, by_path, lists, node, row)


def _place(document: _JsonText, node: _Node, agreeing: float) -> ReplyPlace:
    return ReplyPlace(_pointer(node.path), document.text[node.start : node.end][:_LONGEST], agreeing)


def _of_columns(
    document: _JsonText, by_path: dict[Path, _Node], lists: Sequence[_Node], stamp: _Node, row: SoughtRow
) -> ReplyPlace:
    """Return the elements with the index of the stamp of all lists beside its own that are as long."""
    stamps, index = by_path[stamp.path[:-1]], stamp.path[-1]
    around = stamps.path[:-1]
    beside = [node for node in lists if node.size == stamps.size and node.path[: len(around)] == around]
    cells = [cell for node in beside if (cell := by_path.get((*node.path, index))) is not None and cell.is_scalar]
    lines = [f"{_pointer(cell.path)}: {document.text[cell.start : cell.end]}" for cell in cells]
    agreeing = row.agreement([cell.scalar for cell in cells if cell is not stamp], stamp.path)
    # A list of unlike values is a row, and its neighbours are other rows: their stamps differ.
    return ReplyPlace(_pointer(stamp.path), "\n".join(lines)[:_LONGEST], agreeing + (0.25 if len(cells) > 1 else -1))


def _scan(text: str) -> Iterator[_Node]:
    """Yield each value of a JSON text with its path and position; ValueError for what is no JSON."""
    open_: list[tuple[int, bool]] = []  # start of each open container, and whether it is an object
    path: list[str | int] = []
    at, key = 0, None
    while match := _TOKEN.match(text, at):
        at = match.end()
        mark, quoted, bare = match.groups()
        if mark in ("{", "["):
            open_.append((match.start(1), mark == "{"))
            path.append("" if mark == "{" else 0)
        elif mark in ("}", "]"):
            start, is_object = open_.pop()
            last = path.pop()
            size = last + 1 if isinstance(last, int) and not is_object else 0
            yield _Node(tuple(path), start, at, size=size)
        elif mark == ",":
            if not open_[-1][1]:
                path[-1] = int(path[-1]) + 1
        elif mark == ":":
            path[-1] = str(key)
        elif quoted is not None:
            value = json.loads(quoted)
            if open_ and open_[-1][1] and text[at:].lstrip()[:1] == ":":
                key = value
                continue
            yield _Node(tuple(path), match.start(2), at, value, is_scalar=True)
        else:
            yield _Node(tuple(path), match.start(3), at, _bare(bare), is_scalar=True)
    if open_ or text[at:].strip():
        raise ValueError("the text is no JSON")


def _bare(text: str) -> object:
    value: Any = json.loads(text)
    return value


def _pointer(path: Path) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _number(sent: object) -> float | None:
    if isinstance(sent, bool) or sent is None:
        return None
    try:
        return float(str(sent))
    except ValueError:
        return None


def _letters(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())
