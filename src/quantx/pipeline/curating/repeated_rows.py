"""Findings about rows that a vendor's reply has twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.repeated_rows import REPEAT_RULES, REPEATED
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.state.findings.port import Findings

_NAMED = 3  # days in a message


def repeat_findings(repeated: pl.DataFrame, source: str, dataset: str) -> list[Finding]:
    """Return a finding per symbol; `repeated` has symbol, date and copies."""
    by_symbol = repeated.group_by("symbol", maintain_order=True).agg(
        pl.col("date").unique().sort(), pl.col("copies").sum()
    )
    return [_finding(symbol, days, copies, source, dataset) for symbol, days, copies in by_symbol.iter_rows()]


def _finding(symbol: str, days: Sequence[date], copies: int, source: str, dataset: str) -> Finding:
    more = f" and {len(days) - _NAMED} more days" if len(days) > _NAMED else ""
    named = ", ".join(map(str, days[:_NAMED])) + more
    return Finding(
        REPEATED,
        FINDING_SEVERITY[REPEAT_RULES[0].severity],
        symbol,
        f"{source}'s reply has {'a row' if copies == 1 else f'{copies:,} rows'} of {symbol} twice ({named}); one is"
        " kept: compare with another vendor",
        source=source,
        dataset=dataset,
        first_day=days[0],
        last_day=days[-1],
        facts={"times": copies, "days": [str(day) for day in days]},
    )


def note_repeats(findings: Findings, items: Sequence[ReadReply], dataset: str, current: Sequence[Finding]) -> None:
    """Note the repeated rows of replies of one source, and resolve those that their windows do not have any more."""
    source = items[0].stored.series.source
    known = {old.subject for old in findings.open(REPEATED, source, dataset, [item.symbol for item in items])}
    own = [finding for finding in current if finding.rule == REPEATED]
    if not known and not own:
        return
    windows = {item.symbol: (item.stored.window.start, item.stored.window.end) for item in items}
    findings.restate([REPEATED], source, dataset, own, "the vendor's reply has each row once", days=windows)
