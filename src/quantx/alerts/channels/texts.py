"""Texts of messages without characters that change how a receiver shows them. Facts quote vendors and file names."""

from __future__ import annotations

import unicodedata

_LONGEST = 400  # characters of a line


def plain(text: str, longest: int = _LONGEST) -> str:
    r"""Return a text on one line: no control characters, no marks of direction, at most `longest` characters.

    >>> plain("a\nb\u202ec")
    'a b c'
    """
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in text[: 4 * longest])
    words = " ".join(kept.split())
    return words if len(words) <= longest else words[: longest - 1] + "…"
