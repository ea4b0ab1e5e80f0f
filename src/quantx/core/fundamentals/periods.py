"""Periods by their days alone, and numbers that identify a value of one filer, concept, unit and period."""

from __future__ import annotations

from datetime import date

import polars as pl

# Days between the first and the last day of a period: 12 to 16 weeks, and 52 or 53 weeks with a margin.
QUARTER = (75, 125)
YEAR = (350, 380)
LONGEST = YEAR[1]
EARLIEST, LATEST = date(1980, 1, 1), date(2140, 1, 1)

# A key has, from its highest bits: the filer (16), the concept (8), the unit (8), the days of the start (0: an instant)
# and of the end since 1970 (16 each).
_END, _START, _UNIT, _CONCEPT = 2**16, 2**32, 2**40, 2**48
UNITS = 256  # of one filer


def cell_key(filer: pl.Expr, concept: pl.Expr, unit: pl.Expr, start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Return the key of values; `start` may be null."""
    wide = [part.cast(pl.UInt64) for part in (filer, concept, unit, days(start).fill_null(0), days(end))]
    return (((wide[0] * 256 + wide[1]) * 256 + wide[2]) * _END + wide[3]) * _END + wide[4]


def slot_key(filer: pl.Expr, concept: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Return the key of a filer's concept at the end of a period."""
    return cell_key(filer, concept, pl.lit(0), pl.lit(None, pl.Date), end)


def days(day: pl.Expr) -> pl.Expr:
    """Return the days since 1970."""
    return day.cast(pl.Int32)


def filer_of(key: pl.Expr) -> pl.Expr:
    """Return the number of the filer."""
    return key // _CONCEPT


def concept_of(key: pl.Expr) -> pl.Expr:
    """Return the number of the concept."""
    return (key // _UNIT) % 256


def unit_of(key: pl.Expr) -> pl.Expr:
    """Return the number of the unit."""
    return (key // _START) % 256


def start_of(key: pl.Expr) -> pl.Expr:
    """Return the first day; null for an instant."""
    start = (key // _END) % _END
    return pl.when(start > 0).then(start).cast(pl.Int32).cast(pl.Date)


def end_of(key: pl.Expr) -> pl.Expr:
    """Return the last day."""
    return (key % _END).cast(pl.Int32).cast(pl.Date)


def of_concept(key: pl.Expr, concept: int) -> pl.Expr:
    """Return the key with another concept."""
    return key + pl.lit(concept * _UNIT, pl.UInt64) - concept_of(key) * _UNIT


def length(start: str = "start", end: str = "end") -> pl.Expr:
    """Return the days between two columns of days."""
    return (pl.col(end) - pl.col(start)).dt.total_days()
