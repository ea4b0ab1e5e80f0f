"""Coverage as facts: completeness, freshness, rejected rows, findings, adjustment proofs and vendor agreement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl

from quantx.core.completeness import Completeness, completeness, held_days, month_of, without_bars
from quantx.core.evidence import agreement_by_month, disagreements, proofs_by_source, proofs_by_symbol
from quantx.core.model import SEVERITIES
from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.quarantine_states import newest_of_each, with_states
from quantx.core.quality.vendor_verdicts import vendor_scores
from quantx.core.tables import BARS_1D, DECISIONS, FINDINGS, QUARANTINE, SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.errors import ConfigError
from quantx.lake.protocol import StoredTable, StoredTables
from quantx.lake.sessions import calendars_of
from quantx.pipeline.reporting.coverage_items import ITEM_COVERAGE, item_coverage
from quantx.pipeline.reporting.coverage_options import OPTION_COVERAGE, option_coverage
from quantx.pipeline.reporting.coverage_rates import RATE_COVERAGE, rate_coverage
from quantx.state.gaps.port import Gaps
from quantx.state.port import State
from quantx.state.values import Row

# Sessions of a current member are expected until the last settled one, unless its security was delisted before.
_IS_DELISTED = pl.col("last") < pl.col("settled")

_EXPLAINED = pl.DataFrame(schema={"symbol": pl.String, "explained": pl.Int64, "explanation": pl.String})

# The limits of the figures, shown on the page; more is in docs/explanation/limits.md.
LIMITS = (
    "Expected sessions are those of the exchange's calendar from a symbol's first bar (or its joining the universe) on:"
    " history that no vendor has is not counted as missing. Members without any bar are counted separately.",
    "The calendars include announced closures; a halt of one security counts as missing sessions.",
    "A series that simply ends is stale, and the sessions since then count as missing, until the delisting is recorded"
    " (`quantx instruments import` or `delist`); then nothing is due.",
    "The newest session counts as due half an hour after the close; vendors may publish it later.",
    "A session is present if at least one vendor's bar passed the rules; findings, proofs and vendor agreement show"
    " whether the price is right.",
    "Only events within the history of a series can be proven; a series without events has nothing to prove.",
    "Two vendors that agree may have the same wrong number from one supplier: agreement is evidence, not proof.",
    "Minutes are not counted here.",
    "A company has a concept of a year if an annual period ends in it with a value. Banks and insurers have no current"
    " assets, and few companies have minorities: less than 100 % is no gap by itself.",
)


@dataclass(frozen=True, kw_only=True)
class CoverageFacts:
    """The facts of the page and the JSON. Months are numbers as in 202410.

    None: not checked yet, or not known without the state.
    """

    lake: str
    made_at: datetime
    policy_version: int  # of the rules in force
    universe: str | None  # the only one that this is about
    months: pl.DataFrame  # universe (null: in none), market, month, expected, present, share
    # universe, market, symbol, expected, present, share, lacks_from, lacks_to, newest, rejected, explained (how many of
    # the missing sessions), explanation (the most frequent)
    symbols: pl.DataFrame
    # universe, market, updated, members, settled, newest, up_to_date, behind, delisted, without_bars
    freshness: pl.DataFrame
    behind: pl.DataFrame  # universe, symbol, newest, due: stale members
    delisted: pl.DataFrame  # universe, symbol, newest, delisted_on: members whose security is delisted
    rejected_rows: int  # each counted once
    rejects: pl.DataFrame  # rule, source, month (of the reply if all of it was rejected), rows, symbols
    findings: list[Row] | None  # open
    acknowledged: list[Row] | None
    proofs: pl.DataFrame | None  # source, series, proven, disagrees, nothing_to_prove
    proofs_by_symbol: pl.DataFrame | None  # source, symbol, events, agree, worst, verdict, first_disagreement
    disagreements: pl.DataFrame | None  # source, symbol, ex_date, ours, vendors, verdict
    agreement: pl.DataFrame | None  # source_a, source_b, market, month, sessions, agreed, share, worst
    scores: pl.DataFrame | None  # source, market, month, compared, agreed, wrong, score
    # dataset, source, item, year, companies (with a value), of (companies with any value of the year)
    items: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ITEM_COVERAGE))
    # source, series, first, newest, due, expected, present (days), items (tenors or currencies); not of a universe
    rates: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RATE_COVERAGE))
    # source, dataset, underlying, first, newest, expected, present (sessions), rows; not of a universe
    options: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OPTION_COVERAGE))
    limits: tuple[str, ...] = LIMITS

    def as_json(self) -> dict[str, Any]:
        """Return the facts with frames as lists of rows."""
        return {k: v.to_dicts() if isinstance(v, pl.DataFrame) else v for k, v in self.__dict__.items()}


def coverage_facts(
    tables: StoredTables,
    state: State | None,
    lake: str,
    now: datetime,
    universe: str | None = None,
    held: pl.DataFrame | None = None,
) -> CoverageFacts:
    """Return the facts of the lake at this address, or of one universe; ConfigError if it has no such universe.

    `held` are the days of the daily bars, where they are known already (see `held_days`); None: they are read.
    Without a state the findings are those that the lake has. Explanations of gaps, and which universes are updated, are
    not known then.
    """
    members = tables[UNIVERSE_MEMBERS.name].read()
    if universe is not None:
        members = _of_universe(members, universe)
    if held is None:
        bars = tables[BARS_1D.name]
        held = bars.collect(held_days(bars.scan()), in_pieces=True)
    complete = completeness(held, members, tables[SYMBOL_HISTORY.name].read(), now, calendars_of(tables, now))
    subjects: set[str] | None = None
    if universe is not None:
        complete = replace(complete, spans=complete.spans.filter(pl.col("universe") == universe))
        subjects = {universe, *members["symbol"]}
    quarantine = _about(tables[QUARANTINE.name].read(), subjects)
    quarantined = with_states(quarantine, tables[DECISIONS.name].read())
    rejected = newest_of_each(quarantined.filter(pl.col("state") == "open"))
    proofs, agreements = (_checked(tables[name].read(), subjects) for name in ("adjustment_proofs", "agreements"))
    by_symbol = None if proofs is None else proofs_by_symbol(proofs, _about(held, subjects))
    return CoverageFacts(
        lake=lake,
        made_at=now,
        policy_version=POLICY_VERSION,
        universe=universe,
        months=complete.by_month(),
        symbols=_symbols(complete, rejected, None if state is None else _explained(state.gaps, held)),
        freshness=_freshness(complete, None if state is None else {row["name"] for row in state.universes.freshness()}),
        behind=_behind(complete),
        delisted=_delisted(complete),
        rejected_rows=rejected.height,
        rejects=_rejects(rejected),
        findings=_findings(tables, state, "open", subjects, now),
        acknowledged=_findings(tables, state, "acknowledged", subjects, now),
        proofs=None if by_symbol is None else proofs_by_source(by_symbol),
        proofs_by_symbol=by_symbol,
        disagreements=None if proofs is None else disagreements(proofs),
        agreement=None if agreements is None else agreement_by_month(agreements),
        scores=None if agreements is None else vendor_scores(agreements),
        items=item_coverage(tables, subjects),
        rates=rate_coverage(tables, now) if universe is None else pl.DataFrame(schema=RATE_COVERAGE),
        options=option_coverage(tables) if universe is None else pl.DataFrame(schema=OPTION_COVERAGE),
    )


def _checked(rows: pl.DataFrame, subjects: Collection[str] | None) -> pl.DataFrame | None:
    """Return the rows of a table that a check fills; None if the check has not run yet."""
    return None if rows.is_empty() else _about(rows, subjects)


def _about(rows: pl.DataFrame, subjects: Collection[str] | None) -> pl.DataFrame:
    """Keep the rows of these symbols; None: of all."""
    return rows if subjects is None else rows.filter(pl.col("symbol").is_in(list(subjects)))


def _of_universe(members: pl.DataFrame, universe: str) -> pl.DataFrame:
    chosen = members.filter(pl.col("universe") == universe)
    if chosen.is_empty():
        names = ", ".join(members["universe"].unique().sort()) or "none; run `quantx refresh-universe`"
        raise ConfigError(f"the lake has no universe {universe!r}; it has {names}")
    return chosen


def _symbols(complete: Completeness, rejected: pl.DataFrame, explained: pl.DataFrame | None) -> pl.DataFrame:
    """Return each symbol of each universe, most missing sessions first; `explained` null: not known."""
    newest = complete.spans.group_by("universe", "symbol").agg(pl.col("newest").max())
    counted = rejected.filter(pl.col("dataset") == BARS_1D.name).group_by("symbol").agg(pl.len().alias("rejected"))
    missing = pl.col("expected") - pl.col("present")
    # A gap before the symbol joined the universe does not count there.
    counted_gaps = pl.min_horizontal(pl.col("explained").fill_null(0), missing)
    return (
        complete.by_symbol()
        .join(newest, on=["universe", "symbol"], how="left", nulls_equal=True)
        .join(counted, on="symbol", how="left")
        .join(_EXPLAINED if explained is None else explained, on="symbol", how="left")
        .with_columns(
            pl.col("rejected").fill_null(0),
            explained=pl.col("explained") if explained is None else counted_gaps,
        )
        .sort(missing, "symbol", descending=[True, False])
    )


def _explained(gaps: Gaps, held: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, explained (number of explained sessions without a bar) and explanation (the most frequent)."""
    rows = [
        (gap.series.symbol, gap.session, gap.explanation)
        for gap in gaps.known()
        if gap.status == "explained" and gap.series.timeframe == "1d"
    ]
    schema = {"symbol": pl.String, "date": pl.Date, "explanation": pl.String}
    sessions = without_bars(pl.DataFrame(rows, schema=schema, orient="row"), held)
    return sessions.group_by("symbol").agg(
        pl.col("date").n_unique().cast(pl.Int64).alias("explained"), pl.col("explanation").mode().sort().first()
    )


