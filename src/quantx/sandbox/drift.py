"""Schema drift of the vendors: replies in which a field is added, dropped or retyped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json, to_json

from quantx.errors import ConfigError
from quantx.sandbox.messages import WireReply

CHANGES = ("add", "drop", "retype")
_ADDED = "sandbox"  # the value of an added field


@dataclass(frozen=True)
class _Change:
    vendor: str
    change: str
    path: str  # as in chart.result[].meta.currency; `*` stands for any key; of a CSV: the column


class Drifts:
    """Changes the form of vendors' replies; each is written VENDOR:CHANGE:PATH, as in yahoo:drop:chart.error."""

    def __init__(self, specs: Iterable[str], vendors: Iterable[str]) -> None:
        self._vendors = tuple(vendors)
        self._changes: tuple[_Change, ...] = ()
        for spec in specs:
            vendor, _, rest = spec.partition(":")
            change, _, path = rest.partition(":")
            self.set(vendor, change, path)

    def set(self, vendor: str, change: str, path: str) -> None:
        """Switch a change on; the change `end` ends all changes of a vendor. ConfigError where it is none."""
        if vendor not in self._vendors or change not in (*CHANGES, "end") or not (path or change == "end"):
            raise ConfigError(
                f"{vendor[:20]}:{change[:20]}:{path[:60]} is no change of a form; write VENDOR:CHANGE:PATH with one of"
                f" {', '.join(self._vendors)} and one of {', '.join(CHANGES)}"
            )
        if change == "end":
            self._changes = tuple(each for each in self._changes if each.vendor != vendor)
        else:
            self._changes = (*self._changes, _Change(vendor, change, path))

    def apply(self, vendor: str, reply: WireReply) -> WireReply:
        """Return the reply with the vendor's changes; a refusal and a page stay as they are."""
        changes = [each for each in self._changes if each.vendor == vendor]
        if not changes or reply.status != 200:
            return reply
        if reply.content_type.startswith("text/csv"):
            return replace(reply, body=_changed_csv(reply.body, changes))
        try:
            document = from_json(reply.body)
        except ValueError:
            return reply
        for each in changes:
            document = _changed(document, each.path, each.change)
        return replace(reply, body=to_json(document))


def _changed(value: Any, path: str, change: str) -> Any:
    """Return a value of JSON with the field at `path` below it changed."""
    if isinstance(value, list) and path.startswith("[]"):
        rest = path.removeprefix("[]").removeprefix(".")
        return [_changed(each, rest, change) if rest else _retyped(each) for each in value]
    if not isinstance(value, dict):
        return value
    if path.startswith("*"):
        rest = path.removeprefix("*").removeprefix(".")
        return {name: _changed(each, rest, change) for name, each in value.items()}
    name = next((name for name in value if path == name or path.startswith((f"{name}.", f"{name}[]"))), None)
    if name is None:
        return {**value, path: _ADDED} if change == "add" and "." not in path.replace(". ", "") else value
    rest = path.removeprefix(name).removeprefix(".")
    if rest:
        return {**value, name: _changed(value[name], rest, change)}
    changed = dict(value)
    if change == "drop":
        del changed[name]
    elif change == "retype":
        changed[name] = _retyped(value[name])
    return changed


def _retyped(value: Any) -> Any:
    """Return a value of another type: a number as a text, anything else as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else 1


def _changed_csv(body: bytes, changes: Iterable[_Change]) -> bytes:
    header, *lines = body.decode().splitlines()
    names, rows = header.split(","), [line.split(",") for line in lines]
    for each in changes:
        column = each.path.removeprefix("[].")
        if each.change == "add":
            names, rows = [*names, column], [[*row, _ADDED] for row in rows]
        elif column in names:
            at = names.index(column)
            if each.change == "drop":
                names, rows = _without(names, at), [_without(row, at) for row in rows]
            else:
                rows = [[f"n{part}" if n == at else part for n, part in enumerate(row)] for row in rows]
    return "".join(",".join(row) + "\r\n" for row in (names, *rows)).encode()


def _without(row: list[str], at: int) -> list[str]:
    return row[:at] + row[at + 1 :]
