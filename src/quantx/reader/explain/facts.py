"""The facts of an explanation, in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

from quantx.reader.explain.reply import ReplyEvidence

Fact = Mapping[str, Any]
RuleState = Literal["passed", "checked", "overridden", "broken"]


@dataclass(frozen=True)
class RuleResult:
    """A rule of the policy in force, and how a row fares.

    passed: evaluated again now; checked: when the row was curated, because it needs the whole reply; overridden:
    broken, and accepted by a manual decision; broken: the rule is newer than the row; `quantx reprocess` applies it.
    """

    id: str
    meaning: str  # of a violation
    state: RuleState


@dataclass(frozen=True, kw_only=True)
class RuleResults:
    """The rules that reject rows of a table, and how the row fared."""

    policy: int  # the version of the rules
    results: Sequence[RuleResult]


@dataclass(frozen=True, kw_only=True)
class ActionEffect:
    """A split, dividend or capital gain after the day, and its factor of earlier prices; None: it moves no price."""

    ex_date: date
    kind: str
    value: float
    reference_close: float | None
    currency: str | None
    source: str
    factor: float | None  # of the ex-date: payments of one ex-date have one factor together
    raw: str
    known_from: datetime
    proof: str | None  # the check against the vendor's adjusted closes; None: not checked
    verdict: str | None  # of the comparison with other vendors; None: no vendor contradicts


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """The actions after the day, the product of their factors, and the adjusted values."""

    actions: Sequence[ActionEffect]
    split_factor: float
    total_factor: float
    split: Fact  # open, high, low, close, volume, split-adjusted
    total: Fact  # the same, total-adjusted


@dataclass(frozen=True, kw_only=True)
class ExplanationFacts:
    """Why a value is what it is, or why there is none (`row` is None, and `absence` has the reasons).

    `body` of the reply is the vendor's reply exactly as sent. Instants are in UTC. `as_facts()` gives everything but
    that body for JSON.
    """

    subject: str
    table: str
    symbol: str  # as requested
    stored_symbol: str | None  # as the row has it: the vendor's series may be of another symbol of the security
    day: date
    time: datetime | None  # of a minute
    field: str
    value: float | int | None  # as traded
    currency: str | None
    source: str | None
    known_from: datetime | None
    row: Fact | None
    reply: ReplyEvidence | None = None
    rules: RuleResults | None = None
    rejected: Sequence[Fact] = ()  # rows of quarantine of the security and the day
    revisions: Sequence[Fact] = ()  # earlier values of this vendor
    others: Sequence[Fact] = ()  # rows of other vendors for the same session
    verdicts: Sequence[Fact] = ()  # about any vendor's bar of the session
    agreements: Sequence[Fact] = ()  # of the vendors in the month
    adjustment: Adjustment | None = None
    findings: Sequence[Fact] = ()
    absence: Sequence[str] = ()

    def as_facts(self) -> dict[str, Any]:
        """Return all parts as plain values for JSON, without the reply's bytes."""
        facts = asdict(self)
        if facts["reply"] is not None:
            del facts["reply"]["body"]
        return facts
