"""What was rejected and why; judging it again, and accepting a row that a rule rejects.

A rejected row is open, replayed (it passes under the rules of now, and is curated) or accepted (it is curated because
somebody has said so). Rows are judged again by deriving all of their series again: one row under other rules than its
neighbours would make a table that nobody could derive.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from quantx.core.prices import PRICES
from quantx.core.quality import RULES
from quantx.core.quality.quarantine_states import once_each, with_states
from quantx.core.symbols import venue_of
from quantx.core.tables import DECISIONS, INSTANT, QUARANTINE
from quantx.errors import ConfigError, DamagedObject
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import parse_raw_path, read_pages
from quantx.pipeline.reprocessing.reprocess import begin, reprocess_held
from quantx.pipeline.reprocessing.summary import Reprocessed
from quantx.pipeline.runtime.platform import Platform

State = Literal["open", "replayed", "accepted"]

SHOWN = 10  # of an id's 64 digits: what people see, and nearly always enough to name a row
_AROUND = 200  # characters of the vendor's reply


@dataclass(frozen=True)
class Wanted:
    """Which rows somebody asks for; None: all."""

    ids: tuple[str, ...] = ()
    rule: str | None = None
    symbol: str | None = None
    source: str | None = None
    market: str | None = None
    state: State | None = None


def rejected_rows(platform: Platform, wanted: Wanted = Wanted()) -> pl.DataFrame:
    """Return the rejected rows, the newest first: the columns of QUARANTINE, `id`, `state`, and who has decided why.

    The id names what the row says, whichever rules it breaks. ConfigError where an id is none, or that of several.
    """
    where = pl.lit(True)
    if wanted.symbol is not None:
        where &= pl.col("symbol") == wanted.symbol
    if wanted.source is not None:
        where &= pl.col("source") == wanted.source
    if wanted.rule is not None:
        where &= pl.col("rules").str.split(",").list.contains(wanted.rule)
    rows = with_states(platform.tables[QUARANTINE.name].read(where), platform.tables[DECISIONS.name].read())
    rows = rows.with_columns(_ids(rows))
    if wanted.state is not None:
        rows = rows.filter(pl.col("state") == wanted.state)
    if wanted.market is not None:
        symbols = [s for s in rows["symbol"].unique() if venue_of(s).market == wanted.market]
        rows = rows.filter(pl.col("symbol").is_in(symbols))
    if wanted.ids:
        rows = pl.concat([_named(rows, each) for each in wanted.ids])
    return once_each(rows).select("id", "state", pl.exclude("id", "state"))


def _ids(rows: pl.DataFrame) -> pl.Series:
    texts = rows.select(pl.concat_str([pl.col(c).cast(pl.String).fill_null("") for c in DECISIONS.key], separator="\n"))
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts.to_series()]
    return pl.Series("id", digests, dtype=pl.String)


def _named(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    found = rows.filter(pl.col("id").str.starts_with(name)) if name else rows.clear()
    if found.is_empty():
        raise ConfigError(f"there is no row {name!r} in quarantine; `quantx quarantine list` shows them")
    if found["id"].n_unique() > 1:
        raise ConfigError(f"{name!r} begins the ids of several rows: {', '.join(found['id'].unique().sort())[:200]}")
    return found


def show(platform: Platform, row_id: str) -> dict[str, Any]:
    """Return one rejected row with the meaning of its rules, and what the vendor sent around it."""
    row = rejected_rows(platform, Wanted(ids=(row_id,))).row(0, named=True)
    rules = [
        {"id": name, "meaning": rule.meaning, "why": rule.why, "reference": rule.reference}
        if (rule := RULES.get(name))
        else {"id": name, "meaning": "a rule that this program does not know", "why": "", "reference": ""}
        for name in row["rules"].split(",")
    ]
    return row | {"rules": rules, "payload": _payload(platform, row)}


def _payload(platform: Platform, row: dict[str, Any]) -> dict[str, Any]:
    """Return where the reply lies, how it was asked for, and an excerpt of its bytes around the row."""
    paths = [p for p in platform.location.paths(f"raw/source={row['source']}") if parse_raw_path(p)[2] == row["raw"]]
    told: dict[str, Any] = {"path": paths[0] if paths else None, "sha256": row["payload_sha256"], "excerpt": None}
    try:
        replies = read_pages(platform.location, paths[0]) if paths else iter(())
        payload = next((r.payload for r in replies if r.payload.sha256 == row["payload_sha256"]), None)
    except DamagedObject as error:
        return told | {"problem": str(error)}
    if payload is None:
        return told | {"problem": "the raw zone does not have this reply any more"}
    asked = {"request": payload.request, "status": payload.status, "fetched_at": payload.fetched_at}
    return told | asked | {"bytes": len(payload.body), "excerpt": _excerpt(payload.body, row)}


def _excerpt(body: bytes, row: dict[str, Any]) -> str:
    """Return the text around the row's date or time stamp, or the beginning of the reply."""
    text, needles = body.decode("utf-8", "replace"), list[str]()
    if row["date"] is not None:
        at = datetime.fromisoformat(json.loads(row["row"])["time"] or str(row["date"]))
        needles = [f"{at:%Y-%m-%dT%H:%M}", f"{at:%Y-%m-%d %H:%M}", str(int(at.timestamp())), str(row["date"])]
    place = next((found for needle in needles if (found := text.find(needle)) >= 0), 0)
    return text[max(0, place - _AROUND) : place + _AROUND]


