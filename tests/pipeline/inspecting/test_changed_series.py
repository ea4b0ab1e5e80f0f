"""An inspection that judges only what has changed finds what an inspection of all series finds, after any change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.pipeline.conftest import Reads

from quantx.core.calendars import calendar
from quantx.core.completeness import held_days
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, INSTANT, QUARANTINE, TABLES
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.pipeline.inspecting.changed_series import judge_changed
from quantx.pipeline.inspecting.dividends import check_changed_dividends, check_dividends
from quantx.pipeline.inspecting.judged_series import JudgedSeries, read_judged, rules_in_force
from quantx.pipeline.inspecting.series import inspect_series, validate_series
from quantx.pipeline.reporting.held_days import stored_days
from quantx.state.memory import MemoryState

SESSIONS = calendar("XNYS").sessions(date(2021, 9, 1), date(2025, 12, 31))
BEGUN = 760  # sessions that are stored at first
NAMES = [f"S{i:02d}" for i in range(14)]
LATE = ("S03", "S05")
NOW = datetime(2026, 1, 5, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW


class World:
    """A lake of invented series, with the findings of an inspection of changes, and those of a whole one."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.location: LakeLocation = open_location("memory://")
        self.tables = {name: MemoryTable(table) for name, table in TABLES.items()}
        self.found = MemoryState(FixedClock()).findings
        self.price = dict.fromkeys(NAMES, 50.0)
        self.market = self.random.normal(0, 0.01, len(SESSIONS) + 1)
        self.day = BEGUN
        bars = [self.bars(name, range(0 if i % 3 else 300 * (i % 2), BEGUN)) for i, name in enumerate(NAMES[:-1])]
        self.put(pl.concat(bars))
        for name in NAMES[:6]:
            for place in range(310, BEGUN, 63):
                close = float(self.stored(name)["close"][max(0, place - 305)])
                self.put_event(name, SESSIONS[place], "dividend", 0.005 * close, close)

    def bars(self, name: str, places: Sequence[int], *, source: str = "a") -> pl.DataFrame:
        count = len(places)
        late = -1 if name in LATE else 0  # a series that is dated a session late
        steps = self.market[np.asarray(places) + late] + self.random.normal(0, 0.004, count)
        close = self.price[name] * np.exp(np.cumsum(steps))
        self.price[name] = float(close[-1])
        opened, spread = close * np.exp(self.random.normal(0, 0.004, count)), self.random.uniform(1.001, 1.01, count)
        frame = pl.DataFrame(
            {
                "symbol": [name] * count,
                "date": [SESSIONS[i] for i in places],
                "open": opened,
                "high": np.maximum(opened, close) * spread,
                "low": np.minimum(opened, close) / spread,
                "close": close,
                "volume": np.floor(self.random.lognormal(12, 0.3, count)).astype(np.int64),
            }
        )
        more = {"source": source, "currency": "USD", "raw": "", "known_from": pl.lit(NOW).cast(INSTANT)}
        more["year"] = pl.col("date").dt.year()
        columns = {name: pl.lit(value) if isinstance(value, str) else value for name, value in more.items()}
        return frame.with_columns(**columns).select(list(BARS_1D.schema))

    def put(self, rows: pl.DataFrame, table: str = BARS_1D.name) -> None:
        stored = self.tables[table]
        key = list(stored.table.key)
        known = rows.join(stored.read(), on=key, how="semi")
        stored.commit(CommitContext(), rows.join(known, on=key, how="anti"), known)

    def put_event(self, name: str, day: date, kind: str, value: float, close: float | None = None) -> None:
        event = {"source": "a", "symbol": name, "ex_date": day, "kind": kind, "value": value, "reference_close": close}
        more = {"currency": "USD", "raw": "", "known_from": NOW}
        self.put(pl.DataFrame([{**event, **more}], schema=dict(ACTIONS.schema)), ACTIONS.name)

    def stored(self, name: str) -> pl.DataFrame:
        return self.tables[BARS_1D.name].read(pl.col("symbol") == name).sort("date")

    def change(self) -> str:
        """Make one change of a random kind; return its name."""
        kinds = (
            "day",
            "day",
            "day",
            "some",
            "jump",
            "tick",
            "old",
            "idle",
            "action",
            "dividend",
            "dividend",
            "reject",
            "new",
            "gone",
            "other",
        )
        kind = str(self.random.choice(kinds))
        name = str(self.random.choice(NAMES[:-1]))
        if kind in ("day", "some", "jump", "idle"):
            count = int(self.random.choice((1, 1, 5, 30)))
            names = [n for n in NAMES[:-1] if kind != "some" or self.random.random() < 0.5] or NAMES[:1]
            rows = pl.concat([self.bars(n, range(self.day, self.day + count)) for n in names])
            here = (pl.col("symbol") == name) & (pl.col("date") == SESSIONS[self.day])
            if kind == "jump":  # a level that stays, in one series
                far = (pl.col("symbol") == name) & (pl.col("date") >= SESSIONS[self.day])
                scale = float(self.random.choice((0.01, 0.5, 0.8, 2.0, 1.2)))
                prices = ("open", "high", "low", "close")
                rows = rows.with_columns(pl.when(far).then(pl.col(c) * scale).otherwise(c).alias(c) for c in prices)
                self.price[name] *= scale
            if kind == "idle":
                rows = rows.with_columns(pl.when(here).then(0).otherwise("volume").alias("volume"))
            self.day += count
            self.put(rows)
            return f"{kind} {count} {name}"
        bars = self.stored(name)
        if bars.is_empty():
            return "nothing"
        place = int(self.random.integers(0, bars.height)) if kind in ("old", "reject", "dividend") else bars.height - 3
        row = bars[max(0, place)]
        if kind in ("tick", "old"):
            scale = float(self.random.choice((1.001, 3.0, 0.3)))
            self.put(
                row.with_columns(
                    pl.col("high", "close") * scale, pl.col("low").clip(upper_bound=pl.col("close") * scale)
                )
            )
        elif kind == "action":
            self.put_event(name, row["date"][0], "split", 2.0)
        elif kind == "dividend":
            share = float(self.random.choice((0.004, 0.4, 0.00004, 1.3, 0.06)))
            self.put_event(name, row["date"][0], "dividend", share * row["close"][0], row["close"][0])
        elif kind == "reject":
            self.tables[BARS_1D.name].commit(CommitContext(), bars.clear(), None, row)
            facts = {"source": "a", "dataset": "bars_1d", "symbol": name, "date": row["date"][0], "rules": "x"}
            broken = pl.DataFrame([facts], schema_overrides=dict(QUARANTINE.schema))
            self.put(pl.concat([QUARANTINE.empty(), broken], how="diagonal_relaxed"), QUARANTINE.name)
        elif kind == "new":
            self.put(self.bars(NAMES[-1], range(self.day - 400, self.day)))
        elif kind == "gone":
            self.tables[BARS_1D.name].commit(CommitContext(), bars.clear(), None, bars)
        elif kind == "other":
            adjusted = self.bars(name, range(self.day - 300, self.day), source="b")
            self.put(adjusted.cast({"volume": pl.Float64}), BARS_1D_ADJUSTED.name)
        return f"{kind} {name}"

    def open_findings(self, findings: Any) -> list[Any]:
        rows = findings.listed(None, status="open")
        return sorted(
            (r["rule"], r["source"], r["dataset"], r["subject"], r["first_day"], r["last_day"], r["message"])
            for r in rows
        )


