"""Evaluate the variables of a template that need no deployment: values, conditions, lambdas and a few functions."""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from .bicep import text

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "||": lambda one, other: one or other,
    "&&": lambda one, other: one and other,
    "==": operator.eq,
    "!=": operator.ne,
}


def _cidr_subnet(network: str, prefix: int, index: int) -> str:
    """Return a part of a network; Microsoft's examples are in the page "CIDR functions for Bicep"."""
    return str(list(ipaddress.ip_network(network).subnets(new_prefix=prefix))[index])


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "cidrSubnet": _cidr_subnet,
    "concat": lambda *lists: [*chain(*lists)],
    "contains": lambda container, item: item in container,
    "empty": lambda value: not value,
    "endsWith": lambda value, end: value.lower().endswith(end.lower()),
    "first": lambda values: values[0],
    "flatten": lambda lists: [*chain(*lists)],
    "map": lambda values, function: [function(value) for value in values],
    "range": lambda start, count: [*range(start, start + count)],
    "split": lambda value, delimiter: value.split(delimiter),
}


def evaluated(path: Path, variable: str, **params: Any) -> Any:
    """Return the value of a variable of a template with these parameters."""
    root = _PARSER.parse(path.read_bytes()).root_node
    known: dict[str, Any] = dict(params)
    for node in root.named_children:
        if node.type == "variable_declaration":
            name = text(node.named_children[0])
            try:
                known[name] = _value(node.named_children[-1], known)
            except (KeyError, NotImplementedError):  # it needs what only a deployment has
                if name == variable:
                    raise
    return known[variable]


def _value(node: Node, known: Mapping[str, Any]) -> Any:
    parts = [child for child in node.named_children if child.type != "comment"]
    match node.type:
        case "identifier":
            return known[text(node)]
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "array":
            return [_value(part, known) for part in parts]
        case "string":
            return "".join(
                str(_value(part.named_children[0], known)) if part.type == "interpolation" else text(part)
                for part in parts
            )
        case "ternary_expression":
            condition, one, other = parts
            return _value(one if _value(condition, known) else other, known)
        case "binary_expression":
            return _OPERATORS[text(node.children[1])](_value(parts[0], known), _value(parts[1], known))
        case "lambda_expression":
            name, body = text(parts[0]), parts[1]
            return lambda value: _value(body, {**known, name: value})
        case "call_expression":
            return _FUNCTIONS[text(parts[0])](*(_value(part, known) for part in parts[1].named_children))
    raise NotImplementedError(f"{node.type}: {text(node)[:60]}")
