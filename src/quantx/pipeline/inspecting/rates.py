"""Check the stored rates against their neighbours and the publisher's calendar, and bring their findings up to date."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.quality.fact_findings import SEEN_SCHEMA, fact_findings, number, seen_by
from quantx.core.quality.rate_rules import FX_JUMP, RATE_GAP, RATE_RULES, YIELD_JUMP
from quantx.core.rate_series import RATE_SERIES, days_missing
from quantx.core.rate_tables import FX_RATES, RATES
from quantx.core.table import Table
from quantx.lake.protocol import Tables
from quantx.state.findings.port import Findings

log = structlog.get_logger()

_RULES = {rule.id: rule for rule in RATE_RULES}
_NEXT = {
    "warn": "compare with the publisher's page and the document (`quantx explain {symbol}`), and acknowledge it with a"
    " reason if it is correct"
}
_LONGEST_PAUSE = timedelta(days=10)  # between two rates that are compared: after it a tenor or currency begins again
_SHOWN = 5  # days that a message names
_LISTED = 200  # in the facts, for programs


def check_rates(tables: Tables, findings: Findings, symbols: Collection[str] | None = None) -> tuple[int, int]:
    """Check the published rates (of `symbols`); return the numbers of new and of resolved findings.

    A finding is resolved when a later document has the missing days or a corrected value.
    """
    parts, gaps = [pl.DataFrame(schema=SEEN_SCHEMA)], list[Finding]()
    for series in RATE_SERIES.values():
        if symbols is not None and series.symbol not in symbols:
            continue
        table = RATES if series.dataset == RATES.name else FX_RATES
        stored = tables[table.name]
        if stored.version() is None:
            continue
        rows = stored.read(pl.col("symbol") == series.symbol)
        if rows.height:
            parts.append(_jumps(rows, table))
            gaps += _gaps(rows, series.symbol)
    current = [*fact_findings(pl.concat(parts), _RULES, _NEXT), *gaps]
    new, resolved = findings.restate(_RULES, None, None, current, "the rule holds now", symbols)
    log.info("rates.checked", findings=len(current), new=new, resolved=resolved)
    return new, resolved


def _jumps(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the rows that changed too much since the day before (SEEN_SCHEMA)."""
    is_yield = table is RATES
    item, value = ("tenor", "value") if is_yield else ("quote", "rate")
    rows = rows.sort("source", item, "date")
    before = pl.col(value).shift().over("source", item)
    step = pl.col(value) - before if is_yield else (pl.col(value) / before).log()
    near = pl.col("date") - pl.col("date").shift().over("source", item) <= _LONGEST_PAUSE
    rows = rows.with_columns(pl.when(near).then(step).alias("step"), before.alias("before"))
    text = pl.format("{} {}: {} after {}", item, "date", number(pl.col(value)), number(pl.col("before")))
    return seen_by(YIELD_JUMP if is_yield else FX_JUMP, rows, "date", text)


def _gaps(rows: pl.DataFrame, symbol: str) -> list[Finding]:
    """Return a finding per source about the expected days without rates between the first and the last day."""
    found, series = [], RATE_SERIES[symbol]
    for (source,), part in rows.group_by("source", maintain_order=True):
        days = part["date"].unique().sort().to_list()
        missing = days_missing(series, days, days[-1])
        if not missing:
            continue
        shown = ", ".join(map(str, missing[-_SHOWN:]))
        found.append(
            Finding(
                RATE_GAP.id,
                "warn",
                symbol,
                f"{len(missing)} days between {days[0]} and {days[-1]} have no rates, the last ones {shown};"
                f" `quantx rates update --source {source} --start {missing[0]} --again` fetches them; or acknowledge it"
                " where the publisher has none",
                source=str(source),
                dataset=series.dataset,
                first_day=missing[0],
                last_day=missing[-1],
                facts={"days": len(missing), "missing": [str(day) for day in missing[-_LISTED:]]},
            )
        )
    return found
