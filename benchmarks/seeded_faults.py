"""The kinds of damage that vendors' daily files have, as functions that damage a clean file at a random place.

A kind is one entry. Its function takes the rows of a clean file, in the order of their dates, and a source of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from quantx.core.prices import PRICES

_EDGE = 70  # rows before the first and after the last damaged row
ROW = pl.int_range(pl.len())


@dataclass(frozen=True)
class Damaged:
    """The rows of a damaged file, and the first and the last damaged day."""

    rows: pl.DataFrame
    first: date
    last: date


Damage = Callable[[pl.DataFrame, np.random.Generator], Damaged]


@dataclass(frozen=True)
class Kind:
    """A kind of damage; `as_traded`: in files with splits and dividends. `why_not` names an exception to the aim."""

    name: str
    damage: Damage
    as_traded: bool = False
    why_not: str = ""


def _place(rows: pl.DataFrame, chance: np.random.Generator, length: int = 1) -> int:
    return int(chance.integers(_EDGE, rows.height - _EDGE - length))


def _damaged(rows: pl.DataFrame, first: int, last: int, **values: pl.Expr | float | None) -> Damaged:
    """Return the rows with these values from row `first` to row `last`."""
    where = ROW.is_between(first, last)
    changed = rows.with_columns(
        pl.when(where).then(v if isinstance(v, pl.Expr) else pl.lit(v, dtype=pl.Float64)).otherwise(c).alias(c)
        for c, v in values.items()
    )
    return Damaged(changed, rows["date"][first], rows["date"][last])


def _times(factor: float, columns: Sequence[str] = (*PRICES, "adj_close")) -> dict[str, pl.Expr]:
    return {column: pl.col(column) * factor for column in columns}


def at_a_day(**values: pl.Expr | float | None) -> Damage:
    """Damage one row: set these columns."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        return _damaged(rows, place, place, **values)

    return damage


def run_of(sessions: int, factor: float, volume: float = 1.0) -> Damage:
    """Multiply prices and volume over some sessions."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        first = _place(rows, chance, sessions)
        return _damaged(rows, first, first + sessions - 1, **_times(factor), volume=pl.col("volume") * volume)

    return damage


def split(ratio: float) -> Damage:
    """Leave all rows before a day in old shares: a split without an event."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        done = _damaged(rows, 0, place - 1, **_times(ratio), volume=pl.col("volume") / ratio)
        return Damaged(done.rows, rows["date"][place], rows["date"][place])

    return damage


def step(least: float, most: float) -> Damage:
    """Multiply the prices from a day on, and leave the volume: adjusted prices served as traded ones."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        done = _damaged(rows, place, rows.height - 1, **_times(float(chance.uniform(least, most))))
        return Damaged(done.rows, rows["date"][place], rows["date"][place])

    return damage


def shifted(sessions: int) -> Damage:
    """Date every row a session late, or early."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        del chance
        moved = rows.with_columns(pl.col(*PRICES, "volume", "adj_close").shift(sessions)).drop_nulls("close")
        return Damaged(moved, rows["date"][0], rows["date"][-1])

    return damage


def drift(daily: float) -> Damage:
    """Let the prices drift away from the adjusted close, which stays right."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        grown = (1 + daily) ** (ROW - place).cast(pl.Float64)
        return _damaged(rows, place, rows.height - 1, **{c: pl.col(c) * grown for c in PRICES})

    return damage


def drift_of_all(daily: float) -> Damage:
    """Let all prices drift, the adjusted close with them."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        grown = (1 + daily) ** (ROW - place).cast(pl.Float64)
        return _damaged(rows, place, rows.height - 1, **{c: pl.col(c) * grown for c in (*PRICES, "adj_close")})

    return damage


