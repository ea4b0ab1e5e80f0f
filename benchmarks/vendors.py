"""B6, between vendors: two sources of 2.5 million bars are compared, judged, and summarized by month."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.market import LAST, symbols
from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.quality.vendor_causes import add_causes
from quantx.core.quality.vendor_comparison import KEY, compare
from quantx.core.quality.vendor_verdicts import Witness, agreements_of, decide, verdicts_of

ROWS = 2_500_000
TRIES = 5
_FIRST = date(2011, 1, 3)
_NOW = datetime(2026, 1, 5, 23, tzinfo=UTC)
_OFF = 0.003  # the share of wrong closes; a third of it is the share of missing sessions
_CENTS = 100


def run(folder: Path, *, quick: bool) -> Outcome:
    """Reconcile two sources, beside a bare join of the two frames, each in a process of its own."""
    count = ROWS // (10 if quick else 1) // len(_days())
    done = apart("benchmarks.vendors:reconciled", count=count)
    floor = apart("benchmarks.vendors:joined", count=count)
    parts = ", ".join(f"{name} {median(done[name]):.2f}" for name in ("comparing", "judging"))
    return Outcome(
        f"B6 between vendors: two sources of {done['rows']:,} rows, {count:,} symbols of 15 years",
        (
            Line(f"reconciliation, s, best of {TRIES}", min(done["seconds"]), min(floor["seconds"]), "≤ 2"),
            Line(f"the same, median (s: {parts})", median(done["seconds"]), median(floor["seconds"]), "≤ 2"),
            Line("CPU seconds, least", min(done["cpu"]), min(floor["cpu"])),
            Line(
                "peak memory, MB, with both sources and a third for one symbol in ten",
                done["peak_mb"],
                floor["peak_mb"],
                "< 2,048",
                digits=0,
            ),
        ),
        {name: done[name] for name in ("rows", "sessions", "agreed", "lacking", "odd", "wrong", "doubtful")},
    )


def reconciled(count: int) -> dict[str, Any]:
    """Compare, find causes, judge, and return the rows of both tables, several times."""
    a, b = _source(count), _with_errors(_source(count), count)
    witness = Witness("c", _source(count // 10))
    names = ("seconds", "cpu", "comparing", "judging")
    results: dict[str, Any] = {name: [] for name in names}
    for _ in range(TRIES):
        with stretch() as whole:
            with stretch() as comparing:
                compared = compare(a, b, "us", calendar("XNYS"))
            with stretch() as judging:
                judged = decide(add_causes(compared.odd, calendar("XNYS")), [witness], "us")
                months = agreements_of(compared, judged, "a", "b", "us", _NOW)
                verdicts = verdicts_of(judged, "a", "b", _NOW)
        for name, value in zip(names, (whole.seconds, whole.cpu, comparing.seconds, judging.seconds), strict=True):
            results[name].append(value)
    counts = months.select(pl.col("sessions", "agreed", "lacking_b").sum()).row(0, named=True)
    return results | {
        "rows": a.height,
        "sessions": counts["sessions"],
        "agreed": counts["agreed"],
        "lacking": counts["lacking_b"],
        "odd": judged.height,
        "wrong": verdicts.filter(pl.col("verdict") == "wrong").height,
        "doubtful": verdicts.filter(pl.col("verdict") == "doubtful").height,
    }


def joined(count: int) -> dict[str, Any]:
    """Measure the floor: join the same frames."""
    a, b = _source(count), _with_errors(_source(count), count)
    results: dict[str, Any] = {"seconds": [], "cpu": []}
    for _ in range(TRIES):
        with stretch() as whole:
            a.join(b, on=KEY, how="full", coalesce=True, suffix="_b")
        results["seconds"].append(whole.seconds)
        results["cpu"].append(whole.cpu)
    return results


def _days() -> tuple[date, ...]:
    return calendar("XNYS").sessions(_FIRST, LAST)


def _source(count: int) -> pl.DataFrame:
    """Return the bars of `count` symbols, sorted, in whole cents."""
    days, random = _days(), np.random.default_rng(6)
    rows = count * len(days)
    close = np.round(np.exp(random.normal(4, 0.5, rows)) + 1, 2)
    return pl.DataFrame(
        {
            "symbol": pl.Series(symbols(count)).repeat_by(len(days)).explode(),
            "date": pl.Series(days, dtype=pl.Date).implode().repeat_by(count).explode().explode(),
            "open": np.round(close * 0.995, 2),
            "high": np.round(close * 1.01, 2),
            "low": np.round(close * 0.99, 2),
            "close": close,
            "volume": random.integers(10_000, 10_000_000, rows),
            "currency": "USD",
        }
    )


def _with_errors(bars: pl.DataFrame, count: int) -> pl.DataFrame:
    """Return another vendor's bars: wrong closes, missing sessions, a symbol in cents, one without its split."""
    names, lot = symbols(count), np.random.default_rng(7).random(bars.height)
    half = bars["date"].dt.year() < 2018
    factor = (
        pl.when(pl.col("symbol") == names[1])
        .then(float(_CENTS))
        .when((pl.col("symbol") == names[2]) & half)
        .then(0.5)
        .otherwise(1.0)
    )
    off = pl.when(pl.Series(lot < _OFF)).then(1.005).otherwise(1.0)
    changed = bars.with_columns(
        *(pl.col(c) * factor for c in ("open", "high", "low")), (pl.col("close") * factor * off).alias("close")
    )
    return changed.filter(lot < 1 - _OFF / 3)