def _freshness(complete: Completeness, updated: Collection[str] | None) -> pl.DataFrame:
    """Return how many current members are up to date, by universe and market."""
    has_bars, is_fresh = pl.col("newest").is_not_null(), pl.col("newest") >= pl.col("last")
    counts = (
        complete.spans.filter(pl.col("member"))
        .group_by("universe", "market")
        .agg(
            pl.len().alias("members"),
            pl.col("settled").max(),
            pl.col("newest").max(),
            (is_fresh & ~_IS_DELISTED).sum().alias("up_to_date"),
            (is_fresh.not_() & ~_IS_DELISTED).sum().alias("behind"),
            (has_bars & _IS_DELISTED).sum().alias("delisted"),
            has_bars.not_().sum().alias("without_bars"),
        )
    )
    is_updated = pl.lit(None, pl.Boolean) if updated is None else pl.col("universe").is_in(list(updated))
    keys = ["universe", "market"]
    return counts.select(*keys, is_updated.alias("updated"), pl.exclude(keys)).sort(keys, nulls_last=True)


def _behind(complete: Completeness) -> pl.DataFrame:
    """Return the current members without the last due session, the stalest first."""
    late = complete.spans.filter(pl.col("member"), ~_IS_DELISTED, pl.col("newest") < pl.col("last"))
    return late.select("universe", "symbol", "newest", pl.col("last").alias("due")).sort("newest", "symbol")


