"""Operational rules: the system's own work, and lists and replies as wholes.

No row expression can check them. The code that detects a violation records the finding; the entry here has its
meaning and the reason.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from quantx.core.model import Severity

EVENTS_MISSING = "events_missing"
INSPECTION_FAILED = "inspection_failed"
DELISTING_SUSPECTED = "delisting_suspected"
UNIVERSE_REFUSED = "universe_refused"
UNIVERSE_CONTRADICTIONS = "universe_contradictions"
DAMAGED_OBJECT = "damaged_object"
DOUBLED_KEYS = "doubled_keys"


@dataclass(frozen=True)
class OperationalRule:
    """One rule without a row expression."""

    id: str
    severity: Severity
    subject: str  # what a finding of the rule is about
    _: KW_ONLY
    meaning: str  # the violation: what is wrong
    why: str  # one sentence: the damage that it does
    reference: str  # where it is detected


OPERATIONAL_RULES = (
    OperationalRule(
        EVENTS_MISSING,
        "error",
        "symbol",
        meaning="a vendor has the bars of a symbol, but its splits and dividends cannot be fetched",
        why="bars without their events make adjusted prices wrong before the first missing event",
        reference="the fetch task for the events failed permanently",
    ),
    OperationalRule(
        "source_taken_over",
        "info",
        "symbol",
        meaning="the first vendor is requested again for sessions that a fallback vendor filled",
        why="readers see the first vendor's values of these sessions once they are stored",
        reference="planning of a daily run, when the first vendor ends before a fallback vendor",
    ),
    OperationalRule(
        "action_not_applied",
        "warn",
        "symbol",
        meaning="a corporate action is neither a split nor a cash dividend",
        why="spin-offs, mergers and rights issues move the price, and adjusted prices do not include them",
        reference="corporate actions of Alpaca, when a reply is curated",
    ),
    OperationalRule(
        "minutes_stamped_at_end",
        "warn",
        "vendor",
        meaning="Alpha Vantage stamps minutes with their end instead of their start",
        why="such minutes have to be shifted by one minute when they are stored",
        reference="intraday replies of Alpha Vantage, which stamped ends until 2023",
    ),
    OperationalRule(
        DELISTING_SUSPECTED,
        "warn",
        "symbol",
        meaning="a symbol is missing on the exchange's own list and is not recorded as delisted",
        why="a delisted security that is not recorded stays in daily updates and counts as stale",
        reference="two universe refreshes on different days without the symbol",
    ),
    OperationalRule(
        UNIVERSE_REFUSED,
        "error",
        "universe",
        meaning="the list of a universe cannot be read or fails the plausibility checks",
        why="the last good list stays in force, so that later joiners and leavers are missing",
        reference="`quantx refresh-universe`",
    ),
    OperationalRule(
        UNIVERSE_CONTRADICTIONS,
        "info",
        "universe",
        meaning="statements of a list about joining and leaving contradict each other",
        why="a statement that contradicts others is skipped, so that the membership history may miss a change",
        reference="`quantx refresh-universe`, for lists that include past changes",
    ),
    OperationalRule(
        "no_run_by_deadline",
        "error",
        "market",
        meaning="a session of a market with an enabled universe has no daily run by its deadline",
        why="a timer that died would stay unnoticed while the bars become stale",
        reference="the sweep; the setting `deadline_hours`",
    ),
    OperationalRule(
        INSPECTION_FAILED,
        "error",
        "inspection",
        meaning="an inspection after a run failed",
        why="the findings of an inspection that failed are out of date until it has been repeated",
        reference="the inspections after a run: series, minutes, dividends, vendors, gaps, coverage",
    ),
    OperationalRule(
        DAMAGED_OBJECT,
        "error",
        "object",
        meaning="an object of the lake is missing, or differs from what was stored",
        why="a flipped bit in a data file is a wrong price that looks like any other",
        reference="`quantx verify`, and the sweep, which verifies the whole lake in portions",
    ),
    OperationalRule(
        DOUBLED_KEYS,
        "error",
        "table",
        meaning="a table has several rows with the same key",
        why="a doubled bar counts twice in every sum, and an adjusted price takes an event twice",
        reference="`quantx verify`",
    ),
)
