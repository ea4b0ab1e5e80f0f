"""What becomes of a session that a series lacks: whom to ask for it, when, and what explains it in the end. Pure.

A gap is one session. Its vendor is asked when it is found, and again after 1, 2, 4, 8 … days; after the second answer
without the session, once each vendor that stands in. Then it is filled, or explained and never asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from quantx.core.coverage import LATE
from quantx.core.model import RunKind, Series, Window

GapStatus = Literal["open", "filled", "explained"]
Explanation = Literal[
    "vendor_has_nothing",  # asked often enough, and answered without the session
    "vendor_refuses",  # asked as often, and never answered
    "presumed_halted",  # an empty row, or two vendors without a bar: nothing may have traded
    "other_source",  # another vendor has the bar, which readers see
    "not_listed",  # nobody carried the symbol on that day
    "rejected",  # the vendor's row is in quarantine
    "not_a_session",  # the calendar was corrected
]

HEAL: RunKind = "heal"
MOST_ASKS = 5  # of one vendor for one session, over 1 + 2 + 4 + 8 days and those of the vendors that stand in
_ASKS_BEFORE_OTHERS = 2
_LONGEST_PAUSE = 32  # days
_EMPTY = "prices_present"  # the rule that a row without prices breaks


@dataclass(frozen=True)
class Gap:
    """A session that a series should have."""

    series: Series
    session: date
    status: GapStatus = "open"
    explanation: Explanation | None = None
    reason: str | None = None  # in words
    asked: int = 0  # asks that have ended, of all vendors
    asked_at: datetime | None = None  # when the last one ended
    due_at: datetime | None = None  # when it is asked for next; None where it is being asked for, or settled

    @property
    def key(self) -> tuple[Series, date]:
        """Return what two gaps must not have in common."""
        return self.series, self.session


@dataclass(frozen=True)
class Ask:
    """A task that has asked a vendor for some sessions, or is about to."""

    series: Series
    window: Window
    state: Literal["waiting", "answered", "failed"]
    at: datetime  # when that began
    error: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What else is known about a missing session."""

    rules: str | None = None  # broken by the vendor's row, which is in quarantine; with commas between
    listed: bool = True  # somebody carried the symbol
    elsewhere: str | None = None  # a vendor that has the bar


def next_step(
    gap: Gap, asks: Sequence[Ask], others: Sequence[str], known: Evidence, now: datetime
) -> tuple[Gap, str | None]:
    """Return the gap as it is now, and the vendor that is to be asked for it at once, if one is.

    `asks` are those about the gap's symbol and session, of any vendor; `others` stand in for the gap's vendor, the
    first one first.
    """
    own, ended = gap.series.source, [a for a in asks if a.state != "waiting"]
    gap = replace(gap, asked=len(ended), asked_at=max((a.at for a in ended), default=None), due_at=None)
    explained = _explained_at_sight(gap, known)
    if explained is not None:
        return explained, None
    if len(ended) < len(asks):
        return gap, None
    empty, asked = known.rules is not None, [a for a in ended if a.series.source == own]
    most = 1 if empty else MOST_ASKS
    if len(asked) >= min(most, _ASKS_BEFORE_OTHERS):
        if known.elsewhere is not None:
            return _explained(gap, "other_source", f"{known.elsewhere} has the bar, which readers see"), None
        left = [v for v in others if all(a.series.source != v for a in ended)]
    else:
        left = []
    if not left and len(asked) >= most:
        return _in_the_end(gap, ended, empty), None
    due = _due(gap, len(ended))
    return (gap, left[0] if left else own) if due <= now else (replace(gap, due_at=due), None)


def is_about(ask: Ask, gap: Gap) -> bool:
    """Tell whether an ask was for the session of a gap, whoever was asked."""
    there = (ask.series.dataset, ask.series.timeframe, ask.series.symbol)
    return (
        there == (gap.series.dataset, gap.series.timeframe, gap.series.symbol)
        and ask.window.start <= gap.session <= ask.window.end
    )


def _explained_at_sight(gap: Gap, known: Evidence) -> Gap | None:
    if not known.listed:
        return _explained(gap, "not_listed", f"nobody carried the symbol {gap.series.symbol} on that day")
    if known.rules is not None and _EMPTY not in known.rules.split(","):
        return _explained(gap, "rejected", f"the row of {gap.series.source} is in quarantine: {known.rules}")
    return None


def _in_the_end(gap: Gap, ended: Sequence[Ask], empty: bool) -> Gap:
    own = gap.series.source
    without = list(dict.fromkeys(a.series.source for a in ended if a.state == "answered"))
    if own not in without:
        last = next((a.error for a in reversed(ended) if a.series.source == own), None)
        return _explained(
            gap, "vendor_refuses", f"{own} has not answered when asked for it: {last or 'no reason given'}"
        )
    if empty:
        return _explained(gap, "presumed_halted", f"{own} answers with an empty row: nothing may have traded")
    if len(without) > 1:
        return _explained(gap, "presumed_halted", f"{' and '.join(without)} have no bar: nothing may have traded")
    return _explained(gap, "vendor_has_nothing", f"{own} has answered {gap.asked} times without the session")


def _explained(gap: Gap, explanation: Explanation, reason: str) -> Gap:
    return replace(gap, status="explained", explanation=explanation, reason=reason, due_at=None)


def _due(gap: Gap, ended: int) -> datetime:
    """Return from when on a gap is asked for: at first when daily updates do not read the session again any more.

    From midnight (UTC) on, so that a look at the same hour of each day finds it due.
    """
    if gap.asked_at is None:
        day = gap.session + LATE
    else:
        day = gap.asked_at.astimezone(UTC).date() + timedelta(days=min(2 ** (ended - 1), _LONGEST_PAUSE))
    return datetime.combine(day, time(), UTC)
