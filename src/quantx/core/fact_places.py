"""Find a fact in the reply of a vendor, by its values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from quantx.core.reply_places import ReplyPlace

_OBJECT = re.compile(rb"\{[^{}]*\}")  # the innermost objects of a JSON document
_DESCRIBING = ("end", "start", "accession", "filed")


def find_fact(body: bytes, fact: Mapping[str, object]) -> ReplyPlace | None:
    """Return the first innermost JSON object that has the fact's value and its days or its filing; None without one.

    `fact` has the columns of a dataset's frame: `value`, `end` and, where known, `start`, `accession` and `filed` as
    texts. `where` is the object's number of bytes from the beginning.
    """
    value = fact.get("value")
    numbers = _spellings(value) if isinstance(value, (int, float)) else []
    texts = [str(fact[name]).encode() for name in _DESCRIBING if fact.get(name)]
    best: tuple[int, ReplyPlace] | None = None
    for found in _OBJECT.finditer(body):
        text = found[0]
        if numbers and not any(number in text for number in numbers):
            continue
        agreeing = sum(each in text for each in texts)
        if agreeing and (best is None or agreeing > best[0]):
            place = ReplyPlace(f"byte {found.start():,}", text.decode("utf-8", "replace"), agreeing)
            best = agreeing, place
    return None if best is None else best[1]


def _spellings(value: float) -> list[bytes]:
    whole = [str(int(value)).encode()] if value == int(value) else []
    return [*whole, repr(float(value)).encode()]
