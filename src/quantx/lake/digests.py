"""Digests that objects carry in themselves, and the repair of a single flipped bit, which a digest proves.

An object's digest is the SHA-256 of its bytes, in which the 64 hex digits of the digest itself are zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

ZEROS = b"0" * 64
_MOST_BYTES = 32_768  # of an object whose bits are tried one by one: a few seconds


def sha256(body: bytes) -> str:
    """Return the SHA-256 of some bytes in hex digits."""
    return hashlib.sha256(body).hexdigest()


def seal(body: bytes, marker: bytes) -> bytes:
    """Return an object with its digest in place of the zeros behind the last `marker`; ValueError where there are none.

    >>> is_intact(seal(b"digest=" + ZEROS + b" text", b"digest="), b"digest=")
    True
    """
    place, whole = body.rindex(marker + ZEROS) + len(marker), memoryview(body)  # large: it is copied once
    return b"".join((whole[:place], sha256(body).encode(), whole[place + 64 :]))


def is_intact(body: bytes, marker: bytes) -> bool | None:
    """Return whether an object equals its digest behind the last `marker`; None where it has no marker.

    >>> is_intact(b"no digest", b"digest="), is_intact(b"digest=" + ZEROS, b"digest=")
    (None, False)
    """
    place = body.rfind(marker)
    if place < 0:
        return None
    place += len(marker)
    digest = hashlib.sha256(body[:place])
    digest.update(ZEROS)
    digest.update(body[place + 64 :])
    return digest.hexdigest().encode() == body[place : place + 64]


def with_one_bit_back(body: bytes, is_right: Callable[[bytes], bool]) -> bytes | None:
    """Return the only neighbour of `body`, one bit away, that is right; None for a large object, or if there is none.

    A neighbour that has the right SHA-256 is the original: a repair that needs no copy.

    >>> with_one_bit_back(b"aac", lambda body: sha256(body) == sha256(b"abc"))
    b'abc'
    """
    if len(body) > _MOST_BYTES:
        return None
    tried = bytearray(body)
    for place in range(len(body)):
        for bit in range(8):
            tried[place] ^= 1 << bit
            if is_right(bytes(tried)):
                return bytes(tried)
            tried[place] ^= 1 << bit
    return None
