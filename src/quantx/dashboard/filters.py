"""Filters of a list: they are part of its address, so that a chosen list can be linked and opened again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from quantx.errors import ConfigError

_LONGEST = 200  # characters of a value
_LAST_PAGE = 1_000_000
_MOST_DIGITS = 18  # of an id in the database
PAGE_ROWS = 50


def number_of(text: str) -> int | None:
    """Return the whole number of a text; None of any other text, and of a number that no id has.

    >>> number_of("17"), number_of("-1"), number_of("9" * 19)
    (17, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


@dataclass(frozen=True)
class Filter:
    """One filter: a choice, or a text without choices."""

    name: str  # of the parameter in the address
    label: str
    choices: Sequence[tuple[str, str]] = ()  # value, text


@dataclass(frozen=True)
class Filters:
    """The filters of a list with the values of one request, and the addresses of its other pages."""

    path: str
    shown: Sequence[Filter]
    values: Mapping[str, str]  # those that are set

    @property
    def page(self) -> int:
        """Return the number of the page, from 1."""
        text = self.values.get("page", "1")
        return min(max(int(text), 1), _LAST_PAGE) if text.isascii() and text.isdecimal() else 1

    @property
    def offset(self) -> int:
        """Return the number of rows before the page."""
        return (self.page - 1) * PAGE_ROWS

    def get(self, name: str) -> str | None:
        """Return the value of a filter; None where it is not set."""
        return self.values.get(name)

    def number(self, name: str) -> int | None:
        """Return the value of a parameter as a whole number; None where it is not set, or is no number."""
        return number_of(self.values.get(name, ""))

    def address(self, **changes: object) -> str:
        """Return the address of the list with some parameters changed; None removes one. It starts at page 1."""
        values = {name: value for name, value in self.values.items() if name not in ("page", "before")}
        values |= {name: str(value) for name, value in changes.items() if value is not None}
        left = {name: value for name, value in values.items() if name not in changes or changes[name] is not None}
        return f"{self.path}?{urlencode(left)}" if left else self.path


def filters_of(request: Request, *shown: Filter) -> Filters:
    """Return the filters of a request. ConfigError for a value that is not a choice, or that no row can have."""
    values = {}
    known = {each.name: each for each in shown} | {name: Filter(name, name) for name in ("page", "before")}
    for name, each in known.items():
        value = request.query_params.get(name, "").strip()
        if not value:
            continue
        if each.choices and value not in (choice for choice, _ in each.choices):
            raise ConfigError(f"{value[:_LONGEST]!r} is not a choice of the filter {each.label}; choose another")
        if len(value) > _LONGEST or not value.isprintable():
            raise ConfigError(f"the filter {each.label} takes up to {_LONGEST} printable characters; change it")
        values[name] = value
    return Filters(request.url.path, shown, values)


@dataclass(frozen=True)
class PageLinks:
    """The place of a page in its list, with the addresses of its neighbours; empty where there are none."""

    text: str
    previous: str = ""
    next: str = ""


def page_links(filters: Filters, shown: int, total: int) -> PageLinks:
    """Return the links of a list whose length is known."""
    first, page = filters.offset + 1, filters.page
    text = f"{first:,} to {first + shown - 1:,} of {total:,}" if shown else f"none of {total:,}" if total else ""
    following = page + 1 if filters.offset + shown < total and shown else None
    return PageLinks(
        text,
        filters.address(page=page - 1) if page > 1 else "",
        filters.address(page=following) if following else "",
    )


def older_link(filters: Filters, rows: Sequence[Mapping[str, object]]) -> PageLinks:
    """Return the links of a list by id, the newest first, whose length is not counted."""
    more = len(rows) == PAGE_ROWS
    return PageLinks(
        "",
        filters.address() if filters.get("before") else "",
        filters.address(before=rows[-1]["id"]) if more else "",
    )
