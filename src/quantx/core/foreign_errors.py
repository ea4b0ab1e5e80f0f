"""The facts behind errors of other programs, in our words: their texts are not for users. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

# By a part of the name of the error's class or of one of its bases; the first that fits.
_NETWORK = (
    ("Timeout", "it does not answer in time"),
    ("SSL", "its certificate or encryption is not accepted"),
    ("Certificate", "its certificate is not accepted"),
    ("DNS", "its name can't be resolved"),
    ("Proxy", "the proxy refuses"),
    ("InvalidURL", "it is not a valid address"),
    ("UnsupportedProtocol", "it is no address of http:// or https://"),
    ("Decod", "its reply can't be unpacked"),
    ("Incomplete", "its reply ends before its announced length"),
    ("Protocol", "its reply breaks the HTTP protocol or ends early"),
    ("Chunked", "its reply ends early"),
    ("Read", "the connection was lost while it replied"),
    ("Connect", "no connection"),
)
_YAML = "is not valid YAML"
# The forms of values, by the beginning of pydantic's type of error.
_FORMS = {
    "int": "is no whole number",
    "float": "is no number",
    "decimal": "is no number",
    "bool": "is neither true nor false",
    "string": "is no text",
    "path": "is no path",
    "list": "is no list",
    "tuple": "is no list",
    "dict": "is no object of names and values",
    "model": "is no object of names and values",
    "date": "is no date, as in 2024-02-29",
    "url": "is no address",
    "missing": "is missing",
    "extra_forbidden": "is no name that is known here",
    "frozen": "can't be changed",
}
_LIMITS = {
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "too_short": "has fewer than {min_length} entries",
    "too_long": "has more than {max_length} entries",
    "string_too_short": "is shorter than {min_length} characters",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "does not have the form {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}


def network_fact(error: BaseException) -> str:
    """Return why a service can't be reached, from the class of an HTTP client's error.

    >>> network_fact(TimeoutError())
    'it does not answer in time'
    """
    names = [kind.__name__ for kind in type(error).__mro__[:-3] or type(error).__mro__[:1]]
    return next((fact for part, fact in _NETWORK for name in names if part.lower() in name.lower()), "no connection")


def file_fact(error: Exception) -> str:
    """Return why a file can't be read: the system's reason, or its encoding."""
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8 text"
    number = getattr(error, "errno", None)  # some libraries put texts of their own in `strerror`
    return os.strerror(number) if number else "it can't be read"


def yaml_fact(error: Exception) -> str:
    """Return the place of an error in YAML, or why the file can't be read."""
    if isinstance(error, UnicodeDecodeError | OSError):
        return f"can't be read: {file_fact(error)}"
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{_YAML}: check its quotes, colons and indentation"
    return f"{_YAML} at line {mark.line + 1}, column {mark.column + 1}: check the quotes, colons and indentation there"


def value_fact(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, from an entry of pydantic's errors; our own messages stay as they are."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", "")) or "has another form"
    if kind in _LIMITS and context:
        return _LIMITS[kind].format_map(context)
    for beginning, fact in _FORMS.items():
        if kind.startswith(beginning):
            return fact
    return "has another form"
