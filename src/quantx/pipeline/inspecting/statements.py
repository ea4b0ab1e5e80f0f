"""Check the stored concepts, facts and filings by the rules of statements, and bring their findings up to date."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl
import structlog

from quantx.core.fact_tables import FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.concept_map import ConceptMap
from quantx.core.quality.fact_findings import SEEN_SCHEMA, fact_findings, number, seen_by
from quantx.core.quality.rule import Rule
from quantx.core.quality.statement_rules import (
    FILING_RULES,
    IDENTITIES,
    REVISION_RULES,
    STATEMENT_RULES,
    VALUE_RULES,
    in_force,
    statements,
    with_neighbours,
)
from quantx.lake.protocol import Tables
from quantx.settings.concepts import shipped_concepts
from quantx.state.findings.port import Findings

log = structlog.get_logger()

RULES_OF_STATEMENTS = {
    rule.id: rule for group in (STATEMENT_RULES, VALUE_RULES, REVISION_RULES, FILING_RULES) for rule in group
}
_SYMBOLS = 400  # checked at once
_VALUES = ["source", "symbol", "concept", "period", "end", "value", "unit", "origin", "public_at", "accession"]
_FACTS = ["source", "symbol", "tag", "unit", "end", "value", "revision", "accession"]
_FILINGS = ["source", "symbol", "form", "report_end", "filed", "accession"]


def check_statements(
    tables: Tables,
    findings: Findings,
    symbols: Collection[str] | None = None,
    *,
    concepts: ConceptMap | None = None,
) -> tuple[int, int]:
    """Check the statements (of `symbols`) and bring the findings up to date; return the new and the resolved ones.

    `concepts` None: the shipped map. A finding is resolved when a filing or a vendor has corrected the value, and when
    its rows are gone.
    """
    parts = [pl.DataFrame(schema=SEEN_SCHEMA)]
    for some in _batches(tables, symbols):
        parts += _check(tables, some, concepts or shipped_concepts())
    current = fact_findings(pl.concat(parts), RULES_OF_STATEMENTS)
    new, resolved = findings.restate(RULES_OF_STATEMENTS, None, None, current, "the rule holds now", symbols)
    log.info("statements.checked", findings=len(current), new=new, resolved=resolved)
    return new, resolved


def _batches(tables: Tables, symbols: Collection[str] | None) -> Iterator[list[str]]:
    """Yield the symbols with facts or filings, some at a time."""
    present = set[str]()
    for name in (FUNDAMENTALS_FACTS.name, FILINGS.name):
        stored = tables[name]
        if stored.version() is not None:
            rows = stored.scan()
            if symbols is not None:
                rows = rows.filter(pl.col("symbol").is_in(list(symbols)))
            present |= set(stored.collect(rows.select(pl.col("symbol").unique()))["symbol"])
    names = sorted(present)
    for at in range(0, len(names), _SYMBOLS):
        yield names[at : at + _SYMBOLS]


def _check(tables: Tables, symbols: Sequence[str], concepts: ConceptMap) -> Iterator[pl.DataFrame]:
    """Yield the violations of each rule."""

    def read(name: str, columns: Sequence[str], *where: pl.Expr) -> pl.DataFrame:
        stored = tables[name]
        return stored.collect(stored.scan().filter(pl.col("symbol").is_in(symbols), *where).select(columns))

    values = in_force(read(FUNDAMENTALS.name, _VALUES))
    wide = statements(values)
    for rule, identity in zip(STATEMENT_RULES, IDENTITIES, strict=True):
        sides = pl.format("{}: {} and {}", "end", number(pl.col(identity.total)), number(identity.right))
        yield seen_by(rule, wide, "end", sides)
    series = with_neighbours(values, concepts)
    named = pl.format("{} {} {}: {}", "concept", "period", "end", number(pl.col("value")))
    for rule in VALUE_RULES:
        yield seen_by(rule, series, "end", named)
    classed = read(FUNDAMENTALS_FACTS.name, _FACTS, _any(REVISION_RULES))
    item = pl.format("{} {}: {} in {}", "tag", "end", number(pl.col("value")), "accession")
    for rule in REVISION_RULES:
        yield seen_by(rule, classed, "end", item)
    late = read(FILINGS.name, _FILINGS, _any(FILING_RULES))
    filing = pl.format("{} of {}, filed {}", "form", "report_end", "filed")
    for rule in FILING_RULES:
        yield seen_by(rule, late, "filed", filing)


def _any(rules: Sequence[Rule]) -> pl.Expr:
    return pl.any_horizontal(rule.broken for rule in rules)
