"""The request for an update as a JSON document: all of its errors are reported at once.

    {"phase" | "universe" | "symbols": …, "start": "2015-01-01", "end": "2016-12-31"}     a backfill
    {"phase" | "universe" | "symbols": …, "lookback_days": 5}                             a daily update; {}: of all

Importing it is light. A value that it admits is safe in a statement, a message and a log.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from quantx.core.model import Window
from quantx.core.symbols import parse_symbol
from quantx.errors import ConfigError, InvalidSymbol

MOST_BYTES = 256 * 1024  # of a document
MOST_SYMBOLS = 10_000
MOST_LOOKBACK = 250
_LONGEST_NAME = 100
_MOST_ERRORS = 50  # of one document that are reported
_MOST_SHOWN = 40  # characters of a value that was sent
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SCOPES = ("phase", "universe", "symbols")
_OURS = "quantx"  # the type of the errors whose message is ours


@dataclass(frozen=True)
class FieldError:
    """One error of a document and its place: a JSON pointer in a fragment, as RFC 9457 shows it."""

    detail: str
    pointer: str = "#"


class InvalidRequest(ConfigError):
    """A document that can't be carried out; `errors` are all the reasons."""

    def __init__(self, errors: Collection[FieldError]) -> None:
        super().__init__("; ".join(f"{error.pointer}: {error.detail}" for error in errors))
        self.errors = tuple(errors)


class RequestTooLarge(InvalidRequest):
    """A document of more than MOST_BYTES; it is not parsed."""


@dataclass(frozen=True, kw_only=True)
class UpdateRequest:
    """The update to plan: a backfill where there is a window, else a daily update."""

    symbols: tuple[str, ...] = ()
    universe: str | None = None
    phase: str | None = None
    window: Window | None = None
    lookback_days: int | None = None  # None: the setting
    source: str | None = None  # None: the vendors that the settings declare
    timeframe: str = "1d"
    again: bool = False  # a backfill's: fetch also what was answered before


def parse_request(body: bytes, today: date) -> UpdateRequest:
    """Return the request of a document; InvalidRequest has all of its errors.

    `today` is the day in UTC; later days are refused.
    """
    if len(body) > MOST_BYTES:
        size = f"the document has {len(body):,} bytes; {MOST_BYTES:,} are the most: name a universe"
        raise RequestTooLarge([FieldError(size)])
    content = _decode(body)
    errors = list(_contradictions(content))
    try:
        document = _Document.model_validate(content, context={"today": today})
    except ValidationError as error:
        errors += map(_field_error, error.errors(include_url=False))
    if errors:
        raise InvalidRequest(_shortened(errors))
    return document.request(today)


def _decode(body: bytes) -> dict[str, Any]:
    """Return the document's object; the empty one for an empty body."""
    repeated: list[str] = []

    def one_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        return {_without_surrogates(name): value for name, value in pairs}

    try:
        content = json.loads(body.decode() or "{}", parse_constant=_refuse_constant, object_pairs_hook=one_object)
    except UnicodeDecodeError as error:
        raise InvalidRequest([FieldError(f"the document is not UTF-8: byte {error.start}")]) from None
    except RecursionError:
        raise InvalidRequest([FieldError("the document is nested too deeply")]) from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest([FieldError(f"the document is not JSON: {place}")]) from None
    except ValueError:
        raise InvalidRequest([FieldError("the document is not JSON: a number is not finite or too long")]) from None
    if not isinstance(content, dict):
        raise InvalidRequest([FieldError(f"the document must be an object with some of {', '.join(_FIELDS)}")])
    if repeated:
        raise InvalidRequest(_shortened([FieldError("it is given twice", _pointer([name])) for name in repeated]))
    return content


def _without_surrogates(name: str) -> str:
    """Return a name with its lone surrogates escaped: pydantic reports no place for a name that it can't encode."""
    return name.encode("utf-8", "backslashreplace").decode()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


def _contradictions(names: Collection[str]) -> Iterator[FieldError]:
    """Yield the errors of the combination: a backfill has one scope and no lookback, a daily update no window."""
    scopes = [name for name in _SCOPES if name in names]
    if len(scopes) > 1:
        yield FieldError(f"{', '.join(scopes)} exclude each other; give one", _pointer([scopes[1]]))
    if "start" in names or "end" in names:
        if not scopes:
            yield FieldError("a backfill needs a scope: phase, universe or symbols")
        if "start" not in names:
            yield FieldError("a backfill needs a first day: start", "#/end")
        if "lookback_days" in names:
            detail = "it belongs to a daily update, start and end to a backfill; give one of them"
            yield FieldError(detail, "#/lookback_days")
    elif "again" in names:
        yield FieldError("it belongs to a backfill, which has a start", "#/again")


