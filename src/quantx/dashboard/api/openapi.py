"""The OpenAPI document of the data API, from the declaration of its addresses."""

from __future__ import annotations

from typing import Any

from quantx.dashboard.api.formats import FORMATS
from quantx.dashboard.api.parameters import Parameter
from quantx.dashboard.api.resources import RESOURCES, Resource
from quantx.reader.provenance import program_version

_ERRORS = {
    "400": "A parameter is unknown, missing or wrong; the message names it.",
    "403": "The token is missing or wrong.",
    "404": "The lake does not know a symbol, vendor or universe.",
    "406": "The header Accept allows no form of the answer.",
    "413": "The answer would be too large; the message has the figures.",
    "421": "The header Host names another server than this one.",
    "503": "The lake can't be read now.",
}
_ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "kind", "message"],
            "properties": {
                "status": {"type": "integer"},
                "kind": {"type": "string"},
                "message": {"type": "string", "description": "the fact and the next step"},
            },
        }
    },
}
_ROWS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["query", "arguments", "warnings", "tables", "columns", "row_count", "rows"],
    "properties": {
        "query": {"type": "string"},
        "arguments": {"type": "object"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "tables": {"type": "object", "additionalProperties": {"type": "integer"}},
        "columns": {"type": "array", "items": {"type": "string"}},
        "row_count": {"type": "integer"},
        "rows": {"type": "array", "items": {"type": "object"}},
    },
}


def openapi_document() -> dict[str, Any]:
    """Return the document, version 3.1 of OpenAPI."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "QuantX data over HTTP",
            "version": program_version(),
            "description": "The queries of the Python interface as addresses: read-only, bounded, with the same"
            " parameters. An unknown parameter is an error.",
        },
        "security": [{"token": []}],
        "paths": {each.path: {"get": _operation(each)} for each in RESOURCES.values()},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR_SCHEMA, "Rows": _ROWS_SCHEMA},
        },
    }


def _operation(resource: Resource) -> dict[str, Any]:
    rows = {"$ref": "#/components/schemas/Rows"}
    forms = {
        each.media_type: {"schema": rows} if each.name == "json" else {"schema": {"type": "string"}}
        for each in FORMATS.values()
    }
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "operationId": resource.name,
        "summary": resource.summary,
        "description": resource.description,
        "parameters": [*map(_parameter, resource.parameters.all.values()), _FORMAT],
        "responses": {
            "200": {"description": "The rows.", "content": forms},
            "304": {"description": "The rows are those of the tag in If-None-Match."},
            **{status: {"description": text, "content": error} for status, text in _ERRORS.items()},
        },
    }


def _parameter(each: Parameter) -> dict[str, Any]:
    described = {"name": each.name, "in": "query", "required": each.required, "description": each.meaning}
    if each.kind in ("list", "on"):
        return {
            **described,
            "schema": {"type": "array", "items": {"type": "string"}},
            "style": "form",
            "explode": False,
        }
    schema: dict[str, Any] = {"type": "boolean" if each.kind == "boolean" else "string"}
    if each.choices:
        schema["enum"] = list(each.choices)
    if each.default is not None:
        schema["default"] = each.default
    return {**described, "schema": schema}


_FORMAT = {
    "name": "format",
    "in": "query",
    "required": False,
    "description": "the form of the answer; by default the header Accept decides",
    "schema": {"type": "string", "enum": list(FORMATS)},
}
