"""Prove the events of replies before they move a price: what is held back, what does not count, and the findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.asset_classes import WITHOUT_ACTIONS, class_of
from quantx.core.calendars import calendar
from quantx.core.model import Finding
from quantx.core.prices import CASH_KINDS
from quantx.core.quality.evidence_rules import DOUBT_RULES, rule_about
from quantx.core.quality.named_twice import AdjustedBar, CashEvent, CashView, Doubt, count_cash, count_splits
from quantx.core.quality.price_steps import BarClose
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.quality.split_basis import SAME_RATIO, DoubtfulDays, ShareSplit
from quantx.core.symbols import venue_of
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.pipeline.curating.held_replies import HeldReply, ends_early, held_by_basis
from quantx.pipeline.curating.known_rows import KnownRows
from quantx.pipeline.curating.reply_frames import GoodReply, ReplyFrames
from quantx.pipeline.curating.split_basis import prove_basis, with_flags
from quantx.providers.protocol import PriceBasis

# The bars around events that are compared where they are not in the reply.
_AROUND = timedelta(days=60)
# The value of an event without effect: it takes the place of a stored one that does not count any more.
_WITHOUT_EFFECT = {"split": 1.0, "dividend": 0.0, "capital_gain": 0.0}


@dataclass(frozen=True, kw_only=True)
class ProvenReplies:
    """The rows of the replies that are curated, and the others.

    `actions` is VENDOR_ACTIONS with `series`, the flags of ProvenBasis, and `counts`: false for a capital gain within a
    dividend, which moves no price.
    """

    bars: pl.DataFrame  # VENDOR_BARS with `series`
    actions: pl.DataFrame
    held: Mapping[int, HeldReply]  # by series
    findings: Sequence[Finding] = ()
    corrections: pl.DataFrame = field(default_factory=BARS_1D.empty)  # stored rows on another basis, as they should be

    def of_good(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of replies that are not held back."""
        return rows.filter(pl.col("series").is_in(list(self.held)).not_()) if self.held else rows


def prove_events(source: str, frames: ReplyFrames, basis: PriceBasis, known: KnownRows) -> ProvenReplies:
    """Compare the events of replies with their prices, their adjusted closes and the stored rows."""
    replies, facts, bars, actions = frames.good, frames.facts, frames.bars, frames.actions
    settled = dict(facts.select("series", "settled").iter_rows())
    held = _early_ends(source, replies, bars, settled) if basis == "split_adjusted" else {}
    corrections, unproven = BARS_1D.empty(), dict[int, list[Doubt]]()
    if basis == "split_adjusted":
        good = ProvenReplies(bars=bars, actions=actions, held=held)
        proven = prove_basis(good.of_good(bars), good.of_good(actions), facts, source, known)
        actions, corrections = proven.actions, proven.corrections
        for series, decision in proven.held.items():
            held[series] = held_by_basis(replies[series].item, source, decision, settled[series])
        for series, splits in proven.not_shown.items():
            unproven[series] = [_doubt_of(split, actions.filter(pl.col("series") == series)) for split in splits]
        for series, days in proven.unproven.items():
            unproven.setdefault(series, []).extend(Doubt("either", each.first, "split", each.ratio) for each in days)
            bars = _without_days(bars, series, days)
    else:
        actions = with_flags(actions)
    good = ProvenReplies(bars=bars, actions=actions, held=held)
    bars, actions = good.of_good(bars), good.of_good(actions)
    found = _doubts(bars, actions, facts, source, basis, known)
    doubts = {series: [*unproven.get(series, []), *found.get(series, [])] for series in {*unproven, *found}}
    symbols = dict(facts.select("series", "symbol").iter_rows())
    return ProvenReplies(
        bars=bars,
        actions=_taken_back(_counted(actions, found), doubts, _recorded(known, source, doubts, symbols)),
        held=held,
        findings=[_finding(source, symbols[s], doubt) for s, some in doubts.items() for doubt in some],
        corrections=corrections,
    )


def _early_ends(
    source: str, replies: Sequence[GoodReply], bars: pl.DataFrame, settled: Mapping[int, date | None]
) -> dict[int, HeldReply]:
    """Return the replies that end sessions before the vendor's last trade: later splits may be missing in them.

    Classes without splits are not held back: their markets trade around the clock, also before a day has a bar.
    """
    held = {}
    lasts = dict(bars.group_by("series").agg(pl.col("date").max()).iter_rows())
    for series, reply in enumerate(replies):
        trades = [page.last_trade for page in reply.pages if page.last_trade is not None]
        if not trades or series not in lasts or class_of(reply.item.symbol) in WITHOUT_ACTIONS:
            continue
        last_trade = max(trades).astimezone(ZoneInfo(venue_of(reply.item.symbol).timezone)).date()
        early = ends_early(reply.item, source, lasts[series], last_trade, settled[series])
        if early is not None:
            held[series] = early
    return held


