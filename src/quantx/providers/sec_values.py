"""Values of the SEC's replies, read strictly and in bulk: a value of another form is an error, never a guess."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from quantx.core.table import INSTANT
from quantx.providers.reply_values import WrongForm

_FIRST, _LAST = date(1800, 1, 1), date(2200, 1, 1)
_ACCESSION = r"^\d{10}-\d{2}-\d{6}$"


def cik_of(value: Any) -> int:
    """Return a CIK that is sent as a number (companyfacts of some filers) or as a text of up to ten digits."""
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) <= 10:
        value = int(value)
    if type(value) is not int or not 0 < value < 10**10:
        raise WrongForm("its CIK is no number of ten digits at most")
    return value


def text_column(name: str, values: Sequence[Any], *, null: bool = False) -> pl.Series:
    """Return a column of texts; an empty text is null. Nulls are an error, unless they are allowed."""
    if not set(map(type, values)) <= ({str, type(None)} if null else {str}):
        raise WrongForm(f"{name} is no list of texts")
    column = pl.Series(name, values, dtype=pl.String)
    return column.set(column == "", None) if null else column


def whole_column(name: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of whole numbers and nulls."""
    if not set(map(type, values)) <= {int, type(None)}:
        raise WrongForm(f"{name} is no list of whole numbers")
    return pl.Series(name, values, dtype=pl.Int32)


def number_column(name: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of finite numbers, and null where a value is null. Whole numbers beyond 2⁵³ are rounded."""
    if not set(map(type, values)) <= {int, float, type(None)}:
        raise WrongForm(f"{name} is no list of numbers")
    column = pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    if not column.is_finite().all():
        raise WrongForm(f"{name} has a number without limit")
    return column


def day_column(name: str, values: Sequence[Any], *, null: bool = False, any_year: bool = False) -> pl.Series:
    """Return a column of days written as 2024-02-29.

    A day that no filing can have is an error, except with `any_year`: filers mistype years of periods (0201, 2107),
    and such a fact must not cost the others of the reply. The row rules reject it.
    """
    spelt = text_column(name, values, null=null)
    if not (spelt.str.len_bytes() == 10).all():
        raise WrongForm(f"{name} has a day in another form")
    days = spelt.str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() != spelt.null_count() or not (any_year or days.is_between(_FIRST, _LAST).all()):
        raise WrongForm(f"{name} has a text that is no day")
    return days


def instant_column(name: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of instants written as 2024-11-01T06:01:36.000Z; null for an empty text."""
    spelt = text_column(name, values, null=True)
    moments = spelt.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_unit="us")
    if moments.null_count() != spelt.null_count() or not moments.dt.date().is_between(_FIRST, _LAST).all():
        raise WrongForm(f"{name} has a text that is no time")
    return moments.cast(INSTANT)


def accession_column(values: Sequence[Any]) -> pl.Series:
    """Return a column of accession numbers, as in 0000320193-24-000123."""
    numbers = text_column("accession", values)
    if not numbers.str.contains(_ACCESSION).all():
        raise WrongForm("a filing's accession number has another form")
    return numbers
