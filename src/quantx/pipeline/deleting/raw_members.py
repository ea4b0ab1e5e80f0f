"""Members of option archives in the raw zone: which of them have deleted contracts.

A member is one file of a vendor with the contracts of one underlying or of many, and can't be cut: it goes as a whole,
and the rows of its other underlyings stay in the tables. A member that no form reads may have any contract. Of a member
whose facts alone are kept (`options_keep: hashes`) no contract is stored: it stays.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence

from ulid import ULID

from quantx.core.model import Window
from quantx.core.tombstones import Tombstone
from quantx.errors import DamagedObject, MalformedPayload
from quantx.lake.raw import parse_raw_path, read_pages
from quantx.lake.store import LakeLocation
from quantx.providers.options.forms import form_of
from quantx.providers.options.sessions import session_before

_HEAD = 1_024  # bytes by which a form is known


def deleted_members(
    stone: Tombstone, location: LakeLocation, paths: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the raw objects of members with deleted contracts, each with the other underlyings of its member."""
    for objects in _members(paths):
        others = _others(stone, location, objects)
        if others is not None:
            yield from ((path, others) for path in objects)


def _members(paths: Sequence[str]) -> Iterator[list[str]]:
    """Yield the raw objects of each member, in order: the ULID of each is the one before plus 1."""
    by_number = sorted((int(ULID.from_str(parse_raw_path(path)[2])), path) for path in paths)
    objects: list[str] = []
    for place, (number, path) in enumerate(by_number):
        if place and number != by_number[place - 1][0] + 1:
            yield objects
            objects = []
        objects.append(path)
    if objects:
        yield objects


def _others(stone: Tombstone, location: LakeLocation, objects: Sequence[str]) -> tuple[str, ...] | None:
    """Return the underlyings of a member that stay, None where no contract of it is deleted."""
    name = ""
    with tempfile.TemporaryFile() as content:
        try:
            for path in objects:
                for page in read_pages(location, path):
                    name = page.payload.symbol
                    if page.payload.content_type != "application/json":  # the facts of the member
                        content.write(page.payload.body)
            size = content.tell()
            if not size:
                return None
            content.seek(0)
            form = form_of(name, content.read(_HEAD), stone.source)
            content.seek(0)
            if form is None:
                return ()
            opened = form.open(name, content, size)
        except (DamagedObject, MalformedPayload):
            return ()  # what can't be read may have any contract
        if opened.contracts.is_empty():
            return ()
        facts = opened.facts
        first = session_before(facts.first) if facts.kind == "open_interest" else facts.first
        found = opened.contracts["underlying"].unique().sort().to_list()
    gone = {each for each in found if any(span.overlaps(Window(first, facts.last)) for span in stone.spans_of(each))}
    return tuple(each for each in found if each not in gone) if gone else None
