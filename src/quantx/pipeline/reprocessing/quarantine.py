"""Quarantine: list rejected rows with their rules, replay them under today's rules, and accept a row by a decision.

A rejected row is open, replayed (it passes under today's rules, and is curated) or accepted (a manual decision has it
curated). A replay derives the whole series again: a row under other rules than its neighbours would make a table that
can't be derived from the raw zone.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.fact_datasets import dataset_of
from quantx.core.model import Payload
from quantx.core.option_tables import OPTION_TABLES, is_of_options
from quantx.core.prices import PRICES
from quantx.core.quality import RULES
from quantx.core.quality.event_rules import breaks_event_rule
from quantx.core.quality.quarantine_states import newest_of_each, with_ids, with_states
from quantx.core.reply_places import ReplyPlace, SoughtRow, find_event, find_row
from quantx.core.symbols import venue_of
from quantx.core.table import INSTANT
from quantx.core.tables import DECISIONS, QUARANTINE
from quantx.errors import ConfigError, DamagedObject
from quantx.lake.protocol import CommitContext, StoredTables
from quantx.lake.raw import parse_raw_path, read_pages
from quantx.lake.store import LakeLocation
from quantx.pipeline.reprocessing.reprocess import Reprocessor
from quantx.pipeline.reprocessing.summary import ReprocessSummary
from quantx.pipeline.runtime.roles import RoleHolder, committing

RowState = Literal["open", "replayed", "accepted"]

SHOWN = 10  # of an id's 64 digits: they are shown, and nearly always enough to name a row
OPTION_STEP = (
    "a row of options can't be accepted or replayed: a corrected file of the vendor brings it with `quantx options"
    " import`"
)
_BEGINNING = 200  # characters of a reply that is rejected as a whole


@dataclass(frozen=True, kw_only=True)
class RowSelection:
    """A choice of rows; None: all."""

    ids: tuple[str, ...] = ()
    rule: str | None = None
    symbol: str | None = None
    source: str | None = None
    market: str | None = None
    state: RowState | None = None


@dataclass(frozen=True)
class RejectedPage:
    """Some of the rejected rows, and how many there are."""

    rows: pl.DataFrame  # as of `rejected_rows`
    total: int


def rejected_rows(tables: StoredTables, wanted: RowSelection = RowSelection()) -> pl.DataFrame:
    """Return the rejected rows, the newest first: the columns of QUARANTINE, `id`, `state`, and the decision.

    The id is the digest of the row's values, whichever rules it breaks. Raises ConfigError where an id is unknown, or
    begins several ids.
    """
    rows = with_ids(_chosen(tables, wanted))
    if wanted.ids:
        rows = newest_of_each(pl.concat([_named(rows, each) for each in wanted.ids]))
    return rows.select("id", "state", pl.exclude("id", "state"))


def rejected_page(tables: StoredTables, wanted: RowSelection, offset: int, most: int) -> RejectedPage:
    """Return up to `most` rejected rows after the first `offset` ones; ids are computed of these only."""
    rows = _chosen(tables, wanted)
    page = with_ids(rows.slice(offset, most)).select("id", "state", pl.exclude("id", "state"))
    return RejectedPage(page, rows.height)


def _chosen(tables: StoredTables, wanted: RowSelection) -> pl.DataFrame:
    """Return the rows of a choice without its ids, each once, the newest first, with their states."""
    where = pl.lit(True)
    if wanted.symbol is not None:
        where &= pl.col("symbol") == wanted.symbol
    if wanted.source is not None:
        where &= pl.col("source") == wanted.source
    if wanted.rule is not None:
        where &= pl.col("rules").str.split(",").list.contains(wanted.rule)
    rows = with_states(tables[QUARANTINE.name].read(where), tables[DECISIONS.name].read())
    if wanted.state is not None:
        rows = rows.filter(pl.col("state") == wanted.state)
    if wanted.market is not None:
        options = _of_options()  # the symbol is a contract; New York's sessions
        others = rows.filter(~options)["symbol"].unique()
        symbols = [symbol for symbol in others if venue_of(symbol).market == wanted.market]
        rows = rows.filter(pl.when(options).then(wanted.market == "us").otherwise(pl.col("symbol").is_in(symbols)))
    return newest_of_each(rows)


def _named(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    matches = rows.filter(pl.col("id").str.starts_with(name)) if name else rows.clear()
    if matches.is_empty():
        raise ConfigError(f"there is no row {name!r} in quarantine; `quantx quarantine list` shows them")
    if matches["id"].n_unique() > 1:
        raise ConfigError(f"{name!r} begins the ids of several rows: {', '.join(matches['id'].unique().sort())[:200]}")
    return matches


def show(
    tables: StoredTables, location: LakeLocation, row_id: str, symbol: str | None = None, source: str | None = None
) -> dict[str, Any]:
    """Return one rejected row with the meaning of its rules, and the row as it stands in the vendor's reply.

    Its `symbol` and `source`, where they are known, limit what is read.

    `place` is the row's place in the reply: a JSON pointer or a line; null for whole replies, and where the reply is
    gone or does not have the row's stamp.
    """
    row = rejected_rows(tables, RowSelection(ids=(row_id,), symbol=symbol, source=source)).row(0, named=True)
    rules = [
        {"id": name, "meaning": rule.meaning, "why": rule.why, "reference": rule.reference}
        if (rule := RULES.get(name))
        else {"id": name, "meaning": "a rule that this program does not know", "why": "", "reference": ""}
        for name in row["rules"].split(",")
    ]
    payload, place = _payload(location, row)
    return row | {"rules": rules, "place": place, "payload": payload}


def _payload(location: LakeLocation, row: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the reply's path, its request and the row's text in it, and the row's place."""
    paths = [p for p in location.paths(f"raw/source={row['source']}") if parse_raw_path(p)[2] == row["raw"]]
    facts: dict[str, Any] = {"path": paths[0] if paths else None, "sha256": row["payload_sha256"], "excerpt": None}
    if is_of_options(row["dataset"]):
        return facts | _member(location, paths), None
    try:
        pages = [page.payload for page in read_pages(location, paths[0])] if paths else []
    except DamagedObject as error:
        return facts | {"problem": str(error)}, None
    named = [page for page in pages if page.sha256 == row["payload_sha256"]]
    if not named:
        return facts | {"problem": "the raw zone does not have this reply any more"}, None
    # The reply is named by its last page; the row may be on an earlier one.
    others = [p for p in pages if p is not named[0] and row["symbol"] in p.symbol.split(",")]
    payload, place = _find(row, [named[0], *others])
    facts |= {"sha256": payload.sha256, "request": payload.request, "status": payload.status}
    facts |= {"fetched_at": payload.fetched_at, "bytes": len(payload.body)}
    if place is not None:
        return facts | {"excerpt": place.text}, place.where
    if row["date"] is None and not breaks_event_rule(row["rules"]):
        return facts | {"excerpt": payload.body.decode("utf-8", "replace")[:_BEGINNING]}, None
    return facts | {"problem": "the row was not found in its reply"}, None


