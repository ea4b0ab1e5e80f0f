"""The curated tables as declared data: columns, partitions, keys and what counts as the same value.

Prices and amounts are in `currency` (GBX is pence), as traded on their day; dates are sessions of the exchange;
instants are UTC. `known_from` is when the vendor told us; a replaced row moves to `<table>_revisions` with `known_to`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

# Prices arrive as 32-bit floats (seven digits) and pass through a multiplication and a division: below this relative
# difference two of them are one value.
PRICE_TOLERANCE = 1e-6
# The step of an adjusted close is a quotient of four such figures, and the later dividends move all of them.
STEP_TOLERANCE = 1e-5


# What each column means, wherever it stands.
MEANINGS = {
    "source": "the vendor",
    "year": "year of the date; a folder, so that readers skip files",
    "month": "year and month of the date, as in 202410; a folder, so that readers skip files",
    "symbol": "canonical symbol, as in AAPL, BRK.B, 0700.HK, 7203.T",
    "date": "session of the exchange; in quarantine null where a whole payload was rejected",
    "time": "start of the minute (UTC)",
    "regular": "whether the minute lies in the regular session; false before it and after it",
    "open": "first price of the session (of the minute), as traded, in `currency`",
    "high": "highest price, as traded",
    "low": "lowest price, as traded",
    "close": "last price, as traded",
    "volume": "shares, as traded",
    "currency": "unit of prices and amounts: ISO 4217, or GBX, ZAC, ILA for hundredths",
    "raw": "raw object (ULID) in which the reply lies",
    "known_from": "when the vendor told us (UTC)",
    "known_to": "when another value took its place (UTC); equal to `known_from`: taken back by `quantx reprocess`, so that no"
    " moment sees it",
    "ex_date": "first session without the dividend, or in new shares",
    "kind": "split, dividend, or foreign_dividend: one in another currency, which is recorded and not applied to prices",
    "value": "split: new shares per old one; dividend: cash per share of the ex-date, in `currency`; of a verdict: what"
    " the vendor says in `field`",
    "reference_close": "dividend: close of the session before, in the shares of the ex-date",
    "ours": "factor before / factor after the session by the vendor's splits and dividends, on the vendor's basis",
    "vendors": "the same by the vendor's adjusted close",
    "verdict": "of an action: agree, spin_off_as_cash (agree, too), or the likely cause: missing_dividend, missing_split,"
    " wrong_factor, applied_twice, not_applied, unexplained; of two vendors: agree, a_wrong, b_wrong or both_doubtful;"
    " of a bar: wrong or doubtful",
    "dataset": "the table for which the row was meant",
    "rules": "ids of the broken rules, with commas between",
    "row": "the rejected row as JSON, as traded; or why the payload was rejected",
    "payload_sha256": "SHA-256 of the reply's body",
    "policy": "version of the rules that rejected the row; null: before versions were kept",
    "sent": "the rejected row as the vendor sent it, as JSON: its prices on its own basis, its adjusted close, the currency",
    "passed": "version of the rules under which the row was judged again and passed; null: it is rejected still",
    "decision": "accept: the row is curated although a rule rejects it",
    "by": "who has decided",
    "universe": "name of the universe",
    "phase": "phase to which the universe belongs",
    "market": "us, hk, jp or eu",
    "name": "the source's name for the security",
    "member_from": "first day of membership; null: since before the list began",
    "member_to": "last day of membership; null: still a member",
    "instrument": "permanent id of a security; it stays when the symbol changes",
    "status": "listed or delisted",
    "listed_on": "first day that is known; null: since before the record began",
    "delisted_on": "last day of trading; null: still listed",
    "reason": "why it ended, as the source or a person said",
    "evidence": "where that was learnt: a file and its SHA-256, a list, a person",
    "symbol_from": "first day on which the security carried the symbol; null: since before the record began",
    "symbol_to": "last day on which it did; null: still",
    "source_a": "one vendor of a pair, the first by name",
    "source_b": "the other vendor",
    "sessions": "sessions compared: those on which both have a bar, or one has trades and the other lacks a bar",
    "agreed": "of these, on how many the two agree in all fields, within the tolerance of the market",
    "wrong_a": "bars of source_a that were judged wrong, and sessions that it lacks",
    "wrong_b": "the same of source_b",
    "lacking_a": "of wrong_a, the sessions that it lacks and source_b has",
    "lacking_b": "the same of source_b",
    "worst": "largest difference of the two closes, relative to the smaller one",
    "decided_by": "who decided: other vendors with commas between, calendar, or series (a vendor's own bars around); null: nobody",
    "rule": "id of the rule that says what is the matter",
    "against": "the other vendor",
    "field": "the most important field in which the two differ; null where it is about the bar as a whole",
    "other_value": "what the other vendor says",
}


@dataclass(frozen=True)
class Table:
    """One curated Delta table."""

    name: str
    schema: Mapping[str, pl.DataType | type[pl.DataType]]  # in the order of the columns
    partitions: tuple[str, ...]  # columns that become folders
    key: tuple[str, ...]  # one current row each
    sort: tuple[str, ...]  # order of the rows within a file
    values: tuple[str, ...] = ()  # a difference in one of these is a revision
    relative_tolerance: Mapping[str, float] = field(default_factory=dict)
    rows_per_file: int | None = None  # about; more rows of one partition become several files, apart by symbol
    null_is_unknown: bool = True  # a null in an incoming row says nothing; where false, it is a value like others

    @property
    def revisions(self) -> Table:
        """Return the table that keeps the replaced rows of this one."""
        return Table(
            f"{self.name}_revisions",
            {**self.schema, "known_to": INSTANT},
            tuple(p for p in self.partitions if p not in ("year", "month")),
            (*self.key, "known_from"),
            self.sort,
        )

    def empty(self) -> pl.DataFrame:
        """Return a frame of this table without rows."""
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

# What a vendor sells as adjusted for all dividends, and does not say for which: it can't be turned back to as-traded
# prices, and serves for checks of returns only. The vendor's basis moves with each dividend, and the rows with it.
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
    rows_per_file=1_000_000,  # a session of 2,500 symbols, or a month of 120: what a correction reads and writes at most
)

ACTIONS = Table(
    "actions",
    {
        "source": pl.String,
        "symbol": pl.String,
        "ex_date": pl.Date,
        "kind": pl.String,  # split, dividend or foreign_dividend
        "value": pl.Float64,  # new shares per old one, or cash per share as of the ex-date
        "reference_close": pl.Float64,  # dividend: close before the ex-date, in the shares of the ex-date
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

# What the vendor's adjusted closes prove of its actions: see core/quality/adjustments.py.
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
        "date": pl.Date,  # null where the whole payload was rejected
        "rules": pl.String,  # comma-separated ids of the rules that the row broke
        "row": pl.String,  # the row as JSON, or why the payload was rejected
        "payload_sha256": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
        "policy": pl.Int32,
        "sent": pl.String,  # no part of the key: a vendor's adjusted close moves with each dividend
        "passed": pl.Int32,
    },
    partitions=("source",),
    key=("source", "dataset", "symbol", "date", "rules", "row"),
    sort=("symbol", "date"),
)

# What people have decided about rejected rows. A decision is about a row as it is quoted, whichever rules it breaks.
DECISIONS = Table(
    "decisions",
    {
        "source": pl.String,
        "dataset": pl.String,
        "symbol": pl.String,
        "date": pl.Date,
        "row": pl.String,
        "rules": pl.String,  # those that had rejected it then
        "decision": pl.String,  # accept
        "reason": pl.String,
        "by": pl.String,
        "known_from": INSTANT,  # when it was decided
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

# Securities, and the symbols that they carried: see core/identity.py.
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

# What vendors say of one another: see core/quality/verdicts.py.
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
    )
}