def _without_days(bars: pl.DataFrame, series: int, doubtful: Sequence[DoubtfulDays]) -> pl.DataFrame:
    """Return the bars without those of a series that may be on either basis."""
    either = [pl.col("date").is_between(days.first, days.other, closed="left") for days in doubtful]
    return bars.filter(~((pl.col("series") == series) & pl.any_horizontal(either)))


def _doubt_of(split: ShareSplit, actions: pl.DataFrame) -> Doubt:
    """Return a listed split that is no action as a repetition of another one, or as not shown."""
    others = actions.filter(pl.col("kind") == "split", (pl.col("ex_date") - split.day).dt.total_days().abs() <= 9)
    again = any(abs(ratio / split.ratio - 1) <= SAME_RATIO for ratio in others["value"])
    return Doubt("repeated" if again or others.height else "not_shown", split.day, "split", split.ratio)


# ------------------------------------------------------------------------------------------------ events named twice


def _doubts(
    bars: pl.DataFrame, actions: pl.DataFrame, facts: pl.DataFrame, source: str, basis: PriceBasis, known: KnownRows
) -> dict[int, list[Doubt]]:
    """Return the doubts about cash events, and about splits where prices are as traded, by series."""
    paid_here = actions.filter(pl.col("paid_in").is_null())
    doubts: dict[int, list[Doubt]] = {}
    for series in _with_several(paid_here, splits=basis == "as_traded"):
        events = paid_here.filter(pl.col("series") == series)
        (fact,) = facts.filter(pl.col("series") == series).to_dicts()
        closes = _closes(bars.filter(pl.col("series") == series), events, fact, source, known)
        splits = [ShareSplit(d, v) for d, v in events.filter(pl.col("kind") == "split").select(_VALUE).iter_rows()]
        cash = [CashEvent(*row) for row in events.filter(pl.col("kind") != "split").select(_CASH).iter_rows()]
        paid = {day: sum(e.amount for e in cash if e.day == day) for day in {e.day for e in cash}}
        found: list[Doubt] = []
        ratios: dict[date, float] = {}
        if basis == "as_traded":
            trades = [BarClose(day, close, volume) for day, close, _, volume in closes]
            found += count_splits(splits, trades, calendar(fact["calendar"]), paid).doubts
            ratios = _ratios(splits, found)
        adjusted = [AdjustedBar(day, close, adjusted) for day, close, adjusted, _ in closes]
        found += count_cash(CashView(events=cash, bars=adjusted, ratios=ratios)).doubts
        if found:
            doubts[series] = found
    return doubts


_VALUE, _CASH = ("ex_date", "value"), ("ex_date", "kind", "value")


def _with_several(actions: pl.DataFrame, *, splits: bool) -> list[int]:
    """Return the series with two events of a kind, or a dividend and a gain, so near that they may be one."""
    cash = pl.when(pl.col("kind").is_in(CASH_KINDS)).then(pl.lit("cash")).otherwise("kind")
    near = (
        actions.select("series", "ex_date", cash.alias("kind"))
        .filter((pl.col("kind") != "split") | pl.lit(splits))
        .sort("series", "kind", "ex_date")
        .with_columns((pl.col("ex_date") - pl.col("ex_date").shift(1)).over("series", "kind").alias("apart"))
    )
    return near.filter(pl.col("apart") <= timedelta(days=9))["series"].unique().sort().to_list()


def _closes(
    bars: pl.DataFrame, events: pl.DataFrame, fact: Mapping[str, Any], source: str, known: KnownRows
) -> list[tuple[date, float, float | None, float | None]]:
    """Return date, close, adjusted close and volume of a reply's bars; of the stored ones where it has none."""
    if bars.is_empty():
        first, last = events["ex_date"].min(), events["ex_date"].max()
        span = pl.DataFrame({"symbol": [fact["symbol"]], "first": [first], "last": [last]})
        span = span.with_columns(pl.col("first") - _AROUND, pl.col("last") + _AROUND)
        stored = known.closes(source, span).filter(pl.col("known_from") <= fact["known_from"]).sort("date")
        return [(day, close, None, None) for day, close in stored.select("date", "close").iter_rows() if close > 0]
    usable = bars.filter(pl.col("close").is_finite() & (pl.col("close") > 0))
    usable = usable.unique("date", keep="last").sort("date")
    return list(usable.select("date", "close", "vendor_adj_close", "volume").iter_rows())