def volume_from(factor: float) -> Damage:
    """Multiply the volume from a day on."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        done = _damaged(rows, place, rows.height - 1, volume=(pl.col("volume") * factor).round())
        return Damaged(done.rows, rows["date"][place], rows["date"][place])

    return damage


def blinded(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
    """Put a price of a thousand times the others some sessions before a split without an event."""
    done = split(2)(rows, chance)
    place = int(done.rows["date"].search_sorted(done.first))
    huge = place - int(chance.integers(15, 60))
    return Damaged(_damaged(done.rows, huge, huge, **_times(1000)).rows, done.first, done.last)


def closes_only(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
    """Put the close in place of all prices for a year."""
    first = _place(rows, chance, 252)
    close = pl.col("close")
    return _damaged(rows, first, first + 251, open=close, high=close, low=close)


def stray(column: str) -> Damage:
    """Move the high, or the low, alone: 25 to 60 % beyond open and close."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        away, place = 1 + float(chance.uniform(0.25, 0.6)), _place(rows, chance)
        highest, lowest = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
        return _damaged(rows, place, place, **{column: highest * away if column == "high" else lowest / away})

    return damage


def repeated(sessions: int, volume: float | None) -> Damage:
    """Repeat a row; with its own volume, or a given one."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        first = _place(rows, chance, sessions)
        of = rows.row(first, named=True)
        traded = of["volume"] if volume is None else volume
        prices = {column: of[column] for column in (*PRICES, "adj_close")}
        return _damaged(rows, first, first + sessions - 1, **prices, volume=traded)

    return damage


def on_a_saturday(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
    """Repeat a Friday's row on the next day."""
    fridays = rows.with_row_index("place").filter(pl.col("date").dt.weekday() == 5)["place"]
    place = int(fridays[int(chance.integers(30, len(fridays) - 30))])
    saturday = rows["date"][place] + timedelta(days=1)
    extra = rows[place].with_columns(date=pl.lit(saturday), time=pl.lit(str(saturday)))
    return Damaged(pl.concat([rows[: place + 1], extra, rows[place + 1 :]]), saturday, saturday)


