"""The series rules over the lake: what they find becomes findings, and what they do not find any more is resolved."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.quality import RULES
from quantx.core.quality.series_findings import findings_of
from quantx.core.quality.series_rules import GAP_RULES, SERIES_RULES, check_series
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, QUARANTINE, Table
from quantx.pipeline.runtime.platform import Platform

log = structlog.get_logger()

_SYMBOLS = 400  # of 15 years are 1.5 million bars: what is judged at once
_ACTIONS = ["symbol", "ex_date", "kind", "value"]
_BARS = ["symbol", "date", "open", "high", "low", "close", "volume", "currency"]
# Gaps are found, asked for again and told of by `heal_gaps`.
_JUDGED = [rule.id for rule in SERIES_RULES if rule not in GAP_RULES]


@dataclass(frozen=True)
class Validated:
    """What a run of the rules has seen."""

    bars: int
    symbols: int
    findings: Sequence[Finding]
    new: int
    resolved: int


def validate_series(
    platform: Platform, symbols: Collection[str] | None = None, *, source: str | None = None
) -> Validated:
    """Judge the stored daily bars (of `symbols`, of `source`) by the series rules and bring the findings up to date.

    What was found in bars that are not there any more is resolved, too.
    """
    bars, judged, noted, new, resolved = 0, set[str](), list[Finding](), 0, 0
    for table in (BARS_1D, BARS_1D_ADJUSTED):
        findings = list[Finding]()
        for name, batch in _batches(platform, table, symbols, source):
            read, found = _judge(platform, table, name, batch)
            findings += findings_of(found, RULES, name, table.name)
            bars += read
            judged |= set(batch)
        added, gone = platform.state.findings.restate(
            _JUDGED, source, table.name, findings, "the rule finds nothing there any more", symbols
        )
        new, resolved = new + added, resolved + gone
        noted += findings
    log.info("validated", bars=bars, symbols=len(judged), findings=len(noted), new=new, resolved=resolved)
    return Validated(bars, len(judged), noted, new, resolved)


def _batches(
    platform: Platform, table: Table, symbols: Collection[str] | None, source: str | None
) -> Iterator[tuple[str, list[str]]]:
    """Yield the sources of a table with some of their symbols at a time."""
    stored = platform.tables[table.name]
    if stored.version() is None:
        return
    rows = stored.scan()
    if symbols is not None:
        rows = rows.filter(pl.col("symbol").is_in(list(symbols)))
    if source is not None:
        rows = rows.filter(pl.col("source") == source)
    there = stored.collect(rows.select("source", "symbol").unique())
    for (name,), part in there.sort("source", "symbol").group_by("source", maintain_order=True):
        for batch in part["symbol"].to_frame().iter_slices(_SYMBOLS):
            yield str(name), batch["symbol"].to_list()


def _judge(platform: Platform, table: Table, source: str, symbols: Sequence[str]) -> tuple[int, pl.DataFrame]:
    def read(name: str, columns: Sequence[str], where: pl.Expr | None = None) -> pl.DataFrame:
        stored = platform.tables[name]
        wanted = (pl.col("source") == source) & pl.col("symbol").is_in(list(symbols))
        return stored.collect(stored.scan().filter(wanted if where is None else wanted & where).select(columns))

    bars = read(table.name, _BARS)
    rejected = (pl.col("dataset") == table.name) & pl.col("date").is_not_null()
    found = check_series(
        bars,
        read(ACTIONS.name, _ACTIONS),
        rejected=read(QUARANTINE.name, ["symbol", "date"], rejected),
        adjusted=table is BARS_1D_ADJUSTED,
    )
    return bars.height, found.filter(pl.col("rule").is_in(_JUDGED))
