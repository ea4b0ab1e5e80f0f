"""From the payloads of a round to rows fit for the curated tables: pure, given the payloads and the providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.coverage import Coverage, all_of, coverage_of
from quantx.core.model import SETTLED_AFTER, Finding, Payload, Window
from quantx.core.prices import PRICES, split_steps, to_as_traded, with_factor
from quantx.core.quality.daily_rules import mark_last_of_session
from quantx.core.quality.row_policy import Judge, known_from
from quantx.core.quality.rule import split_by
from quantx.core.symbols import MARKET_OF_CALENDAR, venue_of
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, INSTANT, Table
from quantx.errors import ProviderError
from quantx.pipeline.curating.adjustment_proofs import Proved, prove_replies
from quantx.pipeline.curating.normalize_minutes import FACTS, normalize_minutes
from quantx.pipeline.curating.quarantine_rows import rejected_bars, rejected_replies
from quantx.providers.protocol import VENDOR_ACTIONS, VENDOR_BARS, Provider, VendorFrames


@dataclass(frozen=True)
class Landed:
    """One stored reply of a round. Replies about several symbols share their pages, the same objects."""

    task_id: int
    run_id: str
    source: str
    dataset: str
    timeframe: str
    symbol: str
    window: Window
    raw: str  # ULID of the raw object
    pages: tuple[Payload, ...]
    malformed: str | None = None

    @property
    def payload(self) -> Payload:
        """Return the page that completed the reply."""
        return self.pages[-1]

    @property
    def as_of(self) -> datetime:
        """Return the instant up to which all pages can be trusted to be final."""
        return min(page.as_of for page in self.pages)


@dataclass(frozen=True)
class Rows:
    """Rows for the tables, and what the replies prove about their series."""

    table: str  # the table that the replies were asked for; its rows are those that are counted
    tables: Mapping[str, pl.DataFrame]  # rows by table; they may have a column `volume_step` beside the table's
    quarantine: pl.DataFrame  # QUARANTINE
    coverage: Mapping[str, Coverage]  # by symbol
    sessions: Mapping[str, tuple[date, date]]  # first and last accepted session, by symbol
    malformed: Mapping[int, str]  # why the reply that a task landed can't be read
    findings: Sequence[Finding] = ()
    proved: Proved = field(default_factory=Proved.nothing)  # by adjusted closes, of the vendor's actions


def table_of(dataset: str, timeframe: str, provider: Provider) -> Table:
    """Return the table for which a vendor's replies are meant."""
    if dataset == "actions":
        return ACTIONS
    if timeframe == "1m":
        return BARS_1M
    return BARS_1D_ADJUSTED if provider.capabilities.price_basis == "fully_adjusted" else BARS_1D


def normalize_round(source: str, landed: Sequence[Landed], provider: Provider, judge: Judge) -> Rows:
    """Read replies of one source, dataset and timeframe (at most one good one per symbol) and judge their rows.

    Bars of a session that had not settled when the reply was made are left out: they are not final. A rejected row that
    somebody has accepted is in both: in quarantine, and among the rows for the tables.
    """
    replies, broken = _read(landed, provider)
    if landed[0].timeframe == "1m":
        return _minutes(source, replies, broken, judge)
    facts = _facts(replies)
    sent = _stack(replies, VENDOR_BARS, lambda frames: frames.bars)
    actions = _stack(replies, VENDOR_ACTIONS, lambda frames: frames.actions)
    basis, meant = provider.capabilities.price_basis, table_of(landed[0].dataset, landed[0].timeframe, provider)
    table = BARS_1D_ADJUSTED if basis == "fully_adjusted" else BARS_1D
    proved = prove_replies(sent, actions, facts, source, split_in_close=basis == "split_adjusted")
    numbered = sent.with_row_index("nth")
    bars, actions = to_as_traded(numbered, actions) if basis == "split_adjusted" else _as_they_are(numbered, actions)
    bars = _of_window(bars.join(facts, on="series", maintain_order="left"))
    checked = split_by(bars, judge.policy.daily)
    theirs = sent[checked.rejected["nth"]].select(*PRICES, "volume", "vendor_adj_close")
    rejected = rejected_bars(checked.rejected, theirs.with_columns(checked.rejected["currency"]), source, table, judge)
    accepted = judge.overrule(checked, rejected, ("series", "date"))
    empty = pl.col("rules").str.contains("prices_present")
    answered = pl.concat([checked.accepted, checked.rejected.filter(~empty)], how="diagonal")
    answers = _first_and_last(answered.filter("in_calendar", "in_past"))
    return Rows(
        table=meant.name,
        tables={
            table.name: _curated_bars(accepted, source, table),
            ACTIONS.name: _curated_actions(actions.join(facts, on="series", maintain_order="left"), source),
        },
        quarantine=pl.concat([rejected, _rejected_payloads(broken, meant, judge)]),
        coverage={reply.item.symbol: _coverage(reply.item, answers) for reply in replies},
        sessions=_first_and_last(accepted),
        # What was found malformed when it was fetched is evidence: the same task was asked for again.
        malformed={item.task_id: why for item, why in broken if item.malformed is None},
        findings=_findings(source, replies),
        proved=proved,
    )


