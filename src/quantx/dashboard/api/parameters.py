"""The parameters of an address: those of the query's method, read from the text of a URL."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin, get_type_hints

from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, Symbols, did_you_mean
from quantx.reader.filers import Filers

_TRUE, _FALSE = ("true", "1"), ("false", "0")
# An unescaped plus in a URL means a blank: 2024-01-31T15:30+00:00 arrives as 2024-01-31T15:30 00:00.
_OFFSET_WITHOUT_PLUS = re.compile(r"(\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) (\d{2}:?\d{2})$")
MEANINGS: Mapping[str, str] = {
    "adjust": "none: as traded; split: with later splits applied; total: also dividends",
    "as_of": "what this system knew then: a day (its end in UTC) or an instant in ISO 8601",
    "base": "the day to which prices are adjusted; by default the last known action",
    "by": "month, or symbol",
    "columns": "the columns of the answer",
    "concepts": "standard concepts, as in revenue,net_income; all by default",
    "currency": "the currency of the returned prices, as in USD",
    "end": "the last day, inclusive",
    "extended": "also minutes outside of the regular session",
    "field": "a price, volume, concept or ratio, or several",
    "mask": "a row per session, and a column per security: whether it was a member",
    "members_only": "only on the days of membership in the universe",
    "name": "the name of the universe",
    "names": "a feature set, as in technical, or features, as in technical.rsi_14",
    "on": "the day on which the securities carried their symbols, or one per symbol, as in META:2021-01-04",
    "per_share_basis": "split: values per share and counts of shares restated by later splits",
    "period": "the length of the periods; ttm: four quarters in a row",
    "public_by": "what was public in the world then: a day, or an instant in ISO 8601",
    "rule": "the id of a rule",
    "series": "the publisher's series, as in UST",
    "source": "one vendor's rows; best: per session the first bar that no other vendor contradicts",
    "start": "the first day, inclusive",
    "status": "open, or acknowledged",
    "stored": "false: compute all rows, also where a build has stored them",
    "subject": "a symbol, universe, vendor, market or object",
    "symbols": "symbols, as in AAPL,0700.HK",
    "symbols_as": "asked: the requested symbol; of_day: the symbol that the security had on the day",
    "tenors": "tenors, as in 3m,10y; all by default",
    "timeframe": "1d, or 1m",
    "universe": "the name of a universe",
    "until": "sessions that have settled by then; by default by now",
    "wide": "a column per item instead of a row",
}
_OF_UNIVERSE_QUERY = {"on": "the day, as in 2015-06-30; by default now"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an address."""

    name: str
    kind: str  # list, day, on, boolean, text or choice
    required: bool
    choices: tuple[str, ...] = ()
    default: Any = None

    @property
    def meaning(self) -> str:
        """Return what the parameter means, in one line."""
        return _OF_UNIVERSE_QUERY.get(self.name, MEANINGS[self.name]) if self.kind == "day" else MEANINGS[self.name]

    @property
    def values(self) -> str:
        """Return what the values are, in a few words."""
        words = {
            "list": "a list",
            "day": "a day, or an instant",
            "on": "a day, or symbol:day",
            "boolean": "true, false",
        }
        return ", ".join(self.choices) or words.get(self.kind, "a text")

    def parse(self, given: Sequence[str]) -> Any:
        """Return the value of the texts that a URL gives for the parameter; raise ConfigError for a wrong one."""
        if any(not text.strip() for text in given):
            raise ConfigError(f"{self.name} is empty; give it a value, or leave it out")
        if self.kind in ("list", "on"):
            parts = [part.strip() for text in given for part in text.split(",")]
            if "" in parts:
                raise ConfigError(f"{self.name} has an empty entry; separate its entries by one comma")
            return parts if self.kind == "list" else _days_of(parts)
        if len(given) > 1:
            raise ConfigError(f"{self.name} is given {len(given)} times; give it once")
        text = given[0].strip()
        if self.kind == "boolean":
            return self._boolean(text)
        if self.kind == "choice" and text not in self.choices:
            raise ConfigError(f"{self.name}={text!r} must be one of {', '.join(self.choices)}")
        return _OFFSET_WITHOUT_PLUS.sub(r"\1+\2", text) if self.kind == "day" else text

    def _boolean(self, text: str) -> bool:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise ConfigError(f"{self.name}={text!r} must be true or false")
        return text.lower() in _TRUE


@dataclass(frozen=True)
class QueryParameters:
    """The parameters of a method of a lake."""

    method: Callable[..., Any]

    @cached_property
    def all(self) -> Mapping[str, Parameter]:
        """Return the parameters by name, in the order of the method."""
        hints = get_type_hints(self.method)
        signature = inspect.signature(self.method)
        return {name: _parameter(name, hints[name], each) for name, each in list(signature.parameters.items())[1:]}

    def parse(self, given: Sequence[tuple[str, str]], others: Sequence[str] = ()) -> dict[str, Any]:
        """Return the method's arguments of a URL's names and values; raise ConfigError for an unknown or wrong one.

        `others` are names that the URL may have besides.
        """
        texts: dict[str, list[str]] = {}
        for name, text in given:
            texts.setdefault(name, []).append(text)
        known = [*self.all, *others]
        for name in texts:
            if name not in known:
                raise ConfigError(
                    f"there is no parameter {name[:60]!r}{did_you_mean(name[:60], known)};"
                    f" this address has {', '.join(known)}"
                )
        for each in self.all.values():
            if each.required and each.name not in texts:
                raise ConfigError(f"the parameter {each.name} is missing; give it: {each.meaning}")
        return {name: self.all[name].parse(values) for name, values in texts.items() if name in self.all}


def _parameter(name: str, hint: Any, declared: inspect.Parameter) -> Parameter:
    plain = _without_none(hint)
    required = declared.default is inspect.Parameter.empty
    default = None if required else declared.default
    if get_origin(plain) is Literal:
        return Parameter(name, "choice", required, get_args(plain), default)
    kinds = {Symbols: "list", Filers: "list", Day: "day", On: "on", bool: "boolean", str: "text"}
    return Parameter(name, kinds[plain], required, (), default)


def _without_none(hint: Any) -> Any:
    """Return a type without None."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    if type(None) not in get_args(hint):
        return hint
    plain = parts[0]
    for part in parts[1:]:
        plain = plain | part
    return plain


def _days_of(parts: Sequence[str]) -> Any:
    """Return a day, or a day per symbol."""
    if len(parts) == 1 and ":" not in parts[0]:
        return parts[0]
    days = dict(part.rpartition(":")[::2] for part in parts)
    if "" in (*days, *days.values()) or len(days) < len(parts):
        raise ConfigError("on has a day per symbol, each symbol once, as in META:2021-01-04,FB:2020-06-01; or one day")
    return days
