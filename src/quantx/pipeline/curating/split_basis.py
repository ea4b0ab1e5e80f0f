"""Prove the splits of replies with split-adjusted prices, before their rows are curated.

Each reply is compared with its own steps and with the stored rows: see core/quality/split_basis.py. A reply whose basis
can't be proved is held back. Stored rows that a good reply shows to be wrong are corrected as a revision.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.ordering import last_of_each
from quantx.core.prices import PRICES
from quantx.core.quality.lacking_splits import ShownHistory, StoredBar, lacking_splits, ratio_after
from quantx.core.quality.price_steps import BarCloses, usual_move
from quantx.core.quality.split_basis import (
    BasisDecision,
    DoubtfulDays,
    ReplyView,
    ShareSplit,
    StoredClose,
    decide_basis,
)
from quantx.core.tables import BARS_1D
from quantx.pipeline.curating.known_rows import KnownRows
from quantx.providers.protocol import VENDOR_ACTIONS

# Below this log factor a stored close can't show another basis; above it the reply is compared session by session.
_SUSPICIOUS = 1e-3


@dataclass(frozen=True, kw_only=True)
class ProvenBasis:
    """The replies of one vendor whose basis is proved, and the others."""

    # VENDOR_ACTIONS with `series`; splits: those that the prices are divided by, and two flags. `is_action`: false for
    # a split that is not settled yet, or was none; `missed`: the table lacks it, whatever the window.
    actions: pl.DataFrame
    held: Mapping[int, BasisDecision]  # by series
    not_shown: Mapping[int, Sequence[ShareSplit]]  # listed splits that are no actions, by series
    unproven: Mapping[int, Sequence[DoubtfulDays]] = field(default_factory=dict)  # by series
    corrections: pl.DataFrame = field(default_factory=BARS_1D.empty)  # stored rows on another basis, as they should be


@dataclass(frozen=True)
class _Reply:
    """The facts of a reply that the proof needs."""

    series: int
    symbol: str
    calendar: str
    settled: date | None
    today: date
    raw: str
    known_from: datetime


def prove_basis(
    bars: pl.DataFrame, actions: pl.DataFrame, facts: pl.DataFrame, source: str, known: KnownRows
) -> ProvenBasis:
    """Decide for each reply by which splits its prices are divided.

    `bars` and `actions` are VENDOR_BARS and VENDOR_ACTIONS with the reply's number in `series`; `facts` is FACTS.
    """
    usable = bars.filter(pl.col("close").is_finite() & (pl.col("close") > 0)).select(
        "series", "date", "close", "volume"
    )
    usable = last_of_each(usable, ["series", "date"])
    spans = usable.group_by("series").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    spans = spans.join(facts.select("series", "symbol"), on="series")
    closes = known.closes(source, spans.select("symbol", "first", "last")) if spans.height else None
    stored = _compared(usable, facts, closes).filter(pl.col("stored") > 0)  # a future may have closed below zero
    off = stored.filter((pl.col("stored") / pl.col("close")).log().abs() > _SUSPICIOUS)["series"]
    splits = actions.filter(pl.col("kind") == "split")
    doubtful = sorted({*off, *splits["series"]})
    if not doubtful:
        return _nothing_to_prove(actions)
    replies = {row["series"]: _Reply(*(row[f] for f in _FACTS)) for row in facts.iter_rows(named=True)}
    symbols = sorted({replies[series].symbol for series in doubtful})
    recorded = known.actions(source, symbols).filter(pl.col("kind") == "split", pl.col("value") != 1.0)
    shown = usable.filter(pl.col("series").is_in(doubtful)).partition_by("series", as_dict=True)
    none = usable.clear()
    views = {
        series: _view(replies[series], shown.get((series,), none), actions, stored, recorded) for series in doubtful
    }
    decisions = {series: decide_basis(view) for series, view in views.items()}
    corrections, missed = [BARS_1D.empty()], set[tuple[int, ShareSplit]]()
    for series, decision in decisions.items():
        if decision.held is None:
            older = _older_rows(replies[series], views[series], decision, source, known)
            corrections.append(_corrections(older, replies[series], views[series], decision))
            missed |= {(series, split) for split in _missed(older, views[series], decision)}
    return _proven(actions, decisions, missed, pl.concat(corrections))


_FACTS = ("series", "symbol", "calendar", "settled", "today", "raw", "known_from")


def _nothing_to_prove(actions: pl.DataFrame) -> ProvenBasis:
    return ProvenBasis(actions=with_flags(actions), held={}, not_shown={})


def with_flags(actions: pl.DataFrame) -> pl.DataFrame:
    """Return actions that need no proof with the flags of proved ones."""
    return actions.with_columns(is_action=pl.lit(True), missed=pl.lit(False))


def _compared(usable: pl.DataFrame, facts: pl.DataFrame, closes: pl.DataFrame | None) -> pl.DataFrame:
    """Return the common sessions: series, date, close, stored, known_from, raw; none of the reply's own raw object."""
    if closes is None or closes.is_empty():
        empty = {"series": pl.Int64, "date": pl.Date, "close": pl.Float64, "stored": pl.Float64}
        return pl.DataFrame(schema={**empty, "known_from": BARS_1D.schema["known_from"], "raw": pl.String})
    named = usable.join(facts.select("series", "symbol", own="raw"), on="series")
    common = named.join(closes.rename({"close": "stored"}), on=["symbol", "date"], how="inner")
    return common.filter(pl.col("raw") != pl.col("own"), pl.col("stored") > 0).select(
        "series", "date", "close", "stored", "known_from", "raw"
    )


