"""Read Bicep without its compiler: syntax by tree-sitter, types by Azure's schemas, parameters by our modules.

It finds syntax errors, unknown, read-only and missing properties, wrong literals, unknown types and versions,
undeclared symbols, and module calls that do not fit the module. It is a linter, not a compiler: it evaluates no
expressions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_KINDS = {"object": dict, "array": list, "integer": int, "boolean": bool}
_DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}
# Functions and words that need no declaration; only those that our templates use, so that a typo is found.
_KNOWN = frozenset(
    """
    allowed array az bool cidrSubnet concat contains description empty endsWith environment first flatten format guid
    int join json listCallbackUrl loadTextContent map maxLength maxValue minLength minValue null object range replace
    resourceGroup resourceId secure split string subscription take true false uniqueString utcNow
    """.split()  # noqa: SIM905 - a list of words is read more easily
)


class Expression(str):
    """What only a deployment can evaluate; the text of it."""


@dataclass(frozen=True)
class Choice:
    """`condition ? one : other`, both of which must be right."""

    one: Any
    other: Any


@dataclass(frozen=True)
class Declared:
    """A resource or a module: its symbol, what the string after it says, and its body."""

    symbol: str
    of: str
    body: dict[str, Any]
    line: int
    existing: bool = False


@dataclass
class Template:
    """One file."""

    path: Path
    params: dict[str, bool] = field(default_factory=dict)  # name → has a default
    outputs: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    resources: list[Declared] = field(default_factory=list)
    modules: list[Declared] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def fault(self, line: int, text: str) -> None:
        self.faults.append(f"{self.path.name}:{line}: {text}")


def text(node: Node) -> str:
    return (node.text or b"").decode()


def line_of(node: Node) -> int:
    return int(node.start_point[0]) + 1


def value(node: Node) -> Any:
    """Return what a literal says, an Expression for everything else."""
    inner = [c for c in node.named_children if c.type not in ("comment", "diagnostic_comment")]
    match node.type:
        case "object":
            return dict(_properties(inner))
        case "array":
            return [value(c) for c in inner]
        case "string":
            if any(c.type == "interpolation" for c in inner):
                return Expression(text(node))
            return "".join(text(c) for c in inner if c.type in ("string_content", "escape_sequence"))
        case "number":
            return int(text(node))
        case "boolean":
            return text(node) == "true"
        case "for_statement":  # each element has the form of its body
            return [value(inner[-1])]
        case "ternary_expression":
            one, other = (node.child_by_field_name(name) for name in ("consequence", "alternative"))
            assert one is not None
            assert other is not None
            return Choice(value(one), value(other))
    return Expression(text(node))


def _properties(children: list[Node]) -> Iterator[tuple[str, Any]]:
    for child in children:
        if child.type == "object_property":
            parts = [c for c in child.named_children if c.type not in ("comment", "diagnostic_comment")]
            key = value(parts[0]) if parts[0].type == "string" else text(parts[0])
            yield key, value(parts[-1]) if len(parts) > 1 else Expression("?")


def read(path: Path) -> Template:
    """Parse one file; syntax errors are faults, and then the only ones."""
    template = Template(path)
    root = _PARSER.parse(path.read_bytes()).root_node
    _syntax(root, template)
    if template.faults:
        return template
    for node in root.named_children:
        kind = _DECLARATIONS.get(node.type)
        names = [c for c in node.named_children if c.type == "identifier"]
        if kind is None or not names:
            continue
        name = text(names[0])
        if kind == "param":
            template.params[name] = b"=" in (node.text or b"")
        elif kind == "output":
            template.outputs.append(name)
        elif kind == "var":
            template.variables[name] = value(node.named_children[-1])
        else:
            of = value(next(c for c in node.named_children if c.type == "string"))
            head = text(node).split("{", 1)[0]
            declared = Declared(name, of, value(_body(node)), line_of(node), existing=" existing " in head)
            (template.resources if kind == "resource" else template.modules).append(declared)
    _symbols(root, template)
    return template


def _syntax(node: Node, template: Template) -> None:
    if node.is_error or node.is_missing:
        template.fault(line_of(node), f"syntax error near {text(node)[:50]!r}")
        return
    for child in node.children:
        _syntax(child, template)


def _body(node: Node) -> Node:
    for child in node.named_children:
        if child.type == "object":
            return child
        if child.type in ("for_statement", "if_statement"):
            return _body(child)
    raise AssertionError(f"no body in {text(node)[:60]}")


def _symbols(root: Node, template: Template) -> None:
    declared = {*template.params, *template.variables, *template.outputs, *_KNOWN}
    declared |= {d.symbol for d in template.resources + template.modules}
    declared |= _loop_names(root)

    def visit(node: Node) -> None:
        parent = node.parent
        if node.type == "identifier" and parent is not None and text(node) not in declared:
            is_key = parent.type == "object_property" and parent.named_children[0] == node
            if not is_key and parent.type not in ("type", "parameter_declaration"):
                template.fault(line_of(node), f"undeclared symbol {text(node)!r}")
        for child in node.named_children:
            visit(child)

    visit(root)


def _loop_names(node: Node) -> set[str]:
    found = set()
    if node.type == "for_statement":
        for child in node.named_children:
            if child.type == "for_loop_parameters":
                found |= {text(c) for c in child.named_children}
        initializer = node.child_by_field_name("initializer")
        if initializer is not None:
            found.add(text(initializer))
    elif node.type == "lambda_expression":
        found.add(text(node.named_children[0]))
    for child in node.named_children:
        found |= _loop_names(child)
    return found


class Schemas:
    """Azure's types by name and version."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: dict[str, str] = json.loads((folder / "index.json").read_text())

    def of(self, name: str) -> dict[str, Any] | None:
        if name not in self._index:
            return None
        schema: dict[str, Any] = json.loads((self._folder / self._index[name]).read_text())
        return schema


