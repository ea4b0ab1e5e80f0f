"""What somebody wishes to have fetched, as a JSON document: all that is wrong with it is said at once.

    {"phase" | "universe" | "symbols": …, "start": "2015-01-01", "end": "2016-12-31"}     a backfill
    {"phase" | "universe" | "symbols": …, "lookback_days": 5}                             a daily update; {}: of all

It is light to import, and what it admits is safe to be part of a statement, a message and a log.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from quantx.core.model import Window
from quantx.core.symbols import parse_symbol
from quantx.errors import ConfigError, InvalidSymbol

MOST_BYTES = 256 * 1024  # of a document
MOST_SYMBOLS = 10_000
MOST_LOOKBACK = 250
TIMEFRAMES = ("1d", "1m")
_SCOPES = ("phase", "universe", "symbols")
_NAMES = (*_SCOPES, "start", "end", "lookback_days", "source", "timeframe", "again")
_LONGEST_NAME = 100
_MOST_TOLD = 50  # errors of one document
_SHOWN = 40  # characters of what was sent
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Wrong:
    """One error in a document, and where it is (a JSON pointer in a fragment, as RFC 9457 shows it)."""

    detail: str
    pointer: str = "#"


class WrongRequest(ConfigError):
    """A document says nothing that can be done; `errors` are all the reasons."""

    def __init__(self, errors: Collection[Wrong]) -> None:
        super().__init__("; ".join(f"{e.pointer}: {e.detail}" for e in errors))
        self.errors = tuple(errors)


class TooLarge(WrongRequest):
    """A document is larger than any that we want to read."""


@dataclass(frozen=True)
class Wish:
    """What is to be planned: a backfill where there is a window, else a daily update."""

    symbols: tuple[str, ...] = ()
    universe: str | None = None
    phase: str | None = None
    window: Window | None = None
    lookback_days: int | None = None  # None: as the settings say
    source: str | None = None  # None: as the context chooses
    timeframe: str = "1d"
    again: bool = False  # a backfill's: ask also for what was answered before


def parse_wish(body: bytes, today: date) -> Wish:
    """Read a document; WrongRequest has all that is wrong with it. `today` is the day in UTC, after which nothing lies."""
    if len(body) > MOST_BYTES:
        raise TooLarge([Wrong(f"the document has {len(body):,} bytes; {MOST_BYTES:,} are the most: name a universe")])
    return _Reader(_decode(body), today).wish()


def _decode(body: bytes) -> dict[str, Any]:
    """Return the document's object; the empty one for no document."""
    twice: list[str] = []

    def one_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return dict(pairs)

    try:
        document = json.loads(body.decode() or "{}", parse_constant=_no_number, object_pairs_hook=one_object)
    except UnicodeDecodeError as error:
        raise WrongRequest([Wrong(f"the document is not UTF-8: byte {error.start}")]) from None
    except RecursionError:
        raise WrongRequest([Wrong("the document is nested too deeply")]) from None
    except ValueError as error:
        raise WrongRequest([Wrong(f"the document is not JSON: {str(error)[:120]}")]) from None
    if not isinstance(document, dict):
        raise WrongRequest([Wrong(f"the document must be an object with some of {', '.join(_NAMES)}")])
    if twice:
        raise WrongRequest([Wrong("it is given twice", _pointer(name)) for name in twice[:_MOST_TOLD]])
    return document


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


