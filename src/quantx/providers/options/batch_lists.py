"""The lists beside the files of a batch download: manifest.json and condition.json.

The manifest names each file with its size and its SHA-256. The condition names each day with available, degraded,
pending or missing, and the day on which the vendor last changed it. Pure: bytes in, values out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from quantx.errors import MalformedPayload

MANIFEST = "manifest.json"
CONDITION = "condition.json"
SYMBOLOGY = "symbology.json"
# What describes an archive and has no rows.
DESCRIPTIONS = frozenset({MANIFEST, CONDITION, SYMBOLOGY, "metadata.json", "symbology.csv"})

_SHA256 = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)
_DAY_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d{2})-?(0[1-9]|1[0-2])-?([0-2]\d|3[01])(?!\d)")


@dataclass(frozen=True)
class ListedFile:
    """A file as the manifest states it."""

    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class DayCondition:
    """A day as condition.json states it."""

    condition: str
    modified: date | None  # null in the list of a day that was never changed


@dataclass(frozen=True)
class BatchLists:
    """The lists of one folder of an archive; empty where it has none."""

    files: Mapping[str, ListedFile] = field(default_factory=dict)
    days: Mapping[date, DayCondition] = field(default_factory=dict)


def read_manifest(content: bytes, name: str) -> dict[str, ListedFile]:
    """Return the files of a manifest by name; MalformedPayload where it is damaged."""
    document = _document(content, name)
    files = document.get("files", []) if isinstance(document, dict) else None
    if not isinstance(files, list):
        raise _damaged(name, "its files are no list")
    listed = {}
    for each in files:
        file = each.get("filename") if isinstance(each, dict) else None
        if not isinstance(file, str):
            raise _damaged(name, "an entry has no filename")
        listed[file] = ListedFile(_size(each.get("size"), file, name), _sha256(each.get("hash"), file, name))
    return listed


def read_condition(content: bytes, name: str) -> dict[date, DayCondition]:
    """Return the days of condition.json; MalformedPayload where it is damaged."""
    document = _document(content, name)
    if not isinstance(document, list):
        raise _damaged(name, "it is no list of days")
    days = {}
    for each in document:
        day = _day(each.get("date")) if isinstance(each, dict) else None
        if day is None:
            raise _damaged(name, "an entry has no date")
        days[day] = DayCondition(str(each.get("condition") or "unknown"), _day(each.get("last_modified_date")))
    return days


def day_in_name(name: str) -> date | None:
    """Return the only day in a file's name, None where it has none or several.

    >>> day_in_name("opra-pillar-20230801.cbbo-1m.dbn.zst"), day_in_name("opra-pillar-20230801-20230831.dbn.zst")
    (datetime.date(2023, 8, 1), None)
    """
    found = [_day("-".join(parts)) for parts in _DAY_IN_NAME.findall(name)]
    return found[0] if len(found) == 1 else None


def _document(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise _damaged(name, "it is no JSON") from None


def _size(value: object, file: str, name: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise _damaged(name, f"the size of {file} is no whole number")


def _sha256(value: object, file: str, name: str) -> str | None:
    if value is None:
        return None
    found = _SHA256.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _damaged(name, f"the hash of {file} is not of the form sha256:…")
    return found[1].lower()


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def _damaged(name: str, fact: str) -> MalformedPayload:
    return MalformedPayload(f"{name} is damaged: {fact}; download the archive again")