class Checker:
    """Compares one resource's body with its schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._defs = schema.get("$defs", {})
        top = dict(self._resolved(schema))
        # Bicep's own, and what the string of the declaration has said already.
        top["properties"] = {**top["properties"], "dependsOn": {}, "scope": {}, "parent": {}}
        top["required"] = [r for r in top.get("required", []) if r not in ("type", "apiVersion")]
        self._top = top
        self._found: list[str] = []

    def compare(self, symbol: str, body: dict[str, Any]) -> list[str]:
        self._check(body, self._top, symbol)
        return self._found

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._defs[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def _check(self, given: Any, schema: dict[str, Any], where: str) -> None:
        schema = self._resolved(schema)
        if isinstance(given, Choice):
            self._check(given.one, schema, where)
            self._check(given.other, schema, where)
        elif schema.get("readOnly"):
            self._found.append(f"{where}: read-only property")
        elif isinstance(given, Expression):
            return
        elif isinstance(given, dict):
            self._object(given, schema, where)
        elif isinstance(given, list):
            if schema.get("type", "array") != "array":
                self._found.append(f"{where}: array where {schema['type']} expected")
                return
            for item in given:
                self._check(item, schema.get("items", {}), f"{where}[]")
        else:
            self._scalar(given, schema, where)

    def _object(self, given: dict[str, Any], schema: dict[str, Any], where: str) -> None:
        if schema.get("type", "object") != "object":
            self._found.append(f"{where}: object where {schema['type']} expected")
            return
        properties, required, others = self._alternatives(given, schema)
        by_lower = {name.lower(): name for name in properties}
        for name, item in given.items():
            if isinstance(name, Expression):
                continue
            if name in properties:
                self._check(item, properties[name], f"{where}.{name}")
            elif others is False:
                near = by_lower.get(name.lower())
                self._found.append(f"{where}.{name}: unknown property" + (f" (did you mean {near}?)" if near else ""))
            elif isinstance(others, dict) and others:
                self._check(item, others, f"{where}.{name}")
        self._found += [f"{where}: {name} is missing" for name in sorted(required - given.keys())]

    def _alternatives(self, given: dict[str, Any], schema: dict[str, Any]) -> tuple[dict[str, Any], set[str], Any]:
        """Return properties, required ones and additional ones of the alternative that the discriminator selects."""
        properties, required = dict(schema.get("properties", {})), set(schema.get("required", []))
        others = schema.get("additionalProperties", {})
        if "anyOf" in schema:
            by = schema.get("x-discriminator")
            all_of_them = [self._resolved(a) for a in schema["anyOf"]]
            chosen = [
                a for a in all_of_them if a["properties"].get(by, {}).get("const") == given.get(by)
            ] or all_of_them
            for alternative in chosen:
                properties.update(alternative["properties"])
                others = alternative.get("additionalProperties", others)
            if by:
                required.add(by)
            if len(chosen) == 1:
                required |= set(chosen[0].get("required", []))
        return properties, required, others

    def _scalar(self, given: Any, schema: dict[str, Any], where: str) -> None:
        kind = schema.get("type")
        values = schema.get("enum") or (schema.get("x-enum") if isinstance(given, str) else None)
        wrong = None
        if values and given not in values:
            wrong = f"is not one of {values}"
        elif "const" in schema and given != schema["const"]:
            wrong = f"should be {schema['const']!r}"
        elif kind == "string" and not isinstance(given, str):
            wrong = "where string expected"
        elif kind in ("integer", "boolean") and (
            isinstance(given, str) or isinstance(given, bool) != (kind == "boolean")
        ):
            wrong = f"where {kind} expected"
        elif kind == "string" and "pattern" in schema and not re.search(schema["pattern"], given):
            wrong = f"does not match {schema['pattern']}"
        elif kind == "string" and not schema.get("minLength", 0) <= len(given) <= schema.get("maxLength", 10**9):
            wrong = "has a wrong length"
        elif kind == "integer" and not schema.get("minimum", given) <= given <= schema.get("maximum", given):
            wrong = f"is outside {schema.get('minimum')}…{schema.get('maximum')}"
        if wrong:
            self._found.append(f"{where}: {given!r} {wrong}")


def check(path: Path, schemas: Schemas) -> list[str]:
    """Return everything that is wrong in one template and in its calls of modules."""
    template = read(path)
    if template.faults:
        return template.faults
    for resource in template.resources:
        schema = schemas.of(resource.of)
        if schema is None:
            template.fault(resource.line, f"{resource.symbol}: no schema for {resource.of}")
        elif not resource.existing:
            for fault in Checker(schema).compare(resource.symbol, resource.body):
                template.fault(resource.line, fault)
    called = {module.symbol: _check_call(template, module) for module in template.modules}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        for symbol, name in re.findall(r"\b(\w+)\.outputs\.(\w+)", line):
            if symbol in called and name not in called[symbol].outputs:
                template.fault(number, f"{symbol} has no output {name}")
    return template.faults


def _check_call(template: Template, module: Declared) -> Template:
    path = template.path.parent / module.of
    if not path.is_file():
        template.fault(module.line, f"{module.symbol}: there is no {module.of}")
        return Template(path)
    callee = read(path)
    given = module.body.get("params", {})
    for name in given.keys() - callee.params.keys():
        template.fault(module.line, f"{module.symbol}: {module.of} has no parameter {name}")
    for name in sorted(n for n, has_default in callee.params.items() if not has_default and n not in given):
        template.fault(module.line, f"{module.symbol}: the parameter {name} is missing")
    return callee
