"""A history as vendors serve it at an instant: as traded, and divided by every later split.

A view changes only when an event takes effect or a correction becomes visible; `stage` returns that state, so that a
view can be cached until it changes.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from quantx.sandbox.columns import FIELDS, Floats
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import Dividend, PriceHistory, Split

Stage = tuple[int, int, tuple[bool, ...], bool]


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """Columns as traded and split-adjusted (not rounded), adjclose, and the events in effect with their instants."""

    history: PriceHistory
    traded: dict[str, Floats]  # as traded, with the vendor's mistakes until they are corrected
    columns: dict[str, Floats]
    adjclose: Floats
    splits: list[tuple[int, Split]]
    dividends: list[tuple[int, float]]  # amounts split-adjusted, as Yahoo sends them


def stage(past: PriceHistory, now: int) -> Stage:
    """Return the events in effect at `now` (Unix seconds); equal stages have equal views.

    An event takes effect when the session of its ex-date opens, so that prices and events on the wire always agree.
    """
    shown = tuple(t <= now for t in past.correction_times)
    whole = past.adjclose is not None and now >= past.opens[-1]
    return bisect_right(past.split_times, now), bisect_right(past.dividend_times, now), shown, bool(whole)


def view_at(past: PriceHistory, at: Stage) -> View:
    """Return the view of the history in a stage."""
    split_count, dividend_count, shown, verbatim = at
    splits = past.splits[:split_count]
    traded = _with_errors(past, shown)
    numerators, denominators = _cumulated(past, splits)
    columns = {name: traded[name] * denominators / numerators for name in FIELDS[:4]}
    columns["volume"] = traded["volume"] * numerators / denominators
    dividends = [(d, _in_todays_shares(d, splits)) for d in past.dividends[:dividend_count]]
    if verbatim and past.adjclose is not None:
        adjclose = past.adjclose
    else:
        adjclose = columns["close"] * _dividend_factors(past, columns["close"], dividends)
    return View(
        history=past,
        traded=traded,
        columns=columns,
        adjclose=adjclose,
        splits=list(zip(past.split_times, splits, strict=False)),
        dividends=[(t, amount) for t, (_, amount) in zip(past.dividend_times, dividends, strict=False)],
    )


def _with_errors(past: PriceHistory, shown: tuple[bool, ...]) -> dict[str, Floats]:
    columns = dict(past.columns)
    for correction, visible in zip(past.corrections, shown, strict=True):
        if not visible:
            column = columns[correction.field].copy()
            column[past.days == day_number(correction.date)] = correction.wrong
            columns[correction.field] = column
    return columns


def _cumulated(past: PriceHistory, splits: tuple[Split, ...]) -> tuple[Floats, Floats]:
    """Return the products of numerators and of denominators of the splits after each row, apart, so both are exact."""
    numerators, denominators = np.ones(len(past.days)), np.ones(len(past.days))
    for split in splits:
        before = int(np.searchsorted(past.days, day_number(split.date), side="left"))
        numerators[:before] *= split.numerator
        denominators[:before] *= split.denominator
    return numerators, denominators


def _in_todays_shares(dividend: Dividend, splits: tuple[Split, ...]) -> float:
    amount = dividend.amount
    for split in splits:
        if split.date > dividend.date:
            amount = amount * split.denominator / split.numerator
    return amount


def _dividend_factors(past: PriceHistory, close: Floats, dividends: list[tuple[Dividend, float]]) -> Floats:
    """Return the factors by Yahoo's rule: 1 - D / the close of the session before, for each later ex-date.

    Checked on AAPL's files of Yahoo: 2014-02-06 gives 0.99404983, the file 0.99404943 (six decimals of a small price).
    """
    factors = np.ones(len(close))
    for dividend, amount in dividends:
        before = int(np.searchsorted(past.days, day_number(dividend.date), side="left"))
        priced = np.flatnonzero(close[max(0, before - 250) : before] > 0)  # a null row has no close to divide by
        if priced.size:
            factors[:before] *= 1 - amount / close[max(0, before - 250) + priced[-1]]
    return factors


def with_running(past: PriceHistory, columns: dict[str, Floats], seen: int, clock: float) -> dict[str, Floats]:
    """Return the columns with partial bars of the sessions open at `clock`; `seen` rows have opened."""
    for row in range(seen - 1, -1, -1):
        opened, closed = int(past.opens[row]), int(past.closes[row])
        if closed <= clock:
            break
        columns = _in_part(columns, row, (clock - opened) / (closed - opened))
    return columns


def _in_part(columns: dict[str, Floats], row: int, progress: float) -> dict[str, Floats]:
    """Return the columns with a partial bar in `row`: it is part of the way to its close, and never at it."""
    columns = {name: column.copy() for name, column in columns.items()}
    opened, high, low, close, volume = (float(columns[name][row]) for name in FIELDS)
    share = min(progress, 0.95)
    price = opened + (close - opened) * share
    if price == close:
        price = (close + (low if close - low >= high - close else high)) / 2
    ratio = price / close if close else 1.0
    columns["close"][row] = price
    columns["high"][row] = max(opened, price, opened + (high - opened) * share)
    columns["low"][row] = min(opened, price, opened + (low - opened) * share)
    columns["volume"][row] = np.floor(volume * share)
    if "adjclose" in columns:
        columns["adjclose"][row] *= ratio
    return columns
