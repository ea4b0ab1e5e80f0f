"""Coverage as facts: what is there of what should be, what was rejected, noticed and proven."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from quantx.core.completeness import Completeness, completeness, held_days, month_of, without_bars
from quantx.core.evidence import agreement_by_month, disagreements, proofs_by_source, proofs_by_symbol
from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.quarantine_states import newest_of_each, with_states
from quantx.core.quality.vendor_verdicts import vendor_scores
from quantx.core.tables import BARS_1D, DECISIONS, QUARANTINE, SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.errors import ConfigError
from quantx.pipeline.runtime.platform import Platform
from quantx.state.values import Row

_MOST_FINDINGS = 100_000
# A current member is expected until its calendar's last settled session, unless its security has ended before.
_IS_DELISTED = pl.col("last") < pl.col("settled")

# What a reader of the page must know to judge its figures; more is in docs/explanation/limits.md.
LIMITS = (
    "Expected are the sessions of the exchange's calendar, from a symbol's first bar (or its joining the universe) on:"
    " history that no vendor has ever shown is not missed. A member without any bar is counted apart.",
    "The calendars know closures that were announced; a halt of one security counts as missing sessions.",
    "A series that just ends is behind, and its sessions since are missing: whether it is late, halted until now or"
    " delisted shows when the delisting is known (`quantx instruments import` or `delist`), and then nothing is due.",
    "The newest session counts as due half an hour after the close; vendors may publish it later.",
    "A session is there if at least one vendor's bar passed the rules; whether the price is right is what findings,"
    " proofs and agreement are about.",
    "Only events that fall into the history of a series can be proven; a series without any has nothing to prove.",
    "Two vendors that agree may have bought the same wrong number: agreement is evidence, not proof.",
    "Minutes are not counted here.",
)


@dataclass(frozen=True)
class CoverageFacts:
    """What the page and the JSON say. Months are numbers as in 202410; None: not checked yet."""

    lake: str
    made_at: datetime
    policy_version: int  # of the rules in force
    universe: str | None  # the only one that this is about
    months: pl.DataFrame  # universe (null: in none), market, month, expected, present, share
    # universe, market, symbol, expected, present, share, lacks_from, lacks_to, newest, rejected, explained (so many of the
    # missing sessions), explanation (the commonest)
    symbols: pl.DataFrame
    freshness: (
        pl.DataFrame
    )  # universe, market, updated, members, settled, newest, up_to_date, behind, delisted, without_bars
    behind: pl.DataFrame  # universe, symbol, newest, due: members that lack the last session that is due
    delisted: pl.DataFrame  # universe, symbol, newest, delisted_on: members whose security has ended
    rejected_rows: int  # each counted once
    rejects: pl.DataFrame  # rule, source, month (of the reply, where the whole of it was rejected), rows, symbols
    findings: list[Row]  # open
    acknowledged: list[Row]
    proofs: pl.DataFrame | None  # source, series, proven, disagrees, nothing_to_prove
    proofs_by_symbol: pl.DataFrame | None  # source, symbol, events, agree, worst, verdict, first_disagreement
    disagreements: pl.DataFrame | None  # source, symbol, ex_date, ours, vendors, verdict
    agreement: pl.DataFrame | None  # source_a, source_b, market, month, sessions, agreed, share, worst
    scores: pl.DataFrame | None  # source, market, month, compared, agreed, wrong, score
    limits: tuple[str, ...] = LIMITS

    def as_json(self) -> dict[str, Any]:
        """Return the facts as JSON has them: a frame as a list of rows."""
        return {k: v.to_dicts() if isinstance(v, pl.DataFrame) else v for k, v in self.__dict__.items()}


def coverage_facts(platform: Platform, universe: str | None = None) -> CoverageFacts:
    """Look at the lake and the state; ConfigError where the lake has no such universe."""
    now, members = platform.clock.now(), _read(platform, UNIVERSE_MEMBERS.name)
    if universe is not None:
        members = _of_universe(members, universe)
    bars = platform.tables[BARS_1D.name]
    held = bars.collect(held_days(bars.scan()), in_pieces=True)
    found = completeness(held, members, _read(platform, SYMBOL_HISTORY.name), now)
    subjects: set[str] | None = None
    if universe is not None:
        found = replace(found, spans=found.spans.filter(pl.col("universe") == universe))
        subjects = {universe, *members["symbol"]}
    quarantined = with_states(_about(_read(platform, QUARANTINE.name), subjects), _read(platform, DECISIONS.name))
    rejected = newest_of_each(quarantined.filter(pl.col("state") == "open"))
    proofs, agreements = (_checked(platform, name, subjects) for name in ("adjustment_proofs", "agreements"))
    by_symbol = None if proofs is None else proofs_by_symbol(proofs, _about(held, subjects))
    return CoverageFacts(
        lake=platform.location.url,
        made_at=now,
        policy_version=POLICY_VERSION,
        universe=universe,
        months=found.by_month(),
        symbols=_symbols(found, rejected, _explained(platform, held)),
        freshness=_freshness(found, {row["name"] for row in platform.state.universes.freshness()}),
        behind=_behind(found),
        delisted=_delisted(found),
        rejected_rows=rejected.height,
        rejects=_rejects(rejected),
        findings=_findings(platform, "open", subjects),
        acknowledged=_findings(platform, "acknowledged", subjects),
        proofs=None if by_symbol is None else proofs_by_source(by_symbol),
        proofs_by_symbol=by_symbol,
        disagreements=None if proofs is None else disagreements(proofs),
        agreement=None if agreements is None else agreement_by_month(agreements),
        scores=None if agreements is None else vendor_scores(agreements),
    )


def _read(platform: Platform, name: str) -> pl.DataFrame:
    return platform.tables[name].read()


def _checked(platform: Platform, name: str, subjects: Collection[str] | None) -> pl.DataFrame | None:
    """Return the rows of a table that a check fills; None where it has not run yet."""
    rows = platform.tables[name].read()
    return None if rows.is_empty() else _about(rows, subjects)


def _about(rows: pl.DataFrame, subjects: Collection[str] | None) -> pl.DataFrame:
    """Keep the rows about these symbols; None: about all."""
    return rows if subjects is None else rows.filter(pl.col("symbol").is_in(list(subjects)))


def _of_universe(members: pl.DataFrame, universe: str) -> pl.DataFrame:
    chosen = members.filter(pl.col("universe") == universe)
    if chosen.is_empty():
        known = ", ".join(members["universe"].unique().sort()) or "none; run `quantx refresh-universe`"
        raise ConfigError(f"the lake has no universe {universe!r}; it has {known}")
    return chosen


def _symbols(found: Completeness, rejected: pl.DataFrame, explained: pl.DataFrame) -> pl.DataFrame:
    """Return each symbol of each universe, those that lack most sessions first."""
    newest = found.spans.group_by("universe", "symbol").agg(pl.col("newest").max())
    counted = rejected.filter(pl.col("dataset") == BARS_1D.name).group_by("symbol").agg(pl.len().alias("rejected"))
    lacking = pl.col("expected") - pl.col("present")
    return (
        found.by_symbol()
        .join(newest, on=["universe", "symbol"], how="left", nulls_equal=True)
        .join(counted, on="symbol", how="left")
        .join(explained, on="symbol", how="left")
        .with_columns(
            pl.col("rejected").fill_null(0),
            # One before the joining of a universe is not expected there.
            pl.min_horizontal(pl.col("explained").fill_null(0), lacking).alias("explained"),
        )
        .sort(lacking, "symbol", descending=[True, False])
    )


def _explained(platform: Platform, held: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, explained (sessions without a bar of which healing has said why) and explanation (the commonest)."""
    gaps = [
        (gap.series.symbol, gap.session, gap.explanation)
        for gap in platform.state.gaps.known()
        if gap.status == "explained" and gap.series.timeframe == "1d"
    ]
    schema = {"symbol": pl.String, "date": pl.Date, "explanation": pl.String}
    sessions = without_bars(pl.DataFrame(gaps, schema=schema, orient="row"), held)
    return sessions.group_by("symbol").agg(
        pl.col("date").n_unique().cast(pl.Int64).alias("explained"), pl.col("explanation").mode().sort().first()
    )