def _delisted(complete: Completeness) -> pl.DataFrame:
    """Return the current members that are delisted and have bars, the latest first."""
    ended = complete.spans.filter(pl.col("member"), _IS_DELISTED, pl.col("newest").is_not_null())
    return ended.select("universe", "symbol", "newest", pl.col("last").alias("delisted_on")).sort(
        "delisted_on", "symbol", descending=[True, False]
    )


def _rejects(rejected: pl.DataFrame) -> pl.DataFrame:
    """Count the rejected rows by rule, vendor and month; a row that violates two rules counts for both."""
    day = pl.coalesce("date", pl.col("known_from").dt.date())
    by_rule = rejected.with_columns(pl.col("rules").str.split(",").alias("rule"), month_of(day).alias("month"))
    keys = ["rule", "source", "month"]
    counted = (
        by_rule.explode("rule").group_by(keys).agg(pl.len().alias("rows"), pl.col("symbol").n_unique().alias("symbols"))
    )
    return counted.sort(keys)


def _findings(
    tables: StoredTables, state: State | None, status: str, subjects: Collection[str] | None, now: datetime
) -> list[Row] | None:
    """Return the findings with this status by severity, with their age in days; None where the lake has none at all."""
    listed = _published(tables[FINDINGS.name], status) if state is None else state.findings.listed(None, status=status)
    if listed is None:
        return None
    rows = [row for row in listed if subjects is None or row["subject"] in subjects]
    return [row | {"age_days": (now.date() - row["first_seen"].date()).days} for row in rows]


def _published(table: StoredTable, status: str) -> list[Row] | None:
    """Return the published findings with this status, in the form of the state; None where there is no such table."""
    if table.version() is None:
        return None
    rows = table.read(pl.col("status") == status).rename({"by": "settled_by"})
    worst = rows.sort("first_seen", descending=True).to_dicts()
    return sorted(worst, key=lambda row: SEVERITIES.index(row["severity"]))