def _invalid(message: str) -> PydanticCustomError:
    return PydanticCustomError(_OURS, "{message}", {"message": message})


def _printable_name(value: str) -> str:
    # No NUL, which PostgreSQL refuses, no lone surrogate, no character that reverses the direction of a log line.
    if not value.isprintable() or value.strip() != value:
        raise _invalid(f"{_shown(value)} is wrong; it must be {_A_NAME}")
    return value


def _canonical_symbol(value: str) -> str:
    try:
        return parse_symbol(value)
    except InvalidSymbol as error:
        raise _invalid(str(error)) from None


def _past_day(value: object, info: ValidationInfo) -> date:
    """Return the day of an ISO date that is not in the future."""
    assert info.context is not None, "parse_request passes today"
    today: date = info.context["today"]
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None:
        raise _invalid(f"{_shown(value)} is not a day; write it as in 2024-01-31")
    if day > today:
        raise _invalid(f"{day} lies in the future: today is {today} (UTC)")
    return day


_Name = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_printable_name)]
_Symbol = Annotated[str, AfterValidator(_canonical_symbol)]
_Day = Annotated[date, BeforeValidator(_past_day)]


class _Document(BaseModel):
    """The fields of a document. None is the default of an absent field; a null that was sent is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    phase: _Name | None = None
    universe: _Name | None = None
    symbols: Annotated[list[_Symbol], Field(min_length=1, max_length=MOST_SYMBOLS)] | None = None
    end: _Day | None = None  # before `start`, which is compared with it
    start: _Day | None = None
    lookback_days: Annotated[int, Field(ge=0, le=MOST_LOOKBACK)] | None = None
    source: _Name | None = None
    timeframe: Literal["1d", "1m"] = "1d"
    again: bool = False

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        if value is None:
            raise _invalid("null is not a value; leave the field out")
        return value

    @field_validator("start", mode="after")
    @classmethod
    def _refuse_reversed_window(cls, start: date, info: ValidationInfo) -> date:
        end = info.data.get("end")
        if end is not None and start > end:
            raise _invalid(f"the window must not end ({end}) before it starts ({start})")
        return start

    def request(self, today: date) -> UpdateRequest:
        """Return the request; a backfill without an end lasts until `today`."""
        return UpdateRequest(
            symbols=tuple(dict.fromkeys(self.symbols or ())),
            universe=self.universe,
            phase=self.phase,
            window=None if self.start is None else Window(self.start, self.end or today),
            lookback_days=self.lookback_days,
            source=self.source,
            timeframe=self.timeframe,
            again=self.again,
        )


_FIELDS = (*_SCOPES, "start", "end", "lookback_days", "source", "timeframe", "again")
_A_NAME = f"a name of 1 to {_LONGEST_NAME} printable characters"
_EXPECTED = {
    "phase": _A_NAME,
    "universe": _A_NAME,
    "symbols": f'a list of 1 to {MOST_SYMBOLS:,} symbols, as in ["AAPL", "0700.HK"]; for more, name a universe',
    "lookback_days": f"a number of sessions from 0 to {MOST_LOOKBACK}",
    "source": _A_NAME,
    "timeframe": "one of 1d, 1m",
    "again": "true or false",
}


def _field_error(error: ErrorDetails) -> FieldError:
    """Return the error in our words: pydantic's may quote what was sent."""
    field, *rest = error["loc"]
    if error["type"] == _OURS:
        detail = error["msg"]
    elif error["type"] == "extra_forbidden":
        detail = f"there is no such field; the fields are {', '.join(_FIELDS)}"
    else:
        detail = f"it must be {'a symbol in quotation marks' if rest else _EXPECTED[str(field)]}"
        if not isinstance(error["input"], (list, dict)):
            detail = f"{_shown(error['input'])} is wrong; {detail}"
    return FieldError(detail, _pointer(error["loc"]))


def _shortened(errors: Sequence[FieldError]) -> list[FieldError]:
    """Return the first errors, and the number of the others as the last one."""
    more = len(errors) - _MOST_ERRORS
    return [*errors[:_MOST_ERRORS], *([FieldError(f"… and {more:,} more errors")] if more > 0 else [])]


def _pointer(path: Sequence[str | int]) -> str:
    """Return the JSON pointer to a place, in ASCII and short."""
    steps = (ascii(str(step)[:_MOST_SHOWN])[1:-1].replace("~", "~0").replace("/", "~1") for step in path)
    return "/".join(("#", *steps))


def _shown(value: object) -> str:
    """Return a value that was sent, short and in ASCII: its sender must not write our replies and logs."""
    text = ascii(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
