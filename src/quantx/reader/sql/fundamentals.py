"""The SQL of the views of fundamentals by symbol: the rules of quantx.reader.filers, in one statement."""

from __future__ import annotations

from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.symbols import US
from quantx.core.tables import SESSIONS
from quantx.reader.filers import MOVES_WITHIN
from quantx.reader.fundamentals import CONCEPT_COLUMNS

# A day without a session ends at 04:00 UTC, midnight in New York's summer; a session just before its close.
_DAY = "(moment::VARCHAR)::DATE"
_CLOSE = f"(SELECT max(close) FROM {SESSIONS.name} WHERE calendar = '{US.calendar}' AND date = {_DAY})"
_MIDNIGHT = f"({_DAY} + INTERVAL 28 HOUR)::TIMESTAMP WITH TIME ZONE"
PUBLIC_BY_MOMENT = (
    f"public_at <= CASE WHEN length(trim(moment::VARCHAR)) <= 10 THEN coalesce({_CLOSE}, {_MIDNIGHT})"
    " - INTERVAL 1 MICROSECOND ELSE (moment::VARCHAR)::TIMESTAMP WITH TIME ZONE END"
)

_ORDER = "PARTITION BY symbol ORDER BY coalesce(symbol_from, DATE '0001-01-01'), filer"
# The filers of each symbol's present company: a symbol that was free for longer than a move takes had another one.
_CARRIERS = (
    f"SELECT symbol AS carried, filer AS carrier, CASE WHEN filer <> last_value(filer) OVER ({_ORDER} ROWS BETWEEN"
    " UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) THEN symbol_to END AS until FROM (SELECT *, sum(pause) OVER"
    f" ({_ORDER} ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS pauses FROM (SELECT *, CASE WHEN lead(filer) OVER"
    f" ({_ORDER}) = filer OR lead(symbol_from) OVER ({_ORDER}) - symbol_to <= {MOVES_WITHIN.days} OR lead(filer) OVER"
    f" ({_ORDER}) IS NULL THEN 0 ELSE 1 END AS pause FROM {FILER_SYMBOLS.name})) WHERE pauses = 0"
)
_FILER = "regexp_full_match(symbol, 'CIK[0-9]{10}')"


def by_symbol(rank: str, where: str = "true") -> str:
    """Return a SELECT of the last version of each symbol's concept and period, of the rows that meet a condition."""
    stored = [c for c in CONCEPT_COLUMNS if c not in ("symbol", "filer")]
    columns = ", ".join(f'"{c}"' for c in stored)
    every = (
        f"SELECT carried AS symbol, symbol AS filer, {columns} FROM {FUNDAMENTALS.name} JOIN ({_CARRIERS})"
        f" ON symbol = carrier AND (until IS NULL OR filed <= until) WHERE {where}"
        f" UNION ALL SELECT symbol, symbol AS filer, {columns} FROM {FUNDAMENTALS.name} WHERE NOT {_FILER} AND {where}"
    )
    shown = ", ".join(f'"{c}"' for c in CONCEPT_COLUMNS)
    return (
        f'SELECT {shown} FROM ({every}) QUALIFY row_number() OVER (PARTITION BY symbol, concept, period, "end"'
        f" ORDER BY {rank}, public_at DESC, accession DESC) = 1"
    )