def _findings(source: str, replies: Sequence[_Reply]) -> list[Finding]:
    """Return what the vendor's replies have told beside rows, once."""
    noted = dict.fromkeys(
        (reply.item.dataset, note) for reply in replies for page in reply.pages for note in page.notes
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
        for dataset, note in noted
    ]


def _minutes(source: str, replies: Sequence[_Reply], broken: Sequence[tuple[Landed, str]], judge: Judge) -> Rows:
    """Apply the rules of minutes, which every vendor gives as traded."""
    read = normalize_minutes(source, _stack(replies, VENDOR_BARS, lambda frames: frames.bars), _facts(replies), judge)
    return Rows(
        table=BARS_1M.name,
        tables={BARS_1M.name: read.bars},
        quarantine=pl.concat([read.rejected, _rejected_payloads(broken, BARS_1M, judge)]),
        coverage={reply.item.symbol: _coverage(reply.item, read.answered) for reply in replies},
        sessions=read.sessions,
        malformed={item.task_id: why for item, why in broken if item.malformed is None},
        findings=_findings(source, replies),
    )


def _coverage(item: Landed, answers: Mapping[str, Sequence[date]]) -> Coverage:
    """Tell what a reply covers; events are answered for all of the window, whether there were any or not."""
    known = calendar(venue_of(item.symbol).calendar)
    if item.dataset == "actions":
        return all_of(item.window, item.as_of, known)
    return coverage_of(item.window, item.as_of, answers.get(item.symbol, ()), known)


@dataclass(frozen=True)
class _Reply:
    """A good reply: its pages as frames, each with the symbols of its rows told apart."""

    item: Landed
    pages: Sequence[VendorFrames]
    shared: bool  # a page is about other symbols, too, whoever has their tasks and whichever round their replies are in


def _read(landed: Sequence[Landed], provider: Provider) -> tuple[list[_Reply], list[tuple[Landed, str]]]:
    """Return the good replies as frames, and the other replies with why they can't be read."""
    frames: dict[int, VendorFrames | str] = {}
    replies: list[_Reply] = []
    broken: list[tuple[Landed, str]] = []
    for item in landed:
        if item.malformed is not None:
            broken.append((item, item.malformed))
            continue
        for page in item.pages:
            if id(page) not in frames:
                try:
                    frames[id(page)] = provider.normalize(page)
                except ProviderError as error:
                    frames[id(page)] = str(error)
        read = [frames[id(page)] for page in item.pages]
        wrong = next((why for why in read if isinstance(why, str)), None)
        if wrong is not None:
            broken.append((item, wrong))
        else:
            shared = any(page.symbol != item.symbol for page in item.pages)
            replies.append(_Reply(item, [f for f in read if isinstance(f, VendorFrames)], shared))
    return replies, broken


def _first_and_last(bars: pl.DataFrame) -> dict[str, tuple[date, date]]:
    """Return each symbol's first and last date."""
    spans = bars.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    return {symbol: (first, last) for symbol, first, last in spans.iter_rows()}


def _stack(
    replies: Sequence[_Reply],
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
    part: Callable[[VendorFrames], pl.DataFrame],
) -> pl.DataFrame:
    """Concatenate the rows of all replies, with the position of the reply in `series` in place of the symbol."""
    numbered, shared = [], dict[int, tuple[pl.DataFrame, dict[str, int]]]()
    for i, reply in enumerate(replies):
        for page in map(part, reply.pages):
            if reply.shared:
                shared.setdefault(id(page), (page, {}))[1][reply.item.symbol] = i
            else:
                numbered.append(page.drop("symbol").with_columns(pl.lit(i, dtype=pl.Int64).alias("series")))
    for page, places in shared.values():
        series = pl.col("symbol").replace_strict(places, default=None, return_dtype=pl.Int64).alias("series")
        numbered.append(page.with_columns(series).filter(pl.col("series").is_not_null()).drop("symbol"))
    columns = {name: kind for name, kind in schema.items() if name != "symbol"}
    return pl.concat([pl.DataFrame(schema={**columns, "series": pl.Int64}), *numbered])


