"""What vendors say in place of data, and what it means: each adapter declares a table of its vendor's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantx.errors import NotEntitled, ProviderError, RateLimited, UnknownSymbol

_SEARCHED = 4000  # characters; a page of HTML says it early


@dataclass(frozen=True)
class Refusal:
    """Words of a vendor and what they mean.

    The error speaks in words of our own: the vendor's may quote the key. A limit comes without a time to wait: also where a
    day is used up no vendor tells when the next one begins, and a stray refusal must not cost an hour.
    """

    words: str  # in small letters; part of what the vendor says
    means: type[RateLimited] | type[NotEntitled] | type[UnknownSymbol]
    text: str  # the fact and the next step, to stand behind the vendor's name
    seen: str  # where and when the words were read
    of_symbol: bool = False  # it concerns this symbol alone


def refusal_of(said: str, known: Sequence[Refusal], vendor: str, symbol: str) -> ProviderError | None:
    """Return the error of the first refusal in `known` whose words are in `said`, None where there is none."""
    small = said[:_SEARCHED].lower()
    for refusal in known:
        if refusal.words not in small:
            continue
        text = f"{vendor} {refusal.text} ({symbol})"
        if issubclass(refusal.means, RateLimited):
            return refusal.means(text)
        return refusal.means(text, [symbol] if refusal.of_symbol else ())
    return None
