"""Check the stored daily bars by the series rules, and bring their findings up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.quality import RULES
from quantx.core.quality.market_moves import market_of, returns_of
from quantx.core.quality.series_findings import findings_of
from quantx.core.quality.series_rules import GAP_RULES, SERIES_RULES, check_series
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, QUARANTINE
from quantx.lake.protocol import CuratedTable, Tables
from quantx.lake.store import LakeLocation
from quantx.pipeline.inspecting.changed_series import judge_changed, witnesses_of
from quantx.pipeline.inspecting.judged_series import read_judged, store_judged
from quantx.state.findings.port import Findings

log = structlog.get_logger()

_SYMBOLS = 400  # checked at once: 1.5 million bars over 15 years
_OVER = "the rule holds now"
_ACTIONS = ["symbol", "ex_date", "kind", "value"]
_BARS = ["symbol", "date", "open", "high", "low", "close", "volume", "currency"]
# Missing sessions are found, requested and reported by `heal_gaps`.
_CHECKED = [rule.id for rule in SERIES_RULES if rule not in GAP_RULES]


@dataclass(frozen=True, kw_only=True)
class SeriesSummary:
    """Counts and findings of one check."""

    bars: int
    symbols: int
    findings: Sequence[Finding]
    new: int
    resolved: int


def validate_series(
    tables: Tables,
    findings: Findings,
    symbols: Collection[str] | None = None,
    *,
    source: str | None = None,
) -> SeriesSummary:
    """Check the stored daily bars (of `symbols`, of `source`) by the series rules, and bring the findings up to date.

    The median return of the stored symbols of a calendar, by any vendor, is a witness for each series. Findings about
    bars that were removed are resolved, too.
    """
    bars, checked, noted, new, resolved = 0, set[str](), list[Finding](), 0, 0
    for table in (BARS_1D, BARS_1D_ADJUSTED):
        current, market = list[Finding](), _market(tables[table.name])
        for name, batch in _batches(tables[table.name], symbols, source):
            read, violations = _check(tables, table, name, batch, market)
            current += findings_of(violations, RULES, name, table.name)
            bars += read
            checked |= set(batch)
        added, gone = findings.restate(_CHECKED, source, table.name, current, _OVER, symbols)
        new, resolved = new + added, resolved + gone
        noted += current
    log.info("validated", bars=bars, symbols=len(checked), findings=len(noted), new=new, resolved=resolved)
    return SeriesSummary(bars=bars, symbols=len(checked), findings=noted, new=new, resolved=resolved)


def inspect_series(location: LakeLocation, tables: Tables, findings: Findings, symbols: Collection[str]) -> None:
    """Judge the daily bars that have changed since the last inspection, and bring the findings about them up to date.

    The findings are those of `validate_series`, also about changed symbols that are not among `symbols`. The record of
    what was judged lies in the lake; it is stored last, so that an interrupted inspection is repeated.
    """
    for table in (BARS_1D, BARS_1D_ADJUSTED):
        if tables[table.name].version() is None:
            continue
        before = read_judged(location, table)
        judged = judge_changed(tables, table, before)
        record = judged.record
        gone = before.series.join(record.series, on="symbol", how="anti")["symbol"]
        # Without a record all series are judged, and which ones have gone is not known: all findings are compared.
        about = None if before.series.is_empty() else sorted({*symbols, *judged.series["symbol"], *gone})
        named = pl.lit(True) if about is None else pl.col("symbol").is_in(about)
        open_ones = record.violations.filter(pl.col("rule").is_in(_CHECKED), named)
        current = [
            finding
            for (source,), part in open_ones.group_by("source", maintain_order=True)
            for finding in findings_of(part.drop("source"), RULES, str(source), table.name)
        ]
        new, resolved = findings.restate(_CHECKED, None, table.name, current, _OVER, about)
        store_judged(location, table, record)
        log.info(
            "series.inspected",
            table=table.name,
            bars=judged.bars,
            series=judged.series.height,
            findings=len(current),
            new=new,
            resolved=resolved,
        )


def _batches(
    stored: CuratedTable, symbols: Collection[str] | None, source: str | None
) -> Iterator[tuple[str, list[str]]]:
    """Yield the sources of a table with some of their symbols at a time."""
    if stored.version() is None:
        return
    rows = stored.scan()
    if symbols is not None:
        rows = rows.filter(pl.col("symbol").is_in(list(symbols)))
    if source is not None:
        rows = rows.filter(pl.col("source") == source)
    pairs = stored.collect(rows.select("source", "symbol").unique())
    for (name,), part in pairs.sort("source", "symbol").group_by("source", maintain_order=True):
        for batch in part["symbol"].to_frame().iter_slices(_SYMBOLS):
            yield str(name), batch["symbol"].to_list()


def _market(stored: CuratedTable) -> pl.DataFrame | None:
    """Return the market of each calendar with enough symbols in a table; None where there is none."""
    if stored.version() is None:
        return None
    symbols = stored.collect(stored.scan().select("symbol").unique())["symbol"].sort()
    witnesses = witnesses_of(symbols)
    if not witnesses:
        return None
    rows = stored.scan().filter(pl.col("symbol").is_in(witnesses)).select("source", "symbol", "date", "close")
    bars = stored.collect(rows).sort("source").unique(["symbol", "date"], keep="first")
    return market_of(returns_of(bars))


def _check(
    tables: Tables, table: Table, source: str, symbols: Sequence[str], market: pl.DataFrame | None
) -> tuple[int, pl.DataFrame]:
    """Return how many bars these symbols have, and the violations of the series rules."""

    def read(name: str, columns: Sequence[str], where: pl.Expr | None = None) -> pl.DataFrame:
        stored = tables[name]
        wanted = (pl.col("source") == source) & pl.col("symbol").is_in(list(symbols))
        return stored.collect(stored.scan().filter(wanted if where is None else wanted & where).select(columns))

    bars = read(table.name, _BARS)
    rejected = (pl.col("dataset") == table.name) & pl.col("date").is_not_null()
    violations = check_series(
        bars,
        read(ACTIONS.name, _ACTIONS),
        rejected=read(QUARANTINE.name, ["symbol", "date"], rejected),
        adjusted=table is BARS_1D_ADJUSTED,
        market=market,
    )
    return bars.height, violations.filter(pl.col("rule").is_in(_CHECKED))