def _as_they_are(bars: pl.DataFrame, actions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give bars and actions that the vendor sent as traded the columns that `to_as_traded` gives the others."""
    steps, is_dividend = split_steps(actions, key="series"), pl.col("kind") == "dividend"
    closes = with_factor(bars, steps, "ratio", key="series").with_columns(pl.col("close") / pl.col("ratio"))
    adjusted = with_factor(actions, steps, "ratio", on="ex_date", key="series").with_columns(
        pl.when(is_dividend).then(pl.col("value") / pl.col("ratio")).otherwise(pl.col("value")).alias("value")
    )
    _, known = to_as_traded(closes.drop("ratio"), adjusted.drop("ratio"))
    return bars.with_columns(pl.lit(0.0).alias("volume_step")), actions.with_columns(known["reference_close"])


def _facts(replies: Sequence[_Reply]) -> pl.DataFrame:
    """Return what is known about each reply, by `series`."""
    rows = []
    for i, reply in enumerate(replies):
        item, venue, payload = reply.item, venue_of(reply.item.symbol), reply.item.payload
        today = item.as_of.astimezone(ZoneInfo(venue.timezone)).date()
        currency = next((page.currency for page in reversed(reply.pages) if page.currency), None)
        asked = (item.symbol, venue.calendar, item.window.start, item.window.end)
        rows.append((i, *asked, item.as_of, today, currency, item.raw, payload.sha256, payload.fetched_at))
    return pl.DataFrame(rows, schema=FACTS, orient="row")


def _of_window(bars: pl.DataFrame) -> pl.DataFrame:
    """Keep the settled bars of each task's window and add the facts that the rules ask for."""
    bars = bars.filter(pl.col("date").is_between(pl.col("window_start"), pl.col("window_end")))
    bars = bars.join(_sessions(bars), on=["calendar", "date"], how="left", maintain_order="left")
    settled = pl.col("close_time") + SETTLED_AFTER <= pl.col("as_of")
    bars = bars.filter(settled.fill_null(True) | (pl.col("date") > pl.col("today")))
    key = pl.col("series") * 2**32 + pl.col("date").cast(pl.Int32)
    bars = bars.with_columns(key.is_last_distinct().alias("last_of_session"))
    if not bars["last_of_session"].all():
        same = ["series", "date", *PRICES, "volume"]  # what is there twice with the same figures is one row
        bars = mark_last_of_session(bars.unique(same, keep="last", maintain_order=True), ["series", "date"])
    return bars.with_columns(
        pl.col("close_time").is_not_null().alias("in_calendar"),
        (pl.col("date") <= pl.col("today")).alias("in_past"),
        pl.col("calendar").replace_strict(MARKET_OF_CALENDAR).alias("market"),
    )


def _sessions(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the sessions (calendar, date, close_time) of the calendars in `bars`, over its dates."""
    found = [pl.DataFrame(schema={"calendar": pl.String, "date": pl.Date, "close_time": INSTANT})]
    for code in bars["calendar"].unique():
        known = calendar(code)
        found.append(
            pl.DataFrame({"calendar": code, "date": known.days, "close_time": known.closes}, schema=found[0].schema)
        )
    return pl.concat(found)


def _curated_bars(accepted: pl.DataFrame, source: str, table: Table) -> pl.DataFrame:
    whole = table.schema["volume"] == pl.Int64
    return accepted.with_columns(
        pl.lit(source).alias("source"),
        pl.col("date").dt.year().alias("year"),
        pl.col("volume").round().cast(pl.Int64) if whole else pl.col("volume"),
        known_from(),
    ).select(*table.schema, "volume_step")


def _curated_actions(actions: pl.DataFrame, source: str) -> pl.DataFrame:
    """Keep the actions from the window's start to now; several of one kind on a day act together.

    A dividend in another currency than the prices' is recorded as a kind of its own: nobody has given a rate.
    """
    kept = actions.filter(pl.col("ex_date") >= pl.col("window_start"), pl.col("ex_date") <= pl.col("today"))
    foreign = pl.col("paid_in").is_not_null()
    kept = kept.with_columns(
        pl.when(foreign).then(pl.lit("foreign_dividend")).otherwise("kind").alias("kind"),
        pl.when(~foreign).then("reference_close").alias("reference_close"),
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


def _rejected_payloads(broken: Sequence[tuple[Landed, str]], meant: Table, judge: Judge) -> pl.DataFrame:
    told = [
        {
            "source": item.source,
            "dataset": meant.name,
            "symbol": item.symbol,
            "rules": "payload_readable",
            "row": why,
            "payload_sha256": item.payload.sha256,
            "raw": item.raw,
            "known_from": item.payload.fetched_at,
        }
        for item, why in broken
    ]
    return rejected_replies(told, judge)