def _view(
    reply: _Reply, shown: pl.DataFrame, actions: pl.DataFrame, stored: pl.DataFrame, recorded: pl.DataFrame
) -> ReplyView:
    here = pl.col("series") == reply.series
    events = actions.filter(here)
    cash = events.filter(pl.col("kind") != "split", pl.col("paid_in").is_null())
    paid = cash.group_by("ex_date").agg(pl.col("value").sum())
    common = stored.filter(here).select("date", "stored", "known_from", "raw")
    shown = shown.filter(pl.col("date") <= reply.today)
    before = recorded.filter(pl.col("symbol") == reply.symbol).select("ex_date", "value")
    return ReplyView(
        bars=BarCloses(*(shown[name].to_physical().to_list() for name in ("date", "close", "volume"))),
        splits=_splits(events.filter(pl.col("kind") == "split").select("ex_date", "value")),
        settled=reply.settled,
        today=reply.today,
        calendar=calendar(reply.calendar),
        cash=dict(paid.iter_rows()),
        stored={day: StoredClose(*rest) for day, *rest in common.iter_rows()},
        recorded=_splits(before),
    )


def _splits(rows: pl.DataFrame) -> list[ShareSplit]:
    return [ShareSplit(day, ratio) for day, ratio in rows.sort(rows.columns).iter_rows()]


def _proven(
    actions: pl.DataFrame,
    decisions: Mapping[int, BasisDecision],
    missed: Collection[tuple[int, ShareSplit]],
    corrections: pl.DataFrame,
) -> ProvenBasis:
    """Return the actions with the splits of the decisions in place of the listed ones."""
    held = {series: decision for series, decision in decisions.items() if decision.held is not None}
    good = {series: decision for series, decision in decisions.items() if decision.held is None}
    splits = [
        (series, split.day, "split", split.ratio, None, split in decision.actions, (series, split) in missed)
        for series, decision in good.items()
        for split in sorted({*decision.applied, *decision.actions})
    ]
    others = with_flags(actions.filter((pl.col("kind") != "split") & pl.col("series").is_in(list(held)).not_()))
    order = ["series", *(name for name in VENDOR_ACTIONS if name != "symbol"), "is_action", "missed"]
    schema = {name: others.schema[name] for name in order}
    return ProvenBasis(
        actions=pl.concat([others.select(order), pl.DataFrame(splits, schema=schema, orient="row")]),
        held=held,
        not_shown={series: decision.not_shown for series, decision in good.items() if decision.not_shown},
        unproven={series: decision.unproven for series, decision in good.items() if decision.unproven},
        corrections=corrections,
    )