def _ratios(splits: Sequence[ShareSplit], doubts: Iterable[Doubt]) -> dict[date, float]:
    """Return the ratios that count, by day."""
    ratios: dict[date, float] = {}
    left = list(splits)
    for doubt in doubts:
        if doubt.outcome != "undecided" and ShareSplit(doubt.day, doubt.value) in left:
            left.remove(ShareSplit(doubt.day, doubt.value))
    for split in left:
        ratios[split.day] = ratios.get(split.day, 1.0) * split.ratio
    return ratios


# ------------------------------------------------------------------------------------------------- rows and findings


def _counted(actions: pl.DataFrame, doubts: Mapping[int, Sequence[Doubt]]) -> pl.DataFrame:
    """Return the actions without those that do not count, with the flag `counts`."""
    flagged = actions.with_columns(counts=pl.lit(True))
    if not doubts:
        return flagged
    rows = flagged.with_row_index("nth")
    dropped, uncounted = list[int](), list[int]()
    for series, some in doubts.items():
        for doubt in some:
            same = (pl.col("series") == series) & (pl.col("ex_date") == doubt.day) & (pl.col("kind") == doubt.kind)
            match = rows.filter(same, pl.col("value") == doubt.value, pl.col("nth").is_in(dropped).not_(), "is_action")
            if match.height and doubt.outcome in ("repeated", "not_shown"):
                dropped.append(match["nth"][0])
            if match.height and doubt.outcome == "contained":
                uncounted.append(match["nth"][0])
    rows = rows.with_columns(pl.col("nth").is_in(uncounted).not_().alias("counts"))
    return rows.filter(pl.col("nth").is_in(dropped).not_()).drop("nth")


def _recorded(
    known: KnownRows, source: str, doubts: Mapping[int, Sequence[Doubt]], symbols: Mapping[int, str]
) -> pl.DataFrame:
    """Return series, ex_date, kind and value of the stored actions of replies with doubts."""
    concerned = pl.DataFrame(
        [(series, symbols[series]) for series in doubts], schema={"series": pl.Int64, "symbol": pl.String}, orient="row"
    )
    stored = known.actions(source, concerned["symbol"].to_list()) if doubts else ACTIONS.empty()
    return stored.join(concerned, on="symbol").select("series", "ex_date", "kind", "value")


def _taken_back(rows: pl.DataFrame, doubts: Mapping[int, Sequence[Doubt]], recorded: pl.DataFrame) -> pl.DataFrame:
    """Return the actions, and events without effect in place of stored ones that do not count any more."""
    if not doubts:
        return rows
    gone = [
        (series, doubt.day, doubt.kind, _WITHOUT_EFFECT[doubt.kind])
        for series, some in doubts.items()
        for doubt in some
        if doubt.outcome in ("repeated", "not_shown")
    ]
    key = ["series", "ex_date", "kind"]
    schema = {name: rows.schema[name] for name in (*key, "value")}
    neutral = pl.DataFrame(gone, schema=schema, orient="row").unique(key)
    neutral = neutral.join(recorded, on=key, how="semi").join(rows.filter("is_action"), on=key, how="anti")
    neutral = neutral.with_columns(
        paid_in=pl.lit(None, pl.String), is_action=pl.lit(True), missed=pl.lit(False), counts=pl.lit(True)
    )
    return pl.concat([rows, neutral.select(rows.columns)])


def _finding(source: str, symbol: str, doubt: Doubt) -> Finding:
    """Return the fact, what was decided, and the next step."""
    value = f"{doubt.value:.6g}"
    what = f"a split of {value} for 1" if doubt.kind == "split" else f"a {doubt.kind.replace('_', ' ')} of {value}"
    listed = f"{source} lists {what} on {doubt.day}"
    message = {
        "repeated": f"{listed} beside another one, and the prices show one of them: this one is not applied; compare"
        " with another vendor",
        "not_shown": f"{listed}, and its prices do not show it: it is not applied; compare with another vendor",
        "undecided": f"{listed} beside another event of that day, and no price shows whether both are real: both are"
        " applied; compare with another vendor",
        "either": f"{listed} and again within days, and neither its prices nor the stored ones show which day is right:"
        " the sessions between the two are left out; compare with another vendor",
        "contained": f"{listed}, and the dividend of that day contains it: both are stored, and total-adjusted prices"
        " use the dividend alone",
    }
    rule = rule_about(DOUBT_RULES, "outcome", doubt.outcome)
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        symbol,
        message[doubt.outcome],
        source=source,
        dataset=ACTIONS.name,
        first_day=doubt.day,
        last_day=doubt.day,
        facts={"kind": doubt.kind, "value": doubt.value, "outcome": doubt.outcome},
    )