def whole(world: World) -> list[Any]:
    fresh = MemoryState(FixedClock()).findings
    validate_series(world.tables, fresh)
    check_dividends(world.tables, fresh)
    return world.open_findings(fresh)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_findings_equal_those_of_a_whole_inspection_after_any_changes(seed: int) -> None:
    world = World(seed)
    history = ["begin"]
    for _ in range(18):
        inspect_series(world.location, world.tables, world.found, [])
        check_changed_dividends(world.location, world.tables, world.found, [])
        assert world.open_findings(world.found) == whole(world), history
        history.append(world.change())


def test_only_the_years_that_changed_and_the_ends_of_series_are_read(tmp_path: Path) -> None:
    world, location = World(1), open_location(str(tmp_path / "lake"))
    lake = open_tables(location, TABLES)
    lake[BARS_1D.name].commit(CommitContext(1), world.tables[BARS_1D.name].read())
    inspect_series(location, lake, world.found, NAMES)
    first = read_judged(location, BARS_1D)
    day = pl.concat([world.bars(name, [BEGUN]) for name in NAMES[:-1]])
    lake[BARS_1D.name].commit(CommitContext(2), day)
    reads = Reads(lake[BARS_1D.name])
    inspect_series(location, {**lake, BARS_1D.name: reads}, world.found, NAMES)  # type: ignore[dict-item]
    # From 600 days before the newest judged session on; the last year has a new file.
    assert _years_read(reads) == {2023, 2024}
    again = read_judged(location, BARS_1D)
    assert again.series["bars"].sum() == first.series["bars"].sum() + day.height
    unchanged = Reads(lake[BARS_1D.name])
    inspect_series(location, {**lake, BARS_1D.name: unchanged}, world.found, NAMES)  # type: ignore[dict-item]
    assert unchanged.plans == []


