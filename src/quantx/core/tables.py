"""The curated tables as declared data: columns, partitions, keys and the tolerance of equal values.

Prices and amounts are in `currency` (GBX is pence), as traded on their day; dates are sessions of the exchange;
instants are UTC. `known_from` is the ingestion time; a replaced row moves to `<table>_revisions` with `known_to`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

# Prices arrive as 32-bit floats (seven digits) and pass through a multiplication and a division. Below this relative
# difference two prices are equal.
PRICE_TOLERANCE = 1e-6
# The step of an adjusted close is a quotient of four such figures, and later dividends change all of them.
STEP_TOLERANCE = 1e-5


# The meaning of each column, in every table.
MEANINGS = {
    "source": "the vendor",
    "year": "year of the date; a partition, so that readers skip files",
    "month": "year and month of the date, as in 202410; a partition, so that readers skip files",
    "symbol": "canonical symbol, as in AAPL, BRK.B, 0700.HK, 7203.T",
    "date": "session of the exchange; in quarantine null for a whole payload, or an event without a date",
    "time": "start of the minute (UTC)",
    "regular": "whether the minute is in the regular session; false before and after it",
    "open": "first price of the session (of the minute), as traded, in `currency`",
    "high": "highest price, as traded",
    "low": "lowest price, as traded",
    "close": "last price, as traded",
    "volume": "shares, as traded",
    "currency": "unit of prices and amounts: ISO 4217, or GBX, ZAC, ILA for hundredths",
    "raw": "raw object (ULID) that holds the reply",
    "known_from": "ingestion time: when the system learned the value (UTC)",
    "known_to": "when another value replaced it (UTC); equal to `known_from`: withdrawn by `quantx reprocess`, so that"
    " no `as_of` shows it",
    "ex_date": "first session without the dividend, or in new shares",
    "kind": "split, dividend, capital_gain, or foreign_dividend (in another currency; not applied to prices)",
    "value": "split: new shares per old one (1: withdrawn); dividend, capital_gain: cash per share of the ex-date, in"
    " `currency` (0: withdrawn); of a verdict: the vendor's value of `field`, or its ratio or amount (null: its event"
    " is missing)",
    "reference_close": "dividend, capital_gain: close of the session before, in the shares of the ex-date; null: it"
    " moves no price, as a gain that the dividend beside it contains",
    "ours": "factor before / factor after the session from the vendor's splits and dividends, on the vendor's basis",
    "vendors": "the same from the vendor's adjusted close",
    "verdict": "of an action: agree, spin_off_as_cash (agrees, too), or the likely cause: missing_dividend,"
    " missing_split, wrong_factor, applied_twice, not_applied, unexplained; of two vendors: agree, a_wrong, b_wrong"
    " or both_doubtful; of a bar or an event: wrong or doubtful",
    "dataset": "the target table of the row",
    "rules": "comma-separated ids of the broken rules",
    "row": "the rejected row as JSON, as traded; or the reason for rejecting the event or the whole payload",
    "payload_sha256": "SHA-256 of the reply's body",
    "policy": "version of the rules that rejected the row; null: rejected before rules had versions",
    "sent": "the rejected row as the vendor sent it, as JSON: prices on its own basis, adjusted close, currency; of an"
    " event: its place in the reply, and the event",
    "passed": "version of the rules that accepted the row later; null: it is still rejected",
    "decision": "accept: a manual override, the row is curated although a rule rejects it",
    "by": "approver of the decision",
    "universe": "name of the universe",
    "phase": "phase of the universe",
    "market": "us, hk, jp or eu",
    "name": "the source's name for the security",
    "member_from": "first day of membership; null: since before the list began",
    "member_to": "last day of membership; null: still a member",
    "instrument": "permanent id of a security; it does not change with the symbol",
    "status": "listed or delisted",
    "listed_on": "first known day; null: since before the record began",
    "delisted_on": "last day of trading; null: still listed",
    "reason": "reason of the decision or of the delisting, from the source or a person",
    "evidence": "source of the fact: a file and its SHA-256, a list, a person",
    "symbol_from": "first day on which the security carried the symbol; null: since before the record began",
    "symbol_to": "last day on which it carried the symbol; null: still",
    "source_a": "one vendor of a pair, the first by name",
    "source_b": "the other vendor",
    "sessions": "compared sessions: both vendors have a bar, or one has trades and the other no bar",
    "agreed": "compared sessions on which the two agree in all fields, within the tolerance of the market",
    "wrong_a": "wrong bars of source_a, and its missing sessions",
    "wrong_b": "the same of source_b",
    "lacking_a": "the missing sessions in wrong_a: source_b has them",
    "lacking_b": "the same of source_b",
    "worst": "largest difference of the two closes, relative to the smaller one",
    "decided_by": "comma-separated deciding vendors, calendar, or series (the vendor's own neighbouring bars); of an"
    " event: vendors, adjusted closes (the vendor's own), or price (its step on the ex-date); null: no decision",
    "rule": "id of the rule that names the cause",
    "against": "the other vendor",
    "field": "the most important differing field; null: the bar as a whole",
    "other_value": "the other vendor's value; null: it does not have the event",
    "other_date": "the other vendor's ex-date, where it is another",
}


@dataclass(frozen=True)
class Table:
    """One curated Delta table."""

    name: str
    schema: Mapping[str, pl.DataType | type[pl.DataType]]  # in the order of the columns
    _: KW_ONLY
    partitions: tuple[str, ...]  # partition columns
    key: tuple[str, ...]  # columns that identify a current row
    sort: tuple[str, ...]  # order of the rows within a file
    values: tuple[str, ...] = ()  # a difference in one of these is a revision
    relative_tolerance: Mapping[str, float] = field(default_factory=dict)
    rows_per_file: int | None = None  # target; more rows of one partition become several files, split by symbol
    null_is_unknown: bool = True  # a null in an incoming row keeps the stored value; if false, null is a value

    @property
    def revisions(self) -> Table:
        """Return the table of the replaced rows of this table."""
        return Table(
            f"{self.name}_revisions",
            {**self.schema, "known_to": INSTANT},
            partitions=tuple(p for p in self.partitions if p not in ("year", "month")),
            key=(*self.key, "known_from"),
            sort=self.sort,
        )

    def empty(self) -> pl.DataFrame:
        """Return an empty frame with the columns of this table."""
        return pl.DataFrame(schema=dict(self.schema))


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
        "name": pl.String,
        "status": pl.String,  # listed or delisted
        "listed_on": pl.Date,
        "delisted_on": pl.Date,
        "reason": pl.String,
        "evidence": pl.String,
        "known_from": INSTANT,
    },
    partitions=(),
    key=("instrument",),
    sort=("instrument",),
    values=("market", "name", "status", "listed_on", "delisted_on", "reason", "evidence"),
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

# The sessions of the exchanges, for readers without the calendars' library.
SESSIONS = Table(
    "sessions",
    {"calendar": pl.String, "date": pl.Date, "open": INSTANT, "close": INSTANT},
    partitions=(),
    key=("calendar", "date"),
    sort=("calendar", "date"),
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
    )
}