def _new_splits(view: ReplyView, decision: BasisDecision) -> set[ShareSplit]:
    recorded = {split.day for split in view.recorded}
    return {split for split in decision.actions if split.day not in recorded}


def _older_rows(reply: _Reply, view: ReplyView, decision: BasisDecision, source: str, known: KnownRows) -> pl.DataFrame:
    """Return the stored rows before the splits that they may lack; none where there is no such split."""
    concerned = {*decision.corrected, *_new_splits(view, decision)}
    if not concerned:
        return BARS_1D.empty()
    rows = known.bars_before(source, reply.symbol, max(split.day for split in concerned))
    return rows.filter(pl.col("raw") != reply.raw)


def _missed(older: pl.DataFrame, view: ReplyView, decision: BasisDecision) -> set[ShareSplit]:
    """Return the splits that the table lacks, and that bars of the reply or stored rows lie before."""
    first = min([*(bar.day for bar in view.bars[:1]), *older["date"].head(1)], default=view.today)
    return {split for split in _new_splits(view, decision) if first < split.day}


# ---------------------------------------------------------------------------------------- stored rows on another basis


def _corrections(rows: pl.DataFrame, reply: _Reply, view: ReplyView, decision: BasisDecision) -> pl.DataFrame:
    """Return the stored `rows` that lack a split of the reply, as they should be.

    They came from replies whose prices were divided by a split that was not listed yet. A row is known from the reply
    that corrects it; its raw object stays the one with its prices.
    """
    if rows.is_empty():
        return BARS_1D.empty()
    lacking = _lacking(rows, view, decision)
    factors = [ratio_after(day, lacking.get(raw, ())) for day, raw in rows.select("date", "raw").iter_rows()]
    factor = pl.col("__factor")
    return (
        rows.with_columns(pl.Series("__factor", factors, dtype=pl.Float64))
        .filter(factor != 1.0)
        .with_columns(
            *(pl.col(price) * factor for price in PRICES),
            (pl.col("volume") / factor).round().cast(pl.Int64).alias("volume"),
            pl.lit(reply.known_from, BARS_1D.schema["known_from"]).alias("known_from"),
        )
        .select(list(BARS_1D.schema))
    )


def _lacking(rows: pl.DataFrame, view: ReplyView, decision: BasisDecision) -> dict[str, tuple[ShareSplit, ...]]:
    """Return the splits that the stored `rows` of each raw object lack; those in doubt stay as they are."""
    unproven = {day for days in decision.unproven for day in view.calendar.sessions(days.first, days.other - _DAY)}
    closes = {bar.day: bar.close * ratio_after(bar.day, decision.applied) for bar in view.bars}
    shown = ShownHistory(
        closes={day: close for day, close in closes.items() if day not in unproven},
        splits=_real_splits(view, decision),
        calendar=view.calendar,
        sigma=usual_move(view.bars, {each.day for each in decision.applied}),
    )
    stored = [StoredBar(*row) for row in rows.select(_STORED).iter_rows() if row[0] not in unproven]
    concerned = {*decision.corrected, *_new_splits(view, decision)}
    latest = max(split.day for split in concerned)
    concerned |= {split for split in shown.splits if abs(latest - split.day) <= _TOGETHER}
    return dict.fromkeys(decision.wrong_raws, decision.corrected) | lacking_splits(stored, shown, concerned)


def _real_splits(view: ReplyView, decision: BasisDecision) -> set[ShareSplit]:
    """Return the splits of the reply, and the recorded ones that it does not name."""
    named = {*decision.applied, *decision.actions}
    days = {split.day for split in (*named, *decision.not_shown)}
    return named | {split for split in view.recorded if split.day not in days}


_STORED, _DAY = ("date", "close", "raw", "known_from"), timedelta(days=1)
_TOGETHER = timedelta(days=90)  # a reply that was divided by one split too early may lack those around it, too
