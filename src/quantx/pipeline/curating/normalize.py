"""Normalize the replies of a round to rows of the curated tables: pure, given the replies and the adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.coverage import Coverage, all_of, coverage_of
from quantx.core.fact_datasets import DATASETS
from quantx.core.model import SETTLED_AFTER, Finding, Series
from quantx.core.ordering import is_sorted_by
from quantx.core.prices import PRICES, split_steps, to_as_traded, with_factor
from quantx.core.quality.daily_rules import mark_absurd, mark_last_of_session
from quantx.core.quality.repeated_rows import without_repeats
from quantx.core.quality.row_policy import RowPolicy, known_from
from quantx.core.quality.rule import Checked, split_by, with_classes
from quantx.core.symbols import MARKET_OF_CALENDAR, venue_of
from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M
from quantx.pipeline.curating.adjustment_proofs import ReplyProofs, prove_replies
from quantx.pipeline.curating.event_evidence import prove_events
from quantx.pipeline.curating.event_findings import EventFindings
from quantx.pipeline.curating.held_replies import HeldReply
from quantx.pipeline.curating.known_rows import KnownRows, NothingKnown
from quantx.pipeline.curating.normalize_minutes import normalize_minutes
from quantx.pipeline.curating.quarantine_rows import rejected_bars, rejected_replies
from quantx.pipeline.curating.rejected_events import findings_of_events, rejected_events
from quantx.pipeline.curating.repeated_rows import repeat_findings
from quantx.pipeline.curating.reply_frames import GoodReply, ReplyFrames, UnreadableReply, read_frames
from quantx.pipeline.curating.schema_drift import ComparedReply
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.protocol import Provider


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of replies of one source, dataset and timeframe, and the facts that the replies prove."""

    table: str  # the table for which the replies were fetched; its rows are counted
    tables: Mapping[str, pl.DataFrame]  # rows by table; they may have a column `volume_step` beside the table's
    quarantine: pl.DataFrame  # QUARANTINE
    coverage: Mapping[str, Coverage]  # by symbol
    sessions: Mapping[str, tuple[date, date]]  # first and last accepted session, by symbol
    malformed: Mapping[int, str]  # why the reply of a task can't be read, by task
    held: Mapping[int, HeldReply] = field(default_factory=dict)  # replies that are not curated, by task
    findings: Sequence[Finding] = ()
    events: EventFindings = field(default_factory=EventFindings)
    proofs: ReplyProofs = field(default_factory=ReplyProofs.nothing)  # by adjusted closes, of the vendor's actions
    compared: Sequence[ComparedReply] = ()  # the replies with their schema drift


ReaderOf = Callable[[str], Provider]  # the adapter that reads a source's stored replies
Normalize = Callable[[str, Sequence[ReadReply], Provider, RowPolicy, KnownRows], Rows]  # as `normalize_round`


def table_of(dataset: str, timeframe: str, provider: Provider) -> Table:
    """Return the table for which a vendor's replies are fetched."""
    if dataset in DATASETS:
        return DATASETS[dataset].table
    if dataset == "actions":
        return ACTIONS
    if timeframe == "1m":
        return BARS_1M
    return BARS_1D_ADJUSTED if provider.capabilities.price_basis == "fully_adjusted" else BARS_1D


def normalize_round(
    source: str,
    landed: Sequence[ReadReply],
    provider: Provider,
    policy: RowPolicy,
    known: KnownRows = NothingKnown(),  # noqa: B008 - it has no state
) -> Rows:
    """Return the rows of replies of one source, dataset and timeframe, at most one good reply per symbol.

    A reply whose splits contradict its prices, or the stored rows in `known`, is held back: it has no rows and no
    coverage. Bars of a session that had not settled at the time of the reply are not final, and dropped. A rejected row
    that a manual decision accepts is in both: in quarantine, and among the rows for the tables.
    """
    return normalize_frames(source, landed[0].stored.series, read_frames(landed, provider), provider, policy, known)


