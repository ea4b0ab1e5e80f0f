"""Texts that vendors send in place of data: each adapter declares a table of them with their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from quantx.errors import NotEntitled, ProviderError, RateLimited, UnknownSymbol

_SEARCHED = 4000  # characters; in an HTML page the text stands near the top


@dataclass(frozen=True)
class Refusal:
    """Words of a vendor, and the error that they mean.

    The error's text is our own, as the vendor's may contain the key. RateLimited carries no time to wait: no vendor
    sends the start of its next day, and one stray refusal must not cost an hour.
    """

    words: str  # in lower case; a part of the vendor's text
    means: type[RateLimited] | type[NotEntitled] | type[UnknownSymbol]
    text: str  # the fact and the next step; follows the vendor's name in the message
    seen: str  # where and when the words were seen
    _: KW_ONLY
    of_symbol: bool = False  # it concerns this symbol alone


def refusal_of(reply: str, refusals: Sequence[Refusal], vendor: str, symbol: str) -> ProviderError | None:
    """Return the error of the first of `refusals` whose words are in the reply, None where there is none."""
    searched = reply[:_SEARCHED].lower()
    for refusal in refusals:
        if refusal.words not in searched:
            continue
        text = f"{vendor} {refusal.text} ({symbol})"
        if issubclass(refusal.means, RateLimited):
            return refusal.means(text)
        return refusal.means(text, [symbol] if refusal.of_symbol else ())
    return None
