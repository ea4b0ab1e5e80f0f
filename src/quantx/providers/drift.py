"""Schema drift: the declared fields of a vendor's replies, and the fields of a reply that differ from them. Pure.

A form is written like the reply, with the types in place of the values:

    {"name": "text", "notes?": "any", "rows": [{"close": "number|null"}], "by_day": {"*": {"open": "text"}}}

A name that ends with `?` may be missing. The name `*` stands for each key of an object whose keys are data. A tuple has
alternatives, as in ("null", [...]). The inside of `any` is not compared. Types: text, number, whole, flag, null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

ChangeKind = Literal["added", "missing", "retyped"]

T = TypeVar("T")

_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "whole": (int,),
    "flag": (bool,),
    "null": (type(None),),
}
_NAMES = {str: "text", int: "number", float: "number", bool: "flag", type(None): "null", dict: "object", list: "list"}
# JSON has no such numbers; some vendors write them as texts.
_NUMBER_TEXTS = ("Infinity", "-Infinity", "NaN")
_SAMPLED = 16  # entries of a long list or object, the first and the last among them
_MOST = 30  # changes of one reply that are returned


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """A field of a reply that differs from the declared shape."""

    dataset: str  # the name of the shape
    path: str  # as in chart.result[].meta.currency
    kind: ChangeKind
    declared: str  # its types; empty for an added field
    sent: str  # its type; empty for a missing field


@dataclass(frozen=True)
class _ShapeNode:
    """The compiled form of one field."""

    path: str
    words: str = ""
    types: frozenset[type] = frozenset()  # empty: any
    fields: Mapping[str, _ShapeNode] | None = None
    required: frozenset[str] = frozenset()
    entries: _ShapeNode | None = None  # of a list, or of an object whose keys are data


@dataclass(frozen=True)
class Shape:
    """The declared form of one kind of reply; `dataset` names it in findings."""

    dataset: str
    form: object = field(repr=False)
    _root: _ShapeNode = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_root", _compile(self.form, ""))

    def changes(self, document: object, *, every_value: bool = False) -> tuple[FieldChange, ...]:
        """Return the fields of a parsed reply that differ, by path.

        Of long lists a fixed sample is compared, or every value. A document without any required field of the form is
        no reply of this kind, and has no changes.
        """
        root = self._root
        if type(document) not in root.types or (
            isinstance(document, dict) and root.required and root.required.isdisjoint(document)
        ):
            return ()
        found: dict[tuple[str, ChangeKind, str], str] = {}
        _compare(root, document, found, every_value)
        return tuple(
            FieldChange(dataset=self.dataset, path=path, kind=kind, declared=declared, sent=sent)
            for (path, kind, sent), declared in sorted(found.items())[:_MOST]
        )


def _compile(form: object, path: str) -> _ShapeNode:
    if isinstance(form, str):
        if form == "any":
            return _ShapeNode(path)
        words = form.split("|")
        return _ShapeNode(path, _words(words), frozenset(t for word in words for t in _TYPES[word]))
    if isinstance(form, tuple):
        return _either([_compile(each, path) for each in form])
    if isinstance(form, list):
        return _ShapeNode(path, "list", frozenset([list]), entries=_compile(form[0], f"{path}[]"))
    assert isinstance(form, Mapping), "a form is a text, a tuple, a list or an object"
    if "*" in form:
        return _ShapeNode(path, "object", frozenset([dict]), entries=_compile(form["*"], _below(path, "*")))
    fields = {name.rstrip("?"): _compile(each, _below(path, name.rstrip("?"))) for name, each in form.items()}
    required = frozenset(name for name in form if not name.endswith("?"))
    return _ShapeNode(path, "object", frozenset([dict]), fields, required)


def _either(nodes: Sequence[_ShapeNode]) -> _ShapeNode:
    """Return a node of all types; at most one alternative has fields or entries."""
    inner = next((node for node in nodes if node.fields is not None or node.entries is not None), nodes[0])
    types = frozenset[type]().union(*(node.types for node in nodes))
    words = " or ".join(node.words for node in nodes)
    return _ShapeNode(inner.path, words, types, inner.fields, inner.required, inner.entries)


def _words(words: Sequence[str]) -> str:
    return " or ".join("whole number" if word == "whole" else word for word in words)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _compare(node: _ShapeNode, value: Any, found: dict[tuple[str, ChangeKind, str], str], every: bool) -> None:
    """Add the differences of a value and of all below it to `found`: declared types by path, kind and sent type."""
    kind = type(value)
    if not node.types:
        return
    if kind not in node.types:
        if not (kind is str and float in node.types and value in _NUMBER_TEXTS):
            found[node.path, "retyped", _NAMES.get(kind, "text")] = node.words
        return
    if kind is list and node.entries is not None:
        _compare_entries(node.entries, value, found, every)
    elif kind is dict and node.fields is None and node.entries is not None:
        _compare_entries(node.entries, list(value.values()), found, every)
    elif kind is dict and node.fields is not None:
        for name in node.required - value.keys():
            found[_below(node.path, name), "missing", ""] = node.fields[name].words or "any"
        for name, below in value.items():
            known = node.fields.get(name)
            if known is None:
                found[_below(node.path, str(name)[:80]), "added", _NAMES.get(type(below), "text")] = ""
            else:
                _compare(known, below, found, every)


def _compare_entries(
    node: _ShapeNode, values: list[Any], found: dict[tuple[str, ChangeKind, str], str], every: bool
) -> None:
    some = values if every else sample(values)
    if node.fields is None and node.entries is None and node.types.issuperset(map(type, some)):
        return
    for value in some:
        _compare(node, value, found, every)


def sample(values: Sequence[T]) -> Sequence[T]:
    """Return up to 16 entries at equal distances, the first and the last among them."""
    if len(values) <= _SAMPLED:
        return values
    last = len(values) - 1
    return [values[last * i // (_SAMPLED - 1)] for i in range(_SAMPLED)]
