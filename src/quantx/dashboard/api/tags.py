"""The tag of an answer (ETag): the same request of the same table versions has the same tag."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from quantx.reader.provenance import program_version
from quantx.settings import Settings


def answer_tag(
    resource: str, arguments: Mapping[str, Any], answer_format: str, versions: Mapping[str, int], settings: Settings
) -> str:
    """Return a weak tag: bytes differ by compression, rows do not."""
    facts = [settings.lake_url, resource, arguments, answer_format, versions, settings.sources, program_version()]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Return whether a header If-None-Match has the tag, by the weak comparison of RFC 9110."""
    if if_none_match is None:
        return False
    opaque = tag.removeprefix("W/")
    return opaque in (each.strip().removeprefix("W/") for each in if_none_match.split(","))