@dataclass(frozen=True)
class Replayed:
    """What became of rows that were judged again."""

    rows: pl.DataFrame  # as `rejected_rows` gives them, with their state of now
    reprocessed: Sequence[Reprocessed]  # one for each vendor


def replay(platform: Platform, wanted: Wanted) -> Replayed:
    """Judge the open rows that are wanted again, with their series, from the raw replies; Busy where another curates."""
    with platform.state.exclusive("curator") as mine:
        held = begin(platform, mine)
        rows = rejected_rows(platform, wanted)
        by_source = defaultdict[str, set[str]](set)
        for source, symbol in rows.filter(pl.col("state") == "open").select("source", "symbol").unique().rows():
            by_source[source].add(symbol)
        done = [reprocess_held(platform, held, symbols, source) for source, symbols in sorted(by_source.items())]
    now = rejected_rows(platform).select("id", "state")
    # One that breaks other rules now has its id still; one whose reply says something else has none any more.
    return Replayed(
        rows.drop("state").join(now, on="id", how="left").with_columns(pl.col("state").fill_null("replayed")), done
    )


def accept(platform: Platform, row_id: str, reason: str, by: str) -> Replayed:
    """Take a row into the curated table although a rule rejects it, now and whenever the table is derived again.

    The decision is kept with who, why and when. ConfigError where the row can't be a bar; Busy where another process
    curates. Doing it again changes nothing.
    """
    if not reason.strip() or not by.strip():
        raise ConfigError("say why and who: --reason and --by must not be empty, for who reads them later")
    with platform.state.exclusive("curator") as mine:
        held = begin(platform, mine)
        row = rejected_rows(platform, Wanted(ids=(row_id,))).row(0, named=True)
        _refuse_what_is_no_bar(row)
        if row["state"] != "accepted":
            _record(platform, row, reason.strip(), by.strip())
        done = reprocess_held(platform, held, {row["symbol"]}, row["source"])
    return Replayed(rejected_rows(platform, Wanted(ids=(row["id"],))), [done])


def _record(platform: Platform, row: dict[str, Any], reason: str, by: str) -> None:
    table = platform.tables[DECISIONS.name]
    said = {"decision": "accept", "reason": reason, "by": by, "known_from": platform.clock.now()}
    decision = {c: row[c] for c in DECISIONS.schema if c in row} | said
    frame = pl.DataFrame([decision], schema=dict(DECISIONS.schema)).with_columns(pl.col("known_from").cast(INSTANT))
    table.commit(CommitContext(table.committed_round() + 1), frame)


def _refuse_what_is_no_bar(row: dict[str, Any]) -> None:
    name = f"{row['id'][:SHOWN]} ({row['symbol']} of {row['source']})"
    if row["date"] is None:
        raise ConfigError(
            f"{name} is a whole reply that can't be read, no row: there is nothing to accept; `quantx tasks retry` asks the"
            " vendor again, and `quantx quarantine replay` reads it again after its adapter was mended"
        )
    values = json.loads(row["row"])
    if missing := [c for c in (*PRICES, "volume") if values.get(c) is None]:
        raise ConfigError(f"{name} has no {', '.join(missing)}: it can't be a bar, and nobody knows what it should be")
    if values["volume"] >= 2**63:
        raise ConfigError(f"{name} has a volume of {values['volume']:g}, which is no number of shares")
    if "not_in_future" in row["rules"].split(","):
        raise ConfigError(
            f"{name} is of {row['date']}, which was not over when the vendor was asked: it can't be a bar"
        )
