"""What an import would do: the files as they are understood, their first rows, and what the rules say about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from quantx.core.model import Series, StoredReply
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import DECISIONS
from quantx.pipeline.curating.normalize import normalize_round
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.pipeline.importing.importing import DATASET, Prepared
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.importing.form import BASES
from quantx.providers.importing.found import FileReader
from quantx.providers.importing.provider import Batch, FileImports
from quantx.providers.protocol import Request
from quantx.settings.concepts import read_concepts

_FILES, _ROWS, _AT_ONCE = 10, 3, 50


@dataclass
class Preview:
    """The tables of a dry run."""

    files: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return the tables for JSON."""
        return {"understood": self.files, "rows": self.rows, "rules": self.rules, "notes": self.notes}


def preview(platform: Platform, found: Prepared, reader: FileReader) -> Preview:
    """Return the forms of the first files, the first rows of each, and the counts of the rules over all new rows."""
    seen = Preview()
    if found.basis is None:
        return seen
    seen.files = [
        {
            "file": part.address.replace("\\", "/").rpartition("/")[2],
            "symbol": part.symbol,
            "timeframe": part.form.timeframe,
            "basis": part.form.basis,
            "first": part.first,
            "last": part.last,
            "rows": part.rows,
            "dates": part.form.date_format or part.form.kind,
            "columns": " ".join(f"{name}={column}" for name, column in part.form.columns.items()),
        }
        for batch in found.new[:_FILES]
        for part in batch.parts[:2]
    ][:_FILES]
    policy = RowPolicy(
        platform.policy, platform.tables[DECISIONS.name].read(), read_concepts(platform.settings.concepts_path)
    )
    broken, notes = Counter[str](), dict[str, None]()
    for start in range(0, len(found.new), _AT_ONCE):
        for timeframe in ("1d", "1m"):
            some = [b for b in found.new[start : start + _AT_ONCE] if b.parts[0].form.timeframe == timeframe]
            if some:
                _judge(platform, found, reader, some, policy, seen, broken, notes)
    seen.rules = [{"rule": rule, "rows": rows} for rule, rows in broken.most_common()]
    seen.notes = list(notes)[:_FILES]
    return seen


def _judge(
    platform: Platform,
    found: Prepared,
    reader: FileReader,
    batches: list[Batch],
    policy: RowPolicy,
    seen: Preview,
    broken: Counter[str],
    notes: dict[str, None],
) -> None:
    """Apply the rules to some batches, as the curator does."""
    by_task = {(b.parts[0].form.timeframe, b.parts[0].symbol, b.window): b for b in batches}
    provider = FileImports(found.source, BASES[str(found.basis)], platform.clock, by_task, reader)
    names = Counter[str]()
    rounds: dict[int, list[ReadReply]] = {}
    for number, ((timeframe, symbol, window), _) in enumerate(by_task.items()):
        pages = tuple(page.payload for page in provider.fetch(Request(DATASET, timeframe, (symbol,), window)))
        reply = StoredReply(
            task_id=number,
            run_id="",
            series=Series(found.source, DATASET, timeframe, symbol),
            window=window,
            path=f"raw/source={found.source}/dataset={DATASET}/ingest_date=-/dry-run.parquet",
            row=0,
            rows=len(pages),
            fetched_at=pages[-1].fetched_at,
            size=0,
        )
        rounds.setdefault(names[symbol], []).append(ReadReply(reply, pages))
        names[symbol] += 1
    for replies in rounds.values():
        rows = normalize_round(found.source, replies, provider, policy)
        for rules, count in rows.quarantine["rules"].value_counts().iter_rows():
            broken.update(dict.fromkeys(str(rules).split(","), count))
        notes |= {f"{finding.subject}: {finding.message}": None for finding in rows.findings}
        notes |= {f"{held.message}": None for held in rows.held.values()}
        bars = rows.tables.get(rows.table)
        if bars is not None and bars.height and len(seen.rows) < _FILES * _ROWS:
            shown = ("symbol", "time", "date", "open", "high", "low", "close", "volume", "currency")
            first = bars.sort("symbol", "date").group_by("symbol", maintain_order=True).head(_ROWS)
            seen.rows += (
                first.select(pl.col(name) for name in shown if name in bars.columns)
                .head(_FILES * _ROWS - len(seen.rows))
                .to_dicts()
            )