def normalize_frames(
    source: str, kind: Series, frames: ReplyFrames, provider: Provider, policy: RowPolicy, known: KnownRows
) -> Rows:
    """Do what `normalize_round` does with replies that are read already; `kind` is any of their series."""
    if kind.timeframe == "1m":
        return _minutes(source, frames, policy)
    basis, target = provider.capabilities.price_basis, table_of(kind.dataset, kind.timeframe, provider)
    table = BARS_1D_ADJUSTED if basis == "fully_adjusted" else BARS_1D
    read, facts = frames.good, frames.facts
    proven = prove_events(source, frames, basis, known)
    sent, actions = proven.bars, proven.actions
    replies = [reply for series, reply in enumerate(read) if series not in proven.held]
    unread = proven.of_good(frames.rejected)
    senseless = rejected_events(unread, facts, source, policy)
    proofs = prove_replies(sent, actions.filter("counts"), facts, source, split_in_close=basis == "split_adjusted")
    numbered = sent.with_row_index("nth")
    bars, actions = to_as_traded(numbered, actions) if basis == "split_adjusted" else _as_they_are(numbered, actions)
    bars, repeated = _of_window(_with_facts(bars, _rule_facts(facts)))
    checked = split_by(bars, policy.rules.daily)
    origins = facts.select("series", *_ORIGIN)
    refused = _with_facts(checked.rejected, origins)
    as_sent = sent[refused["nth"]].select(*PRICES, "volume", "vendor_adj_close")
    rejected = rejected_bars(refused, as_sent.with_columns(refused["currency"]), source, table, policy)
    accepted = policy.accepted_rows(checked, rejected, ("series", "date"))
    answers = _answered_sessions(checked)
    return Rows(
        table=target.name,
        tables={
            table.name: _with_corrections(_curated_bars(accepted, origins, source, table), proven.corrections),
            ACTIONS.name: _curated_actions(actions.join(facts, on="series", maintain_order="left"), source),
        },
        quarantine=pl.concat([rejected, senseless, rejected_payloads(frames.broken, target, policy)]),
        coverage={reply.item.symbol: _coverage(reply.item, answers) for reply in replies},
        sessions=_first_and_last(accepted),
        malformed=malformed_tasks(frames.broken),
        held={read[series].item.stored.task_id: held for series, held in proven.held.items()},
        findings=[*_findings(source, replies), *repeat_findings(repeated, source, table.name)],
        events=EventFindings(
            found=[*proven.findings, *findings_of_events(senseless)],
            spans=_event_spans(replies, facts, provider),
            all_days=provider.capabilities.lists_all_events,
        ),
        proofs=proofs,
        compared=frames.compared,
    )


def malformed_tasks(broken: Sequence[UnreadableReply]) -> dict[int, str]:
    """Return why replies can't be read, by task.

    A reply that was malformed when it was fetched is evidence: its task was fetched again.
    """
    return {each.item.stored.task_id: each.why for each in broken if each.item.stored.malformed is None}


def _answered_sessions(checked: Checked) -> dict[str, tuple[date, date]]:
    """Return each symbol's first and last session of which the vendor has sent prices, good or not."""
    empty = pl.col("rules").str.contains("prices_present")
    answered = pl.concat([checked.accepted, checked.rejected.filter(~empty)], how="diagonal")
    return _first_and_last(answered.filter("in_calendar", "in_past"))


def _findings(source: str, replies: Sequence[GoodReply]) -> list[Finding]:
    """Return the notes of the vendor's replies as findings, each once."""
    notes = dict.fromkeys(
        (reply.item.stored.series.dataset, note) for reply in replies for page in reply.pages for note in page.notes
    )
    return [
        Finding(
            note.rule,
            note.severity,
            note.subject,
            note.message,
            source=source,
            dataset=dataset,
            first_day=note.day,
            last_day=note.day,
        )
        for dataset, note in notes
    ]


def _minutes(source: str, frames: ReplyFrames, policy: RowPolicy) -> Rows:
    """Return the rows of minute bars, which every vendor delivers as traded."""
    read = normalize_minutes(source, frames.bars, frames.facts, policy)
    return Rows(
        table=BARS_1M.name,
        tables={BARS_1M.name: read.bars},
        quarantine=pl.concat([read.rejected, rejected_payloads(frames.broken, BARS_1M, policy)]),
        coverage={reply.item.symbol: _coverage(reply.item, read.answered) for reply in frames.good},
        sessions=read.sessions,
        malformed=malformed_tasks(frames.broken),
        findings=[*_findings(source, frames.good), *repeat_findings(read.repeated, source, BARS_1M.name)],
        compared=frames.compared,
    )


