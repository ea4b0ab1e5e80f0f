"""The schedule of a gap (one missing session of a series): the next vendor, its time, and the final explanation.

The session is requested from the gap's vendor when the gap is detected, and again after 1, 2, 4, 8 … days. After its
second answer without the session, it is requested once from each fallback vendor. Then the gap is filled, or it is
explained and never requested again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from quantx.core.coverage import LATE
from quantx.core.model import RunKind, Series, Window

GapStatus = Literal["open", "filled", "explained"]
Explanation = Literal[
    "vendor_has_nothing",  # answered MOST_REQUESTS times without the session
    "vendor_refuses",  # as many requests, without an answer
    "presumed_halted",  # an empty row, or two vendors without a bar: nothing may have traded
    "other_source",  # another vendor has the bar, which readers see
    "not_listed",  # no security carried the symbol on that day
    "rejected",  # the vendor's row is in quarantine
    "not_a_session",  # the calendar was corrected
]

HEAL: RunKind = "heal"
MOST_REQUESTS = 5  # requests to one vendor for one session, over 1 + 2 + 4 + 8 days, plus those of the fallback vendors
_REQUESTS_BEFORE_OTHERS = 2
_LONGEST_PAUSE = 32  # days
_EMPTY = "prices_present"  # the rule that a row without prices breaks


@dataclass(frozen=True)
class Gap:
    """A missing session of a series, and the requests for it."""

    series: Series
    session: date
    _: KW_ONLY
    status: GapStatus = "open"
    explanation: Explanation | None = None
    reason: str | None = None  # a text for people
    asked: int = 0  # completed requests, to all vendors
    asked_at: datetime | None = None  # end of the last one
    due_at: datetime | None = None  # time of the next request; None while one is under way, or after the last one

    @property
    def key(self) -> tuple[Series, date]:
        """Return the unique key of a gap."""
        return self.series, self.session


@dataclass(frozen=True)
class GapRequest:
    """A task that requests some sessions from a vendor."""

    series: Series
    window: Window
    _: KW_ONLY
    state: Literal["waiting", "answered", "failed"]
    at: datetime  # since when it has this state
    error: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Facts about a missing session beside the requests."""

    rules: str | None = None  # comma-separated rules that the vendor's quarantined row breaks
    listed: bool = True  # a security carried the symbol
    elsewhere: str | None = None  # a vendor that has the bar


def next_step(
    gap: Gap, requests: Sequence[GapRequest], others: Sequence[str], known: Evidence, now: datetime
) -> tuple[Gap, str | None]:
    """Return the updated gap, and the vendor to request it from now, or None.

    `requests` are those for the gap's symbol and session, to any vendor; `others` are the fallback vendors in order.
    """
    own, ended = gap.series.source, [a for a in requests if a.state != "waiting"]
    gap = replace(gap, asked=len(ended), asked_at=max((a.at for a in ended), default=None), due_at=None)
    explained = _explained_by_evidence(gap, known)
    if explained is not None:
        return explained, None
    if len(ended) < len(requests):
        return gap, None
    empty, of_own = known.rules is not None, [a for a in ended if a.series.source == own]
    most = 1 if empty else MOST_REQUESTS
    if len(of_own) >= min(most, _REQUESTS_BEFORE_OTHERS):
        if known.elsewhere is not None:
            return _explained(gap, "other_source", f"{known.elsewhere} has the bar, which readers see"), None
        left = [v for v in others if all(a.series.source != v for a in ended)]
    else:
        left = []
    if not left and len(of_own) >= most:
        return _final(gap, ended, empty), None
    due = _due(gap, len(ended))
    return (gap, left[0] if left else own) if due <= now else (replace(gap, due_at=due), None)


def is_about(request: GapRequest, gap: Gap) -> bool:
    """Return whether a request includes the session of a gap, from any vendor."""
    requested = (request.series.dataset, request.series.timeframe, request.series.symbol)
    return (
        requested == (gap.series.dataset, gap.series.timeframe, gap.series.symbol)
        and request.window.start <= gap.session <= request.window.end
    )


def _explained_by_evidence(gap: Gap, known: Evidence) -> Gap | None:
    if not known.listed:
        return _explained(gap, "not_listed", f"no security carried the symbol {gap.series.symbol} on that day")
    if known.rules is not None and _EMPTY not in known.rules.split(","):
        return _explained(gap, "rejected", f"the row of {gap.series.source} is in quarantine: {known.rules}")
    return None


def _final(gap: Gap, ended: Sequence[GapRequest], empty: bool) -> Gap:
    own = gap.series.source
    without = list(dict.fromkeys(a.series.source for a in ended if a.state == "answered"))
    if own not in without:
        last = next((a.error for a in reversed(ended) if a.series.source == own), None)
        return _explained(gap, "vendor_refuses", f"{own} did not answer requests for it: {last or 'no reason given'}")
    if empty:
        return _explained(gap, "presumed_halted", f"{own} answers with an empty row: nothing may have traded")
    if len(without) > 1:
        return _explained(gap, "presumed_halted", f"{' and '.join(without)} have no bar: nothing may have traded")
    return _explained(gap, "vendor_has_nothing", f"{own} has answered {gap.asked} times without the session")


def _explained(gap: Gap, explanation: Explanation, reason: str) -> Gap:
    return replace(gap, status="explained", explanation=explanation, reason=reason, due_at=None)


def _due(gap: Gap, ended: int) -> datetime:
    """Return the time of the next request. The first one is due when daily updates no longer fetch the session.

    It is due from midnight (UTC), so that an inspection at the same hour of each day finds it due.
    """
    if gap.asked_at is None:
        day = gap.session + LATE
    else:
        day = gap.asked_at.astimezone(UTC).date() + timedelta(days=min(2 ** (ended - 1), _LONGEST_PAUSE))
    return datetime.combine(day, time(), UTC)
