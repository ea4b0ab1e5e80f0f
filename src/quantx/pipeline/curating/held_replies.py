"""Held-back replies: they stay in the raw zone, no row is curated from them, and the next run fetches them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from quantx.core.calendars import calendar
from quantx.core.model import Finding, Severity
from quantx.core.quality.evidence_rules import REPLY_RULES, rule_about
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.quality.split_basis import BasisDecision
from quantx.core.symbols import venue_of
from quantx.core.tables import BARS_1D
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.state.findings.port import Findings

_LATE = timedelta(days=1)  # for which a vendor may publish a session after the time of its last trade
HELD_BACK = "HeldBack"  # the class of the reason that a task shows
_GONE = "a later reply is curated"
_RULES = [rule.id for rule in REPLY_RULES]


@dataclass(frozen=True, kw_only=True)
class HeldReply:
    """A reply that is not curated: the reason, the fact and the day that it is about."""

    reason: str
    symbol: str
    source: str
    fact: str
    day: date | None
    settled: date | None  # the last session that had settled at the time of the reply

    @property
    def message(self) -> str:
        """Return the fact and the next step."""
        return f"{self.fact}: the reply is held back, and the next run fetches it again"


def held_by_basis(item: ReadReply, source: str, decision: BasisDecision, settled: date | None) -> HeldReply:
    """Return a reply that is held back because of its splits."""
    split, symbol = decision.about, item.symbol
    assert split is not None, "a reply is held back because of a split"
    shares = f"{split.ratio:.6g} for 1" if split.ratio >= 1 else f"1 for {1 / split.ratio:.6g}"
    listed = f"{source} lists a split of {symbol}, {shares} on {split.day}"
    fact = {
        "undivided": f"{listed}, and its prices are not divided by it",
        "undecided": f"{listed}, and neither its prices nor the stored ones prove whether they are divided by it",
        "unlisted": f"{source}'s closes of {symbol} before {split.day} differ from the stored ones as if by a split,"
        f" {shares}, and it lists none",
    }
    return HeldReply(
        reason=decision.held or "undecided",
        symbol=symbol,
        source=source,
        fact=fact[decision.held or "undecided"],
        day=split.day,
        settled=settled,
    )


def ends_early(
    item: ReadReply, source: str, last_bar: date, last_trade: date, settled: date | None
) -> HeldReply | None:
    """Return the reply as held back if sessions with a trade are missing at its end, else None.

    A vendor may be late with a session that closed within the last day.
    """
    sessions = calendar(venue_of(item.symbol).calendar)
    due = sessions.last_closed(item.as_of, _LATE)
    if due is None or not sessions.sessions(last_bar + timedelta(days=1), min(last_trade, due)):
        return None
    fact = (
        f"{source}'s reply about {item.symbol} ends on {last_bar}, and it names a trade of {last_trade}: later splits"
        " may be missing in it"
    )
    return HeldReply(reason="ends_early", symbol=item.symbol, source=source, fact=fact, day=last_bar, settled=settled)


def note_held_replies(findings: Findings, source: str, curated: Iterable[str], held: Mapping[int, HeldReply]) -> None:
    """Record the held-back replies of a vendor; resolve the findings about symbols whose replies are `curated`.

    A first one is informational: vendors agree with themselves within hours. It is a warning when it persists over
    another session.
    """
    symbols = sorted({*curated, *(each.symbol for each in held.values())})
    if not symbols:
        return
    since: dict[str, str] = {}
    for rule in _RULES:
        for finding in findings.open(rule, source, BARS_1D.name, symbols):
            first = str(finding.facts.get("since"))
            since[finding.subject] = min(first, since.get(finding.subject, first))
    current = [_finding(each, since.get(each.symbol)) for each in held.values()]
    findings.restate(_RULES, source, BARS_1D.name, current, _GONE, symbols)


def _finding(held: HeldReply, since: str | None) -> Finding:
    session = str(held.settled)
    persists = since is not None and since < session
    rule = rule_about(REPLY_RULES, "reason", held.reason)
    severity: Severity = FINDING_SEVERITY[rule.severity] if persists else "info"
    message = held.message
    if persists:
        message += f"; it has been so since the session {since}: compare with another vendor (`--source`)"
    return Finding(
        rule.id,
        severity,
        held.symbol,
        message,
        source=held.source,
        dataset=BARS_1D.name,
        first_day=held.day,
        last_day=held.day,
        facts={"since": since or session, "last": session},
    )