def twice(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
    """Add a row of the running session before the final one."""
    place = _place(rows, chance)
    running = rows[place].with_columns(
        pl.col("volume") * 0.4, close=pl.col("open"), low=pl.min_horizontal("open", "low")
    )
    return Damaged(pl.concat([rows[:place], running, rows[place:]]), rows["date"][place], rows["date"][place])


def missing(sessions: int) -> Damage:
    """Leave out some rows."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        first = _place(rows, chance, sessions)
        last = first + sessions - 1
        return Damaged(rows.filter(~ROW.is_between(first, last)), rows["date"][first], rows["date"][last])

    return damage


def another_company(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
    """Let another company at seven times the price follow after 60 sessions without a row."""
    first = _place(rows, chance, 60)
    moved = _damaged(rows, first, rows.height - 1, **_times(7.3)).rows.filter(~ROW.is_between(first, first + 59))
    return Damaged(moved, rows["date"][first], rows["date"][first + 60])


def every(period: str) -> Damage:
    """Combine the rows of each week or month into one."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        del chance
        columns = rows.columns
        combined = rows.group_by(pl.col("date").dt.truncate(period).alias("period"), maintain_order=True).agg(
            *(pl.col(c).last() for c in columns if c not in ("open", "high", "low", "volume")),
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("volume").sum(),
        )
        return Damaged(combined.select(columns), rows["date"][0], rows["date"][-1])

    return damage


def dividend(factor: float) -> Damage:
    """Multiply one dividend; the adjusted close stays right."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        paid = rows.with_row_index("place").filter(pl.col("dividend") > 0)["place"]
        place = int(paid[int(chance.integers(0, len(paid)))])
        return _damaged(rows, place, place, dividend=pl.col("dividend") * factor)

    return damage


def factor_step(factor: float) -> Damage:
    """Multiply all adjusted closes before a day: an event is in them that the file does not have."""

    def damage(rows: pl.DataFrame, chance: np.random.Generator) -> Damaged:
        place = _place(rows, chance)
        done = _damaged(rows, 0, place - 1, adj_close=pl.col("adj_close") * factor)
        return Damaged(done.rows, rows["date"][place], rows["date"][place])

    return damage


def hidden_splits(rows: pl.DataFrame) -> list[Damaged]:
    """Hide each split of an as-traded file: the rows stay, the event is gone."""
    hidden = []
    for place in rows.with_row_index("place").filter(pl.col("split") > 0, pl.col("split") != 1)["place"]:
        hidden.append(_damaged(rows, place, place, split=1.0))
    return hidden


_absurd = _times(1e6)
KINDS: tuple[Kind, ...] = (
    Kind("a row without prices", at_a_day(**dict.fromkeys((*PRICES, "adj_close"), None))),
    Kind("an open of zero", at_a_day(open=0.0)),
    Kind("high below close", at_a_day(high=pl.col("close") * 0.99)),
    Kind("low above close", at_a_day(low=pl.col("close") * 1.01)),
    Kind("open outside of the range", at_a_day(open=pl.col("high") * 1.05)),
    Kind("one price in hundredths", at_a_day(low=pl.col("low") / 100)),
    Kind("no volume", at_a_day(volume=None)),
    Kind("a negative volume", at_a_day(volume=-1.0)),
    Kind("a row on a Saturday", on_a_saturday),
    Kind("two rows for a session", twice),
    Kind("an absurd price: 10⁶ times its neighbours, volume 0", at_a_day(**_absurd, volume=0.0)),
    Kind("thirty times the price for a day, busy", run_of(1, 30, 40)),
    Kind("a tenth of the price for a day", run_of(1, 0.1)),
    Kind("three times the price for four sessions", run_of(4, 3)),
    Kind("0.7 times the price for a day", run_of(1, 0.7)),
    Kind("a run × 10 of 40 sessions, volume ÷ 10", run_of(40, 10, 0.1)),
    Kind("a run × 10 of 120 sessions, volume ÷ 10", run_of(120, 10, 0.1)),
    Kind("a run × 10 of 40 sessions, same volume", run_of(40, 10)),
    Kind("pence for thirty sessions", run_of(30, 0.01)),
    *(Kind(f"a forgotten split {n}:1", split(n)) for n in (20, 10, 4, 3, 2)),
    Kind("a forgotten split 1:2", split(1 / 2)),
    Kind("a forgotten split 1:10", split(1 / 10)),
    Kind("a forgotten split 3:2", split(3 / 2)),
    Kind("a forgotten split 4:3", split(4 / 3)),
    Kind("a forgotten split 2:1 after a huge jump", blinded),
    Kind("prices × 0.55 from a day on", step(0.55, 0.55)),
    Kind("prices × 0.70 to 0.85 from a day on", step(0.7, 0.85)),
    Kind("prices × 1.3 to 1.75 from a day on", step(1.3, 1.75)),
    Kind("all rows a session late", shifted(1)),
    Kind("all rows a session early", shifted(-1)),
    Kind("prices drift up by 0.1 % a day, adjusted close right", drift(0.001)),
    Kind("prices drift down by 0.1 % a day, adjusted close right", drift(-0.001)),
    Kind(
        "all prices drift by 0.1 % a day",
        drift_of_all(0.001),
        why_not="a share that does better than its market looks the same",
    ),
    Kind("volume ÷ 100 from a day on", volume_from(0.01)),
    Kind("volume × 100 from a day on", volume_from(100)),
    Kind("volume × 1000 on a day", run_of(1, 1, 1000)),
    Kind("a week at 1 % of the volume", run_of(5, 1, 0.01)),
    Kind("a high alone 25 to 60 % away", stray("high")),
    Kind("a low alone 25 to 60 % away", stray("low")),
    Kind("a year with one price for open, high, low and close", closes_only),
    Kind("a move without volume", at_a_day(volume=0.0)),
    Kind("twelve sessions repeated, no volume", repeated(12, 0.0)),
    Kind("twelve sessions repeated with their volume", repeated(12, None)),
    Kind("three sessions missing", missing(3)),
    Kind("another company after 60 sessions", another_company),
    Kind("weekly bars", every("1w")),
    Kind("monthly bars", every("1mo")),
    Kind(
        "a close 2 % off for a day",
        at_a_day(
            close=pl.col("close") * 1.02,
            high=pl.max_horizontal("high", pl.col("close") * 1.02),
            adj_close=pl.col("adj_close") * 1.02,
        ),
        why_not="one series does not show which of two closes is right",
    ),
    Kind("adjusted closes below zero", factor_step(-0.01)),
    Kind("an adjusted close with a split that the file does not have", factor_step(2.0)),
    Kind("a dividend in pence among pounds, × 100", dividend(100), as_traded=True),
    Kind("a dividend doubled, adjusted close right", dividend(2), as_traded=True),
    Kind("a dividend missing, adjusted close right", dividend(0), as_traded=True),
)
