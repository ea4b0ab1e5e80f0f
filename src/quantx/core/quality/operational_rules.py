"""Operational rules: the system's own work, and lists and replies as wholes.

No row expression can check them. The code that detects a violation records the finding; the entry here has its
meaning and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from quantx.core.model import Severity

EVENTS_MISSING = "events_missing"
INSPECTION_FAILED = "inspection_failed"
DELISTING_SUSPECTED = "delisting_suspected"
UNIVERSE_REFUSED = "universe_refused"
UNIVERSE_CONTRADICTIONS = "universe_contradictions"
DAMAGED_OBJECT = "damaged_object"
DOUBLED_KEYS = "doubled_keys"
PREDECESSOR_UNKNOWN = "predecessor_unknown"
FEATURES_FAILED = "features_failed"
PREDICTIONS_FAILED = "predictions_failed"


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


_COMPARED = "a reply that is curated, compared with the shapes that its provider declares"

# Schema drift, by the kind of change.
DRIFT_RULES: Mapping[Literal["added", "missing", "retyped"], OperationalRule] = {
    "added": OperationalRule(
        "field_added",
        "info",
        "field",
        meaning="a vendor's reply has a field that its provider does not declare",
        why="a new field may change the meaning of the others, or be the data that is missing; it is kept in the raw"
        " zone and not read",
        reference=_COMPARED,
    ),
    "missing": OperationalRule(
        "field_missing",
        "warn",
        "field",
        meaning="a vendor's reply lacks a field that all its replies had",
        why="a check that uses the field is silent from then on; a reply without a field that the bars need is"
        " rejected",
        reference=_COMPARED,
    ),
    "retyped": OperationalRule(
        "field_retyped",
        "warn",
        "field",
        meaning="a field of a vendor's reply has another type than declared, as a text in place of a number",
        why="a number in another form may be read as another value; where it is needed, the reply is rejected",
        reference=_COMPARED,
    ),
}

OPERATIONAL_RULES = (
    *DRIFT_RULES.values(),
    OperationalRule(
        FEATURES_FAILED,
        "error",
        "feature set",
        meaning="a feature set that follows the data by itself could not be built",
        why="stored features end before the newest bars; queries compute the newer rows, which takes longer",
        reference="the build after a run",
    ),
    OperationalRule(
        PREDICTIONS_FAILED,
        "error",
        "study",
        meaning="a study that follows the data by itself could not predict the new sessions",
        why="predictions end before the newest bars, and who trades on them has none for the next session",
        reference="the prediction after a run",
    ),
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
        "bars_of_delisted",
        "warn",
        "symbol",
        meaning="a vendor sends bars of a symbol that it lists on its exchange of delisted names",
        why="bars of a delisted symbol are repeated prices, or those of another security with the same symbol",
        reference="Yahoo: exchangeName YHD, when a chart is curated",
    ),
    OperationalRule(
        "bars_after_last_trade",
        "warn",
        "symbol",
        meaning="the last bar of a reply is more than a week younger than the last trade that the reply names",
        why="a bar without a trade is a repeated price or belongs to another security",
        reference="Yahoo 0P0000XTS7, recorded in 2024: bars of September, last trade in July",
    ),
    OperationalRule(
        "file_lines_left_out",
        "warn",
        "symbol",
        meaning="an imported file has lines that are no rows: pages and messages that a job wrote between them",
        why="where a job stored an error page, it may also lack the rows of that day",
        reference="a job that appended Yahoo's replies unchecked, 2022 to 2024: 401 JSON and 502 HTML between rows",
    ),
    OperationalRule(
        "import_refused",
        "warn",
        "file",
        meaning="a file in the inbox can't be imported as it is",
        why="its rows are in no table until its form is declared or the file is replaced",
        reference="the import of the lake's inbox; the file stays there",
    ),
    OperationalRule(
        "currency_not_named",
        "warn",
        "exchange",
        meaning="a vendor names no currency for its prices on an exchange where shares trade in several",
        why="a price without a currency is no amount of money: London's may be pence or pounds, Hong Kong's HKD or CNY",
        reference="FMP and Stooq, whose replies have no field for it: prices of Hong Kong and Europe",
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
        "fundamentals_not_planned",
        "warn",
        "vendor",
        meaning="a daily update could not plan the filings of the SEC's filers",
        why="filings since the last update are missing until a later update plans them",
        reference="planning of a daily run, with the setting `fundamentals`",
    ),
    OperationalRule(
        PREDECESSOR_UNKNOWN,
        "info",
        "symbol",
        meaning="the filer of a symbol is the successor of another one, which is not recorded",
        why="facts from before the reorganisation are those of the predecessor, and queries of the symbol lack them",
        reference="forms 8-K12B, 8-K12G3 and 8-K15D5 in the filings of a filer, after an update of fundamentals",
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