def _coverage(item: ReadReply, answers: Mapping[str, Sequence[date]]) -> Coverage:
    """Return the coverage of a reply. A reply about events covers its whole window, with or without events."""
    sessions = calendar(venue_of(item.symbol).calendar)
    if item.stored.series.dataset == "actions":
        return all_of(item.stored.window, item.as_of, sessions)
    return coverage_of(item.stored.window, item.as_of, answers.get(item.symbol, ()), sessions)


def _event_spans(replies: Sequence[GoodReply], facts: pl.DataFrame, provider: Provider) -> dict[str, tuple[date, date]]:
    """Return the days whose events the replies list, by symbol; none where the vendor lists events apart."""
    apart = "actions" in provider.capabilities.datasets
    today = dict(facts.select("symbol", "today").iter_rows())
    return {
        reply.item.symbol: (reply.item.stored.window.start, today[reply.item.symbol])
        for reply in replies
        if not apart or reply.item.stored.series.dataset == "actions"
    }


def _with_corrections(bars: pl.DataFrame, corrections: pl.DataFrame) -> pl.DataFrame:
    """Return the bars of replies with the corrected rows that no reply has."""
    if corrections.is_empty():
        return bars
    older = corrections.join(bars, on=["symbol", "date"], how="anti").with_columns(pl.lit(1.0).alias("volume_step"))
    return pl.concat([bars, older.select(bars.columns)])


def _first_and_last(bars: pl.DataFrame) -> dict[str, tuple[date, date]]:
    """Return each symbol's first and last date; no two series have one symbol."""
    spans = bars.group_by("series").agg(
        pl.col("symbol").first(), pl.col("date").min().alias("first"), pl.col("date").max().alias("last")
    )
    return {symbol: (first, last) for _, symbol, first, last in spans.iter_rows()}