def _of_options() -> pl.Expr:
    return pl.col("dataset").is_in([table.name for table in OPTION_TABLES])


def _member(location: LakeLocation, paths: Sequence[str]) -> dict[str, Any]:
    """Return what the raw zone has of the archive's member that brought a row, and what can be done about the row."""
    try:
        page = next((page.payload for path in paths[:1] for page in read_pages(location, path, [0])), None)
    except DamagedObject as error:
        return {"problem": str(error)}
    if page is None:
        return {"problem": f"the raw zone does not have its archive any more; {OPTION_STEP}"}
    named = {"request": page.request, "status": page.status, "fetched_at": page.fetched_at, "bytes": len(page.body)}
    return named | {"sha256": json.loads(page.body).get("sha256"), "problem": OPTION_STEP}


def _find(row: dict[str, Any], pages: Sequence[Payload]) -> tuple[Payload, ReplyPlace | None]:
    """Return the page on which a row stands, with its place there; the first page and None without a place."""
    if breaks_event_rule(row["rules"]):
        sent = json.loads(row["sent"])
        places = [find_event(page.body, sent["place"], sent["event"]) for page in pages]
    elif row["date"] is None:
        return pages[0], None
    elif (dataset := dataset_of(row["dataset"])) is not None:
        fact = dataset.sought(row["symbol"], json.loads(row["row"]))
        places = [fact.place_in(page.body)[0] for page in pages]
    else:
        values, zone = json.loads(row["row"]), ZoneInfo(venue_of(row["symbol"]).timezone)
        time = datetime.fromisoformat(values["time"]).replace(tzinfo=UTC) if values["time"] else None
        as_sent = values if row["sent"] is None else json.loads(row["sent"])
        numbers = [as_sent[c] for c in (*PRICES, "volume") if as_sent.get(c) is not None]
        sought = SoughtRow(row["symbol"], row["date"], time, zone, numbers)
        places = [find_row(page.body, sought) for page in pages]
    found = [(page, place) for page, place in zip(pages, places, strict=True) if place is not None]
    return max(found, key=lambda pair: pair[1].agreeing, default=(pages[0], None))