@dataclass
class _Reader:
    """Reads the fields of one document and collects what is wrong."""

    document: dict[str, Any]
    today: date
    errors: list[Wrong] = field(default_factory=list)

    def wish(self) -> Wish:
        """Return the wish, or raise WrongRequest."""
        for name in [name for name in self.document if name not in _NAMES]:
            self._wrong(f"there is no such field; the fields are {', '.join(_NAMES)}", name)
        scopes = [name for name in _SCOPES if name in self.document]
        if len(scopes) > 1:
            self._wrong(f"{', '.join(scopes)} exclude each other; give one", scopes[1])
        window = self._window()
        wish = Wish(
            symbols=self._symbols(),
            universe=self._name("universe"),
            phase=self._name("phase"),
            window=window,
            lookback_days=self._lookback(),
            source=self._name("source"),
            timeframe=self._timeframe(),
            again=self._again(),
        )
        self._check_kind(scopes)
        if self.errors:
            told = self.errors[:_MOST_TOLD]
            if len(self.errors) > len(told):
                told.append(Wrong(f"… and {len(self.errors) - len(told):,} more errors"))
            raise WrongRequest(told)
        return wish

    def _check_kind(self, scopes: Collection[str]) -> None:
        """A backfill has a scope and no lookback; a daily update has nothing that is a backfill's."""
        if "start" in self.document or "end" in self.document:
            if not scopes:
                self._wrong("a backfill must say what to fetch: phase, universe or symbols")
            if "start" not in self.document:
                self._wrong("a backfill needs a first day: start", "end")
            if "lookback_days" in self.document:
                self._wrong(
                    "it belongs to a daily update, start and end to a backfill; give one of them", "lookback_days"
                )
        elif "again" in self.document:
            self._wrong("it belongs to a backfill, which has a start", "again")

    def _window(self) -> Window | None:
        start, end = self._day("start"), self._day("end")
        if start is None:
            return None
        if end is None:
            end = self.today
        if start > end:
            self._wrong(f"the window must not end ({end}) before it starts ({start})", "start")
            return None
        return Window(start, end)

    def _day(self, name: str) -> date | None:
        if name not in self.document:
            return None
        value = self.document[name]
        try:
            day = date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
        except ValueError:
            day = None
        if day is None:
            self._wrong(f"{_shown(value)} is no day; write it as in 2024-01-31", name)
        elif day > self.today:
            self._wrong(f"{day} lies in the future: today is {self.today} (UTC)", name)
            return None
        return day

    def _symbols(self) -> tuple[str, ...]:
        if "symbols" not in self.document:
            return ()
        value = self.document["symbols"]
        if not isinstance(value, list) or not value:
            self._wrong('it must be a list of symbols, as in ["AAPL", "0700.HK"]', "symbols")
            return ()
        if len(value) > MOST_SYMBOLS:
            self._wrong(
                f"{len(value):,} symbols are too many; {MOST_SYMBOLS:,} are the most: name a universe", "symbols"
            )
            return ()
        return tuple(dict.fromkeys(self._parsed(value)))

    def _parsed(self, values: list[Any]) -> Iterator[str]:
        for place, value in enumerate(values):
            try:
                if not isinstance(value, str):
                    raise InvalidSymbol(f"{_shown(value)} is no text")
                yield parse_symbol(value)
            except InvalidSymbol as error:
                self._wrong(str(error), "symbols", place)

    def _name(self, name: str) -> str | None:
        if name not in self.document:
            return None
        value = self.document[name]
        # Printable: no NUL, which PostgreSQL refuses, no half of a character, nothing that turns the direction of a log.
        if (
            isinstance(value, str)
            and 0 < len(value) <= _LONGEST_NAME
            and value.isprintable()
            and value.strip() == value
        ):
            return value
        self._wrong(f"{_shown(value)} is no name of 1 to {_LONGEST_NAME} printable characters", name)
        return None

    def _lookback(self) -> int | None:
        if "lookback_days" not in self.document:
            return None
        value = self.document["lookback_days"]
        if type(value) is int and 0 <= value <= MOST_LOOKBACK:
            return value
        self._wrong(f"{_shown(value)} is no number of sessions from 0 to {MOST_LOOKBACK}", "lookback_days")
        return None

    def _timeframe(self) -> str:
        value = self.document.get("timeframe", TIMEFRAMES[0])
        if value in TIMEFRAMES if isinstance(value, str) else False:
            return str(value)
        self._wrong(f"{_shown(value)} must be one of {', '.join(TIMEFRAMES)}", "timeframe")
        return TIMEFRAMES[0]

    def _again(self) -> bool:
        value = self.document.get("again", False)
        if not isinstance(value, bool):
            self._wrong(f"{_shown(value)} must be true or false", "again")
        return value is True

    def _wrong(self, detail: str, *path: str | int) -> None:
        self.errors.append(Wrong(detail, _pointer(*path)))


def _pointer(*path: str | int) -> str:
    """Return the JSON pointer to a place, in ASCII and short."""
    steps = (ascii(str(step)[:_SHOWN])[1:-1].replace("~", "~0").replace("/", "~1") for step in path)
    return "/".join(("#", *steps))


def _shown(value: Any) -> str:
    """Return what was sent, short and in ASCII, so that no reply and no log is made by its sender."""
    text = ascii(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