def _freshness(found: Completeness, updated: Collection[str]) -> pl.DataFrame:
    """Return how many current members have the last session that is due, by universe and market."""
    has_bars, is_fresh = pl.col("newest").is_not_null(), pl.col("newest") >= pl.col("last")
    counts = (
        found.spans.filter(pl.col("member"))
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
    is_updated = pl.col("universe").is_in(list(updated)).alias("updated")
    keys = ["universe", "market"]
    return counts.select(*keys, is_updated, pl.exclude(keys)).sort(keys, nulls_last=True)


def _behind(found: Completeness) -> pl.DataFrame:
    """Return the current members that lack the last session that is due, the latest ones last."""
    late = found.spans.filter(pl.col("member"), ~_IS_DELISTED, pl.col("newest") < pl.col("last"))
    return late.select("universe", "symbol", "newest", pl.col("last").alias("due")).sort("newest", "symbol")


def _delisted(found: Completeness) -> pl.DataFrame:
    """Return the current members that are known to be delisted and have bars, the newest first."""
    ended = found.spans.filter(pl.col("member"), _IS_DELISTED, pl.col("newest").is_not_null())
    return ended.select("universe", "symbol", "newest", pl.col("last").alias("delisted_on")).sort(
        "delisted_on", "symbol", descending=[True, False]
    )


def _rejects(rejected: pl.DataFrame) -> pl.DataFrame:
    """Count the rejected rows by rule, vendor and month; a row that breaks two rules counts for both."""
    day = pl.coalesce("date", pl.col("known_from").dt.date())
    by_rule = rejected.with_columns(pl.col("rules").str.split(",").alias("rule"), month_of(day).alias("month"))
    keys = ["rule", "source", "month"]
    counted = (
        by_rule.explode("rule").group_by(keys).agg(pl.len().alias("rows"), pl.col("symbol").n_unique().alias("symbols"))
    )
    return counted.sort(keys)


def _findings(platform: Platform, status: str, subjects: Collection[str] | None) -> list[Row]:
    """Return the findings in this state, the worst first, with their age in days."""
    today = platform.clock.now().date()
    rows = platform.state.findings.listed(_MOST_FINDINGS, status=status)
    about = [row for row in rows if subjects is None or row["subject"] in subjects]
    return [row | {"age_days": (today - row["first_seen"].date()).days} for row in about]
