"""The curated tables as declared data: columns, partitions, keys and the tolerance of equal values.

Prices and amounts are in `currency` (GBX is pence), as traded on their day; dates are sessions of the exchange;
instants are UTC. `known_from` is the ingestion time; a replaced row moves to `<table>_revisions` with `known_to`.
"""

from __future__ import annotations

import polars as pl

from quantx.core.fact_tables import FACT_TABLES, FILER_SYMBOLS
from quantx.core.features.predictions import PREDICTIONS
from quantx.core.features.tables import FEATURE_TABLES
from quantx.core.option_tables import OPTION_TABLES
from quantx.core.rate_tables import RATE_TABLES
from quantx.core.table import INSTANT, PRICE_TOLERANCE, STEP_TOLERANCE, Table

BARS_1D = Table(
    "bars_1d",
    {
        "source": pl.String,
        "year": pl.Int32,
        "symbol": pl.String,
        "date": pl.Date,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,
        "currency": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source", "year"),
    key=("source", "symbol", "date"),
    sort=("symbol", "date"),
    values=("open", "high", "low", "close", "volume", "currency"),
    relative_tolerance=dict.fromkeys(("open", "high", "low", "close", "volume"), PRICE_TOLERANCE),
)

# Prices that a vendor adjusts for dividends without listing them. They can't be converted to as-traded prices, and
# serve only to check returns. The vendor's basis, and therefore the rows, change with each dividend.
BARS_1D_ADJUSTED = Table(
    "bars_1d_adjusted",
    {**BARS_1D.schema, "volume": pl.Float64},
    partitions=BARS_1D.partitions,
    key=BARS_1D.key,
    sort=BARS_1D.sort,
    values=BARS_1D.values,
    relative_tolerance=BARS_1D.relative_tolerance,
)

BARS_1M = Table(
    "bars_1m",
    {
        "source": pl.String,
        "month": pl.Int32,
        "symbol": pl.String,
        "date": pl.Date,
        "time": INSTANT,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,
        "regular": pl.Boolean,
        "currency": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source", "month"),
    key=("source", "symbol", "time"),
    sort=("symbol", "time"),
    values=("open", "high", "low", "close", "volume", "currency"),
    relative_tolerance=dict.fromkeys(("open", "high", "low", "close", "volume"), PRICE_TOLERANCE),
    rows_per_file=1_000_000,  # a session of 2,500 symbols, or a month of 120: the most that a correction rewrites
)

ACTIONS = Table(
    "actions",
    {
        "source": pl.String,
        "symbol": pl.String,
        "ex_date": pl.Date,
        "kind": pl.String,  # split, dividend, capital_gain or foreign_dividend
        "value": pl.Float64,  # new shares per old one, or cash per share as of the ex-date
        "reference_close": pl.Float64,  # of cash: close before the ex-date, in its shares
        "currency": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("source", "symbol", "ex_date", "kind"),
    sort=("symbol", "ex_date", "kind"),
    values=("value", "reference_close", "currency"),
    relative_tolerance={"value": PRICE_TOLERANCE, "reference_close": PRICE_TOLERANCE},
)

# Checks of the vendor's actions against its adjusted closes: see core/quality/adjustments.py.
ADJUSTMENT_PROOFS = Table(
    "adjustment_proofs",
    {
        "source": pl.String,
        "symbol": pl.String,
        "ex_date": pl.Date,
        "ours": pl.Float64,
        "vendors": pl.Float64,
        "verdict": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("source", "symbol", "ex_date"),
    sort=("symbol", "ex_date"),
    values=("ours", "vendors", "verdict"),
    relative_tolerance={"ours": STEP_TOLERANCE, "vendors": STEP_TOLERANCE},
)

QUARANTINE = Table(
    "quarantine",
    {
        "source": pl.String,
        "dataset": pl.String,
        "symbol": pl.String,
        "date": pl.Date,  # null: the whole payload was rejected, or an event without a date
        "rules": pl.String,  # comma-separated ids of the broken rules
        "row": pl.String,  # the row as JSON, or the reason for rejecting the event or the payload
        "payload_sha256": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
        "policy": pl.Int32,
        "sent": pl.String,  # not in the key: a vendor's adjusted close changes with each dividend
        "passed": pl.Int32,
    },
    partitions=("source",),
    key=("source", "dataset", "symbol", "date", "rules", "row"),
    sort=("symbol", "date"),
    zone="",
)

# Manual decisions about rejected rows. A decision is about a row as quoted, whichever rules it breaks.
DECISIONS = Table(
    "decisions",
    {
        "source": pl.String,
        "dataset": pl.String,
        "symbol": pl.String,
        "date": pl.Date,
        "row": pl.String,
        "rules": pl.String,  # the rules that rejected it at that time
        "decision": pl.String,  # accept
        "reason": pl.String,
        "by": pl.String,
        "known_from": INSTANT,  # time of the decision
    },
    partitions=(),
    key=("source", "dataset", "symbol", "date", "row"),
    sort=("symbol", "date"),
)

UNIVERSE_MEMBERS = Table(
    "universe_members",
    {
        "universe": pl.String,
        "phase": pl.String,
        "symbol": pl.String,
        "market": pl.String,
        "name": pl.String,
        "member_from": pl.Date,  # null: since before the list began
        "member_to": pl.Date,  # last day of membership; null: still a member
        "known_from": INSTANT,
    },
    partitions=(),
    key=("universe", "symbol", "member_from"),
    sort=("universe", "symbol", "member_from"),
    values=("phase", "market", "name", "member_to"),
    null_is_unknown=False,  # no end: still a member
)

# Securities and their symbols: see core/symbol_history.py.
INSTRUMENTS = Table(
    "instruments",
    {
        "instrument": pl.String,
        "market": pl.String,
        "asset_class": pl.String,  # see core/asset_classes.py
        "name": pl.String,
        "status": pl.String,  # listed or delisted
        "listed_on": pl.Date,
        "delisted_on": pl.Date,
        "reason": pl.String,
        "evidence": pl.String,
        "sic": pl.String,  # of the filer that has the security
        "industry": pl.String,
        "sector": pl.String,
        "known_from": INSTANT,
    },
    partitions=(),
    key=("instrument",),
    sort=("instrument",),
    values=(
        *("market", "asset_class", "name", "status", "listed_on", "delisted_on"),
        *("reason", "evidence", "sic", "industry", "sector"),
    ),
    null_is_unknown=False,
)

SYMBOL_HISTORY = Table(
    "symbol_history",
    {
        "instrument": pl.String,
        "symbol": pl.String,
        "symbol_from": pl.Date,  # null: since before the record began
        "symbol_to": pl.Date,  # null: still
        "evidence": pl.String,
        "known_from": INSTANT,
    },
    partitions=(),
    key=("instrument", "symbol", "symbol_from"),
    sort=("symbol", "symbol_from", "instrument"),
    values=("symbol_to", "evidence"),
    null_is_unknown=False,
)

# Comparisons of vendors: see core/quality/vendor_verdicts.py.
AGREEMENTS = Table(
    "agreements",
    {
        "symbol": pl.String,
        "source_a": pl.String,
        "source_b": pl.String,
        "month": pl.Int32,
        "market": pl.String,
        "sessions": pl.Int32,
        "agreed": pl.Int32,
        "wrong_a": pl.Int32,
        "wrong_b": pl.Int32,
        "lacking_a": pl.Int32,
        "lacking_b": pl.Int32,
        "worst": pl.Float64,
        "verdict": pl.String,
        "decided_by": pl.String,
        "known_from": INSTANT,
    },
    partitions=("month",),
    key=("symbol", "source_a", "source_b", "month"),
    sort=("symbol", "source_a", "source_b"),
    values=("sessions", "agreed", "wrong_a", "wrong_b", "lacking_a", "lacking_b", "worst", "verdict", "decided_by"),
    relative_tolerance={"worst": PRICE_TOLERANCE},
    null_is_unknown=False,
)

VERDICTS = Table(
    "verdicts",
    {
        "symbol": pl.String,
        "date": pl.Date,
        "source": pl.String,
        "verdict": pl.String,  # wrong or doubtful
        "rule": pl.String,
        "against": pl.String,
        "decided_by": pl.String,
        "field": pl.String,
        "value": pl.Float64,
        "other_value": pl.Float64,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("symbol", "date", "source"),
    sort=("symbol", "date"),
    values=("verdict", "rule", "against", "decided_by", "field", "value", "other_value"),
    relative_tolerance={"value": PRICE_TOLERANCE, "other_value": PRICE_TOLERANCE},
    null_is_unknown=False,
)

# Comparisons of vendors' splits and dividends: see core/quality/action_verdicts.py.
ACTION_VERDICTS = Table(
    "action_verdicts",
    {
        "symbol": pl.String,
        "ex_date": pl.Date,
        "kind": pl.String,  # split or dividend
        "source": pl.String,
        "verdict": pl.String,  # wrong or doubtful
        "rule": pl.String,
        "against": pl.String,
        "decided_by": pl.String,
        "value": pl.Float64,
        "other_value": pl.Float64,
        "other_date": pl.Date,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("symbol", "ex_date", "kind", "source"),
    sort=("symbol", "ex_date", "kind"),
    values=("verdict", "rule", "against", "decided_by", "value", "other_value", "other_date"),
    relative_tolerance={"value": PRICE_TOLERANCE, "other_value": PRICE_TOLERANCE},
    null_is_unknown=False,
)

# Sessions of the exchanges, published for readers that have no calendars: see pipeline/inspecting/published.py.
SESSIONS = Table(
    "sessions",
    {
        "calendar": pl.String,
        "date": pl.Date,
        "open": INSTANT,
        "close": INSTANT,
        "known_from": INSTANT,
    },
    partitions=(),
    key=("calendar", "date"),
    sort=("calendar", "date"),
    values=("open", "close"),
)

# The open and acknowledged findings of the state, published for readers; a resolved one is in the revisions.
FINDINGS = Table(
    "findings",
    {
        "rule": pl.String,
        "severity": pl.String,
        "subject": pl.String,
        "source": pl.String,  # null: the finding is not about one vendor
        "dataset": pl.String,
        "first_day": pl.Date,
        "last_day": pl.Date,
        "status": pl.String,  # open or acknowledged
        "message": pl.String,
        "facts": pl.String,
        "first_seen": INSTANT,
        "by": pl.String,
        "reason": pl.String,
        "known_from": INSTANT,
    },
    partitions=(),
    key=("rule", "subject", "source", "dataset", "first_day"),
    sort=("subject", "rule", "first_day"),
    values=("severity", "last_day", "status", "message", "facts", "by", "reason"),
    null_is_unknown=False,
)

TABLES = {
    table.name: table
    for table in (
        BARS_1D,
        BARS_1D.revisions,
        BARS_1D_ADJUSTED,
        BARS_1D_ADJUSTED.revisions,
        BARS_1M,
        BARS_1M.revisions,
        ACTIONS,
        ACTIONS.revisions,
        ADJUSTMENT_PROOFS,
        ADJUSTMENT_PROOFS.revisions,
        QUARANTINE,
        DECISIONS,
        UNIVERSE_MEMBERS,
        UNIVERSE_MEMBERS.revisions,
        INSTRUMENTS,
        INSTRUMENTS.revisions,
        SYMBOL_HISTORY,
        SYMBOL_HISTORY.revisions,
        AGREEMENTS,
        AGREEMENTS.revisions,
        VERDICTS,
        VERDICTS.revisions,
        ACTION_VERDICTS,
        ACTION_VERDICTS.revisions,
        SESSIONS,
        SESSIONS.revisions,
        FINDINGS,
        FINDINGS.revisions,
        FILER_SYMBOLS,
        FILER_SYMBOLS.revisions,
        *FACT_TABLES,
        *(table.revisions for table in FACT_TABLES),
        *FEATURE_TABLES,
        *(table.revisions for table in FEATURE_TABLES),
        PREDICTIONS,
        PREDICTIONS.revisions,
        *RATE_TABLES,
        *(table.revisions for table in RATE_TABLES),
        *OPTION_TABLES,
        *(table.revisions for table in OPTION_TABLES),
    )
}