@dataclass(frozen=True)
class ReplayResult:
    """The rows of a replay, with their new states."""

    rows: pl.DataFrame  # as of `rejected_rows`
    reprocessed: Sequence[ReprocessSummary]  # one for each vendor


def replay(reprocessor: Reprocessor, wanted: RowSelection) -> ReplayResult:
    """Derive the series of the wanted open rows again from the raw replies; return the rows with their new states.

    Raises Busy where another process curates.
    """
    tables = reprocessor.curator.tables

    def carry_out(holder: RoleHolder | None) -> tuple[pl.DataFrame, list[ReprocessSummary]]:
        role = reprocessor.begin(holder)
        found = rejected_rows(tables, wanted)
        rows = found.filter(~_of_options())
        if rows.is_empty() and found.height:
            raise ConfigError(f"only rows of options were selected: {OPTION_STEP}")
        by_source = defaultdict[str, set[str]](set)
        for source, symbol in rows.filter(pl.col("state") == "open").select("source", "symbol").unique().rows():
            by_source[source].add(symbol)
        reprocessed = (reprocessor.reprocess_held(role, each, source) for source, each in sorted(by_source.items()))
        return rows, list(reprocessed)

    rows, done = committing(reprocessor.curator.role, carry_out)
    now = rejected_rows(tables).select("id", "state")
    # A row that breaks other rules now has the same id; a row whose reply is read otherwise now has none any more.
    return ReplayResult(
        rows.drop("state").join(now, on="id", how="left").with_columns(pl.col("state").fill_null("replayed")), done
    )


def accept(reprocessor: Reprocessor, row_id: str, reason: str, by: str) -> ReplayResult:
    """Record the decision that a rejected row is curated, now and whenever the table is derived again.

    The decision is kept with its author, reason and time. Raises ConfigError where the row can't be a bar or a
    fact, and Busy where another process curates. Doing it again changes nothing.
    """
    if not reason.strip() or not by.strip():
        raise ConfigError("--reason and --by must not be empty: later readers need the reason and the author")
    tables = reprocessor.curator.tables

    def carry_out(holder: RoleHolder | None) -> tuple[str, ReprocessSummary]:
        role, version = reprocessor.begin(holder), tables[DECISIONS.name].version()
        row = rejected_rows(tables, RowSelection(ids=(row_id,))).row(0, named=True)
        _refuse_incomplete(row)
        if row["state"] != "accepted":
            decision = _decision(row, reason.strip(), by.strip(), reprocessor.curator.clock.now())
            tables[DECISIONS.name].commit(CommitContext(by=role), decision, read_at=version)
        return row["id"], reprocessor.reprocess_held(role, {row["symbol"]}, row["source"])

    accepted, done = committing(reprocessor.curator.role, carry_out)
    return ReplayResult(rejected_rows(tables, RowSelection(ids=(accepted,))), [done])


def _decision(row: dict[str, Any], reason: str, by: str, now: datetime) -> pl.DataFrame:
    decision = {c: row[c] for c in DECISIONS.schema if c in row}
    decision |= {"decision": "accept", "reason": reason, "by": by, "known_from": now}
    return pl.DataFrame([decision], schema=dict(DECISIONS.schema)).with_columns(pl.col("known_from").cast(INSTANT))


def _refuse_incomplete(row: dict[str, Any]) -> None:
    name = f"{row['id'][:SHOWN]} ({row['symbol']} of {row['source']})"
    if is_of_options(row["dataset"]):
        raise ConfigError(f"{name}: {OPTION_STEP}")
    if breaks_event_rule(row["rules"]):
        raise ConfigError(
            f"{name} is a split or dividend that can't be applied to prices: there is no bar to accept; `quantx"
            " reprocess` reads it again after a change of its rule or adapter"
        )
    if row["date"] is None:
        raise ConfigError(
            f"{name} is a whole reply that can't be read: there is no row to accept; `quantx tasks retry` fetches it"
            " again, and `quantx quarantine replay` reads it again after a repair of its adapter"
        )
    values = json.loads(row["row"])
    if (dataset := dataset_of(row["dataset"])) is not None:
        if missing := [c for c in dataset.needed if values.get(c) in (None, "")]:
            raise ConfigError(f"{name} has no {', '.join(missing)}: it can't be a fact")
        return
    if missing := [c for c in (*PRICES, "volume") if values.get(c) is None]:
        raise ConfigError(f"{name} has no {', '.join(missing)}: it can't be a bar")
    if values["volume"] >= 2**63:
        raise ConfigError(f"{name} has a volume of {values['volume']:g}, which is not a number of shares")
    if "not_in_future" in row["rules"].split(","):
        raise ConfigError(
            f"{name} is of {row['date']}, whose session had not ended when the reply was fetched: it can't be a bar"
        )
