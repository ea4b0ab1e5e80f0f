"""The kind of a security in NASDAQ Trader's lists, from its documented suffixes and the text of its name.

Sources, read in November 2026:

- https://www.nasdaqtrader.com/Trader.aspx?id=CQSSymbolConvention: the suffixes in the columns `ACT Symbol` (ACT/CTCI),
  `CQS Symbol` (CQS) and `NASDAQ Symbol` (NASDAQ Integrated Platform).
- https://www.nasdaqtrader.com/content/technicalsupport/specifications/dataproducts/nasdaqfifthcharactersuffixlist.pdf:
  the fifth letter of a symbol of NASDAQ.
- https://www.nasdaqtrader.com/trader.aspx?id=symboldirdefs: the columns of the lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

SHARES, UNITS, WARRANTS, RIGHTS = "shares", "units", "warrants", "rights"
WHEN_ISSUED, TEST_ISSUE = "when issued", "test issue"

# NASDAQ Integrated Platform. `$` is "when distributed" here, and a preferred in the column `ACT Symbol`. The marks
# `-` (preferred), `.` (class), `*` (called), `%` (convertible), `@` (partial paid) and `!` belong to shares.
_KINDS_BY_MARK = {
    "#": WHEN_ISSUED,
    "$": WHEN_ISSUED,
    "=": UNITS,
    "+": WARRANTS,
    "^": RIGHTS,
    "~": TEST_ISSUE,
}
# CQS: a slash in older lists, a dot today. A when-issued security of any kind ends with `w`.
_KINDS_BY_CQS = (
    (re.compile(r"[./]TEST"), TEST_ISSUE),
    (re.compile(r"w$|[./](WI|WD)$"), WHEN_ISSUED),
    (re.compile(r"[./]U$"), UNITS),
    (re.compile(r"[./]WS([./][A-Z])?$"), WARRANTS),
    (re.compile(r"r$|[./]RT$"), RIGHTS),
)
# ACT/CTCI: one letter, which can also name a share class (MKC.V); `.A` can be a warrant. The weakest suffix.
_KINDS_BY_ACT = {
    ".U": UNITS,
    ".W": WARRANTS,
    ".WS": WARRANTS,
    ".R": RIGHTS,
    ".RT": RIGHTS,
    ".V": WHEN_ISSUED,
    ".WI": WHEN_ISSUED,
    ".D": WHEN_ISSUED,
    ".Z": WHEN_ISSUED,
}
# The fifth letter at NASDAQ. L and Z mean "miscellaneous", which includes further warrants: the name decides.
_KINDS_BY_FIFTH_LETTER = {"R": RIGHTS, "U": UNITS, "V": WHEN_ISSUED, "W": WARRANTS}
_MISCELLANEOUS = "LZ"

_WORDS = {
    WHEN_ISSUED: re.compile(r"\bwhen[- ](issued|distributed)\b|\bw/?i$", re.IGNORECASE),
    UNITS: re.compile(r"\bunits?\b", re.IGNORECASE),
    WARRANTS: re.compile(r"\b(warrants?|wts?)\b", re.IGNORECASE),
    RIGHTS: re.compile(r"\brights?\b", re.IGNORECASE),
}
_SHARE_WORDS = re.compile(
    r"\b(common|ordinary|preferred|preference|capital|depositary) (stock|shares?|units?|securities|receipts?)\b"
    r"(?! (purchase )?(warrants?|rights?))|\bnotes?\b|\bdebentures?\b",
    re.IGNORECASE,
)
# The description alone may name warrants and rights. It can't name units: common units are the shares of a partnership.
_DESCRIBES = re.compile(
    r"^(?:[\w$%.& -]* )?(?:(?P<warrants>warrants?)|(?P<rights>rights?))(?=$|,| \(| to | exp)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Kind:
    """The kind of a listed security, and the disagreement of the evidence about it."""

    name: str
    remark: str | None = None

    @property
    def is_share(self) -> bool:
        """Return whether the security is a share, a fund or a note: a possible member of a list."""
        return self.name == SHARES


def kind_of(symbol: str, row: Mapping[str, str]) -> Kind:
    """Return the kind of the security in a row of NASDAQ Trader's lists.

    The columns are compared in the order of their precision: the flag of test issues, NASDAQ's integrated suffix, the
    CQS suffix, and last the ACT suffix or the fifth letter, which share classes use, too. There the name is the second
    evidence.

    >>> kind_of("BAC.A", {"Security Name": "Class A Warrants", "CQS Symbol": "BAC.WS.A", "NASDAQ Symbol": "BAC+A"}).name
    'warrants'
    >>> kind_of("MKC.V", {"Security Name": "Common Stock", "CQS Symbol": "MKC.V", "NASDAQ Symbol": "MKC.V"}).name
    'shares'
    """
    if row.get("Test Issue", "N").strip() != "N":
        return Kind(TEST_ISSUE)
    name, integrated, tape = (row.get(c, "").strip() for c in ("Security Name", "NASDAQ Symbol", "CQS Symbol"))
    precise = _precise_kind(integrated, tape, name)
    if precise is None:
        return _kind_of_letter(symbol, name, is_fund=row.get("ETF", "").strip() == "Y")
    if precise != SHARES:
        return _with_name(precise, symbol, name)
    return _kind_by_name(symbol, name)


def _precise_kind(integrated: str, tape: str, name: str) -> str | None:
    """Return the kind by the integrated and the CQS suffix; None if the list has neither (NASDAQ's own).

    Today's CQS suffixes begin with a dot as classes do. A plain class in the integrated suffix therefore weighs as
    much, and the name decides.
    """
    by_mark = next((kind for mark, kind in _KINDS_BY_MARK.items() if mark in integrated), None)
    if by_mark is not None or not tape:
        return by_mark
    by_cqs = next((kind for pattern, kind in _KINDS_BY_CQS if pattern.search(tape)), SHARES)
    if integrated and by_cqs in _WORDS and _SHARE_WORDS.search(name) and not _WORDS[by_cqs].search(name):
        return SHARES
    return by_cqs


def _with_name(kind: str, symbol: str, name: str) -> Kind:
    """Return the kind that an unambiguous suffix states, with a remark if the name states shares."""
    words = _WORDS.get(kind)
    if words is None or words.search(name) or not _SHARE_WORDS.search(name):
        return Kind(kind)
    return Kind(kind, f"{symbol} has the suffix of {kind}, and the name {name[:60]}; it is left out")


def _kind_of_letter(symbol: str, name: str, *, is_fund: bool) -> Kind:
    """Return the kind by the ACT suffix or the fifth letter; the name decides if it states shares."""
    _, dot, suffix = symbol.partition(".")
    fifth = symbol[4] if len(symbol) == 5 and symbol.isalpha() and not is_fund else ""
    kind = _KINDS_BY_ACT.get(dot + suffix) if dot else _KINDS_BY_FIFTH_LETTER.get(fifth)
    if kind is None:
        return _kind_by_name(symbol, name, expected=fifth in _MISCELLANEOUS and bool(fifth))
    if _WORDS[kind].search(name) or not _SHARE_WORDS.search(name):
        return Kind(kind)
    other = _kind_by_name(symbol, name)
    if not other.is_share:
        return Kind(other.name)
    return Kind(SHARES, f"{symbol} has the letter of {kind}, and the name {name[:60]}; it is a member")


def _kind_by_name(symbol: str, name: str, *, expected: bool = False) -> Kind:
    """Return the kind that the name states, with a remark unless the name is `expected` to decide."""
    if _WORDS[WHEN_ISSUED].search(name):
        # A name can be old: Advance Auto Parts was called "W/I" in New York's list years after its issue (2016).
        remark = f"{symbol} has no suffix of when issued, and the name {name[-60:]}; it is a member"
        return Kind(WHEN_ISSUED) if expected else Kind(SHARES, remark)
    _, dash, description = name.rpartition(" - ")
    match = _DESCRIBES.search(description) if dash or not _SHARE_WORDS.search(name) else None
    if match is None or match.lastgroup is None or _SHARE_WORDS.search(description[: match.start(match.lastgroup)]):
        return Kind(SHARES)
    if expected:
        return Kind(match.lastgroup)
    remark = f"{symbol} has no suffix of {match.lastgroup}, and the name {name[-60:]}; it is left out"
    return Kind(match.lastgroup, remark)