def _as_they_are(bars: pl.DataFrame, actions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return bars and actions that the vendor sends as traded, with the columns that `to_as_traded` adds."""
    steps, is_dividend = split_steps(actions, key="series"), pl.col("kind") == "dividend"
    closes = with_factor(bars, steps, "ratio", key="series").with_columns(pl.col("close") / pl.col("ratio"))
    adjusted = with_factor(actions, steps, "ratio", on="ex_date", key="series").with_columns(
        pl.when(is_dividend).then(pl.col("value") / pl.col("ratio")).otherwise(pl.col("value")).alias("value")
    )
    _, priced = to_as_traded(closes.drop("ratio"), adjusted.drop("ratio"))
    return bars.with_columns(pl.lit(0.0).alias("volume_step")), actions.with_columns(priced["reference_close"])


# The facts of a reply that no rule needs: rows get them at the end, so that fewer columns are moved.
_ORIGIN = ("currency", "raw", "payload_sha256", "known_from")


def _rule_facts(facts: pl.DataFrame) -> pl.DataFrame:
    """Return the facts that the rules of daily bars need."""
    market = pl.col("calendar").replace_strict(MARKET_OF_CALENDAR, return_dtype=pl.String).alias("market")
    return with_classes(facts.drop(*_ORIGIN, "settled").with_columns(market))


def _with_facts(rows: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Add the facts of each row's reply; `facts` has a row for each number in `series`, in order."""
    return pl.concat([rows, facts.drop("series")[rows["series"]]], how="horizontal")


def _kept(rows: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    """Return the rows of a condition; the same frame where all fulfil it, as in most rounds."""
    mask = rows.select(where).to_series()
    return rows if mask.all() and not mask.null_count() else rows.filter(mask)


def _of_window(bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the settled bars of each task's window with the facts that the rules need, and the repeated rows."""
    bars = _kept(bars, pl.col("date").is_between(pl.col("window_start"), pl.col("window_end")))
    bars = _with_sessions(bars)
    settled = pl.col("close_time") + SETTLED_AFTER <= pl.col("as_of")
    bars = _kept(bars, settled.fill_null(True) | (pl.col("date") > pl.col("today")))
    repeated = bars.clear().select("symbol", "date", pl.lit(0, pl.UInt32).alias("copies"))
    if is_sorted_by(bars, ["series", "date"], distinct=True):  # as vendors send them
        bars = bars.with_columns(pl.lit(True).alias("last_of_session"))
    else:
        bars, twice = without_repeats(bars, ["series", "symbol", "date"])
        bars, repeated = mark_last_of_session(bars, ["series", "date"]), twice.drop("series")
    marked = mark_absurd(bars, "series").with_columns(
        pl.col("close_time").is_not_null().alias("in_calendar"),
        (pl.col("date") <= pl.col("today")).alias("in_past"),
    )
    return marked, repeated


def _with_sessions(bars: pl.DataFrame) -> pl.DataFrame:
    """Add the `close_time` of each bar's session, null where the exchange did not trade."""
    codes = bars["calendar"].unique().to_list()
    if len(codes) == 1:
        return bars.join(_sessions(codes[0]).drop("calendar"), on="date", how="left", maintain_order="left")
    sessions = pl.concat([pl.DataFrame(schema=_SESSIONS), *map(_sessions, codes)])
    return bars.join(sessions, on=["calendar", "date"], how="left", maintain_order="left")


_SESSIONS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "calendar": pl.String,
    "date": pl.Date,
    "close_time": INSTANT,
}


@lru_cache(maxsize=32)
def _sessions(code: str) -> pl.DataFrame:
    """Return the sessions of a calendar."""
    sessions = calendar(code)
    return pl.DataFrame({"calendar": code, "date": sessions.days, "close_time": sessions.closes}, schema=_SESSIONS)


def _curated_bars(accepted: pl.DataFrame, origins: pl.DataFrame, source: str, table: Table) -> pl.DataFrame:
    whole = table.schema["volume"] == pl.Int64
    volume = pl.col("volume").fill_nan(None).fill_null(0)  # classes without one may be sent without one
    rows = _with_facts(accepted, origins.drop("payload_sha256")).with_columns(
        pl.lit(source).alias("source"),
        pl.col("date").dt.year().alias("year"),
        volume.round().cast(pl.Int64) if whole else volume,
    )
    decided = rows["decided"].null_count() < rows.height
    return (rows.with_columns(known_from()) if decided else rows).select(*table.schema, "volume_step")


def _curated_actions(actions: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return the actions from the window's start to the last settled session; those of one kind and day are combined.

    A dividend in another currency than the prices' has a kind of its own: there is no exchange rate. A capital gain
    that the dividend beside it contains has no reference close, so that it moves no price.
    """
    asked = (pl.col("ex_date") >= pl.col("window_start")) | pl.col("missed")
    kept = actions.filter(asked, pl.col("ex_date") <= pl.col("settled"), "is_action")
    foreign = pl.col("paid_in").is_not_null()
    kept = kept.with_columns(
        pl.when(foreign).then(pl.lit("foreign_dividend")).otherwise("kind").alias("kind"),
        pl.when(~foreign, "counts").then("reference_close").alias("reference_close"),
        pl.coalesce("paid_in", "currency").alias("currency"),
    )
    is_split = pl.col("kind").first() == "split"
    return (
        kept.group_by("symbol", "ex_date", "kind", maintain_order=True)
        .agg(
            pl.when(is_split).then(pl.col("value").product()).otherwise(pl.col("value").sum()).alias("value"),
            pl.col("reference_close", "currency", "raw", "known_from").first(),
        )
        .with_columns(pl.lit(source).alias("source"))
        .select(list(ACTIONS.schema))
    )


def rejected_payloads(broken: Sequence[UnreadableReply], target: Table, policy: RowPolicy) -> pl.DataFrame:
    """Return the quarantine rows of replies that can't be read."""
    rows = [
        {
            "source": item.stored.series.source,
            "dataset": target.name,
            "symbol": item.symbol,
            "rules": "payload_readable",
            "row": why,
            "payload_sha256": page.sha256,
            "raw": item.raw,
            "known_from": page.fetched_at,
        }
        for item, why, page in broken
    ]
    return rejected_replies(rows, policy)