def _years_read(reads: Reads) -> set[int]:
    return {year for year in range(2021, 2026) for plan in reads.plans if f"/year={year}/" in plan}


def test_a_record_of_other_rules_or_a_damaged_one_is_left_out() -> None:
    world = World(2)
    inspect_series(world.location, world.tables, world.found, [])
    path = "meta/inspected/bars_1d.json"
    kept = world.location.get(path)
    for body in (b"{", kept.replace(rules_in_force().encode(), b"0" * 64), kept[:-40]):
        world.location.put(path, body)
        assert read_judged(world.location, BARS_1D).series.is_empty()
        inspect_series(world.location, world.tables, world.found, [])
        assert read_judged(world.location, BARS_1D).series.height == len(NAMES) - 1


def test_findings_about_a_series_that_went_while_there_was_no_record_are_resolved() -> None:
    world = World(1)
    world.put_event("S03", SESSIONS[600], "dividend", 200.0, 50.0)
    inspect_series(world.location, world.tables, world.found, [])
    check_changed_dividends(world.location, world.tables, world.found, [])
    assert {rule for rule, _, _, subject, *_ in world.open_findings(world.found) if subject == "S03"} >= {
        "series_shifted",
        "dividend_below_price",
    }
    for table in (BARS_1D, ACTIONS):
        stored = world.tables[table.name]
        rows = stored.read(pl.col("symbol") == "S03")
        stored.commit(CommitContext(), rows.clear(), None, rows)
    world.location.delete(list(world.location.paths("meta/inspected")))
    inspect_series(world.location, world.tables, world.found, [])
    check_changed_dividends(world.location, world.tables, world.found, [])
    assert world.open_findings(world.found) == whole(world)


@pytest.mark.parametrize("day", [date(2022, 12, 1), date(2023, 1, 12), date(2023, 3, 1), date(2023, 9, 1)])
def test_the_market_follows_corrections_of_its_witnesses_on_any_day(day: date) -> None:
    world = World(4)
    inspect_series(world.location, world.tables, world.found, [])
    corrected = world.tables[BARS_1D.name].read(pl.col("date") == day).with_columns(pl.col("close") * 1.02)
    world.put(corrected)
    inspect_series(world.location, world.tables, world.found, [])
    whole = judge_changed(world.tables, BARS_1D, JudgedSeries()).record
    assert read_judged(world.location, BARS_1D).market.equals(whole.market)


def test_held_days_of_unchanged_years_are_those_of_the_record(tmp_path: Path) -> None:
    world, location = World(3), open_location(str(tmp_path / "lake"))
    table = open_tables(location, TABLES)[BARS_1D.name]
    table.commit(CommitContext(1), world.tables[BARS_1D.name].read())
    stored_days(location, table)
    table.commit(CommitContext(2), pl.concat([world.bars(name, [BEGUN]) for name in NAMES[:-1]]))
    reads = Reads(table)
    found = stored_days(location, reads)  # type: ignore[arg-type]
    assert _years_read(reads) == {2024}
    whole = table.collect(held_days(table.scan()))
    assert found.sort("symbol", "month").equals(whole.sort("symbol", "month"))


class ReadSymbols(Reads):
    """A table that keeps the symbols of the rows that were read."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.symbols = set[str]()

    def collect(self, rows: pl.LazyFrame) -> pl.DataFrame:
        found = super().collect(rows)
        self.symbols |= set(found["symbol"])
        return found


def test_bars_are_read_again_for_dividends_only_where_a_verdict_may_change() -> None:
    world = World(1)

    def check() -> set[str]:
        """Inspect; return the symbols whose bars were read for their dividends."""
        inspect_series(world.location, world.tables, world.found, [])
        reads = ReadSymbols(world.tables[BARS_1D.name])
        tables = {**world.tables, BARS_1D.name: reads}
        check_changed_dividends(world.location, tables, world.found, [])  # type: ignore[arg-type]
        return reads.symbols

    assert check() == set(NAMES[:6])
    world.put(pl.concat([world.bars(name, range(BEGUN, BEGUN + 5)) for name in NAMES[:-1]]))
    check()  # the prices of some had not shown their last dividend yet
    world.put(pl.concat([world.bars(name, [BEGUN + 5]) for name in NAMES[:-1]]))
    assert check() == set()
    close = float(world.stored("S01")["close"][100])
    world.put_event("S01", world.stored("S01")["date"][101], "dividend", 1.3 * close, close)
    assert check() == {"S01"}
    assert [f.subject for f in world.found.open("dividend_below_price")] == ["S01"]
