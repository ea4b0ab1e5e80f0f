"""The raw objects of a member: its facts as JSON, and its bytes, where the archive is kept.

A member of more than 16 MB lies in several objects: the ULID of each is the one before plus 1. The first row of the
first object has the facts; the other rows have the bytes, in order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import IO

import pyarrow as pa
from ulid import ULID

from quantx.core.model import Payload
from quantx.core.option_tables import RAW_MEMBERS
from quantx.errors import LakeError, MalformedPayload, RawNotReadable
from quantx.lake.raw import RawPage, raw_path, write_batch
from quantx.lake.store import LakeLocation
from quantx.state.option_members.port import MemberRecord
from quantx.state.tasks.port import RawObject

_OBJECT_BYTES = 16_000_000  # of a member, in one raw object; a writer needs five times as much memory
_PAGE_BYTES = 2_000_000
_NO_TASK = 0

OpenStream = Callable[[], AbstractContextManager[IO[bytes]]]


def write_member(
    location: LakeLocation, source: str, member: MemberRecord, content: OpenStream | None
) -> list[RawObject]:
    """Store a member in the raw zone, create-only, and check the sizes of the stored objects.

    `content` opens its bytes; None stores only its facts, the SHA-256 among them. Raises MalformedPayload where the
    bytes are no longer as many as the list of the archive states.
    """
    objects = []
    for number, bodies in enumerate(_objects(member, content)):
        path = object_path(source, member, number)
        pages = [RawPage(_NO_TASK, _payload(member, body, place)) for place, body in bodies]
        size = write_batch(location, path, pages)
        with suppress(RawNotReadable):  # of a role that only creates objects
            if (stored := location.size_of(path)) != size:
                raise LakeError(f"{location.address(path)} has {stored:,} bytes, and {size:,} were sent; import again")
        objects.append(RawObject(path=path, source=source, dataset=RAW_MEMBERS, payloads=len(pages), size=size))
        del pages, bodies  # before the next ones are read
    pa.default_memory_pool().release_unused()  # staging needs the memory
    return objects


def object_path(source: str, member: MemberRecord, number: int = 0) -> str:
    """Return the path of a raw object of a member; the first one's ULID stands in the rows of the tables."""
    assert member.raw is not None
    assert member.started_at is not None
    ulid = str(ULID.from_int(int(ULID.from_str(member.raw)) + number))
    return raw_path(source, RAW_MEMBERS, member.started_at.date().isoformat(), ulid)


def facts_of(member: MemberRecord) -> bytes:
    """Return the facts of a member as JSON."""
    return json.dumps(
        {
            "archive": member.archive,
            "member": member.name,
            "size": member.size,
            "sha256": member.sha256,
            "last_modified_date": None if member.modified is None else member.modified.isoformat(),
            "condition": member.condition,
        }
    ).encode()


def _objects(member: MemberRecord, content: OpenStream | None) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the bodies of each object with their places: "" of the facts, else the first byte of the member."""
    bodies, held, offset = [("", facts_of(member))], 0, 0
    if content is not None:
        with content() as stream:
            while page := stream.read(_PAGE_BYTES):
                if held and held + len(page) > _OBJECT_BYTES:
                    yield bodies
                    bodies, held = [], 0
                bodies.append((str(offset), page))
                held, offset = held + len(page), offset + len(page)
        if offset != member.size:
            raise MalformedPayload(f"{member.name} has {offset:,} bytes, not {member.size:,}; get the archive again")
    yield bodies


def _payload(member: MemberRecord, body: bytes, place: str) -> Payload:
    assert member.started_at is not None
    facts = place == ""
    return Payload(
        member.name,
        f"{member.archive}!{member.name}" + ("" if facts else f"#{place}"),
        200,
        member.started_at,
        content_type="application/json" if facts else "application/octet-stream",
        body=body,
    )
