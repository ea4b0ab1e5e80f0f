"""Operational rules: the system's own work, and lists and replies as wholes.

No row expression can check them. The code that detects a violation records the finding; the entry here says what must
hold and why.
"""

from __future__ import annotations

from dataclasses import dataclass

from quantx.core.model import Severity

EVENTS_MISSING = "events_missing"
INSPECTION_FAILED = "inspection_failed"
DELISTING_SUSPECTED = "delisting_suspected"
UNIVERSE_REFUSED = "universe_refused"
UNIVERSE_CONTRADICTIONS = "universe_contradictions"


@dataclass(frozen=True)
class OperationalRule:
    """One rule without a row expression."""

    id: str
    severity: Severity
    subject: str  # what a finding of the rule is about
    meaning: str  # what must hold
    why: str  # one sentence: what goes wrong otherwise
    reference: str  # where it is detected


OPERATIONAL_RULES = (
    OperationalRule(
        EVENTS_MISSING,
        "error",
        "symbol",
        "a vendor that gives the bars of a symbol also gives its splits and dividends",
        "bars without their events make adjusted prices wrong before the first missing event",
        "the fetch task for the events failed permanently",
    ),
    OperationalRule(
        "source_taken_over",
        "info",
        "symbol",
        "the sessions of a symbol come from its first vendor",
        "when the first vendor answers again, it replaces the sessions of a fallback vendor in what readers see",
        "planning of a daily run, when the first vendor ends before a fallback vendor",
    ),
    OperationalRule(
        "action_not_applied",
        "warn",
        "symbol",
        "every corporate action of a vendor is a split or a cash dividend",
        "spin-offs, mergers and rights issues move the price, and adjusted prices do not include them",
        "corporate actions of Alpaca, when a reply is curated",
    ),
    OperationalRule(
        "minutes_stamped_at_end",
        "warn",
        "vendor",
        "Alpha Vantage stamps a minute with its start",
        "minutes stamped with their end are shifted by one minute when they are stored",
        "intraday replies of Alpha Vantage, which stamped ends until 2023",
    ),
    OperationalRule(
        DELISTING_SUSPECTED,
        "warn",
        "symbol",
        "a symbol that left the exchange's own list is back at the next refresh, or is recorded as delisted",
        "a delisted security that is not recorded stays in daily updates and counts as stale",
        "two universe refreshes on different days without the symbol",
    ),
    OperationalRule(
        UNIVERSE_REFUSED,
        "error",
        "universe",
        "the list of a universe can be read and passes the plausibility checks",
        "the last good list stays in force, so that later joiners and leavers are missing",
        "`quantx refresh-universe`",
    ),
    OperationalRule(
        UNIVERSE_CONTRADICTIONS,
        "info",
        "universe",
        "the statements of a list about joining and leaving agree with each other",
        "a statement that contradicts others is skipped, so that the membership history may miss a change",
        "`quantx refresh-universe`, for lists that include past changes",
    ),
    OperationalRule(
        "no_run_by_deadline",
        "error",
        "market",
        "every session of a market with an enabled universe has a daily run by its deadline",
        "a timer that died would stay unnoticed while the bars become stale",
        "the sweep; the setting `deadline_hours`",
    ),
    OperationalRule(
        INSPECTION_FAILED,
        "error",
        "inspection",
        "every inspection after a run finishes",
        "the findings of an inspection that failed are out of date until it has been repeated",
        "the inspections after a run: series, minutes, dividends, vendors, gaps, coverage",
    ),
)
