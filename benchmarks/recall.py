"""Recall: damage of every kind in clean daily files, found with one vendor and with two; and alarms on clean files."""

from __future__ import annotations

import csv
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.seeded_faults import KINDS, Damaged, Kind, hidden_splits
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.daily_files import DailyFile, read_daily_file
from quantx.core.quality import RULES
from quantx.core.quality.daily_file_checks import FileReport, check_file
from quantx.core.quality.market_moves import market_of, returns_of
from quantx.core.quality.vendor_causes import add_causes
from quantx.core.quality.vendor_comparison import compare
from quantx.core.symbols import venue_of
from quantx.pipeline.inspecting.local_files import symbol_of, text_of

_ROOT = Path(__file__).parents[1]
_SAMPLE = _ROOT / "tests" / "data"
_YAHOO, _QUANDL = "daily_us_yahoo_csv/sp500", "daily_us_unadjusted_with_events_quandl_wiki"
_TRIES, _AIM, _ALARMS = 30, 80, "≤ 2"
_BESIDE = 7  # days: a finding so near to the damage is about it
_LEAST_ROWS = 370  # of a file that is damaged
HEADINGS = ("kind", "one vendor, %", "two vendors, %", "", "aim", "")


@dataclass(frozen=True)
class Clean:
    """A clean file with its report."""

    symbol: str
    file: DailyFile
    report: FileReport


def run(folder: Path, *, quick: bool, seed: int = 1) -> Outcome:
    """Damage clean files at random places, in every kind; count what is a new finding at `warn` or worse."""
    del folder
    data = Path(os.environ.get("QUANTX_MARKET_DATA") or _ROOT.parent / "shared" / "market-data")
    data, defects = (data, _ROOT / "docs" / "defects.csv") if data.is_dir() else (_SAMPLE, _SAMPLE / "defects.csv")
    dirty = _dirty(defects)
    tries = 1 if quick else _TRIES
    yahoo, market = _clean(data / _YAHOO, dirty, 12 if quick else None)
    quandl, _ = _clean(data / _QUANDL, set(), 5 if quick else None)
    years = sum(clean.report.rows for clean in yahoo) / 252
    alarms = sum(len(_alarms(clean.report)) for clean in yahoo)
    lines = [_line(kind, quandl if kind.as_traded else yahoo, market, tries, seed) for kind in KINDS]
    missed = sum(line.measured < _AIM and not kind.why_not for kind, line in zip(KINDS, lines, strict=True))
    hidden = [(clean, damaged) for clean in quandl for damaged in hidden_splits(clean.file.rows)]
    found = [_found(clean, damaged, None) for clean, damaged in hidden]
    lines.append(Line(f"kinds found in less than {_AIM} % of the tries with one vendor", missed, aim="= 0", digits=0))
    lines.append(Line("a real split hidden in an as-traded file", 100 * sum(found) / max(len(found), 1), aim="= 100"))
    lines.append(Line("alarms per 1,000 symbol-years of clean files", 1000 * alarms / years, aim=_ALARMS))
    counts = {
        "kinds": len(KINDS),
        "missed": missed,
        "tries": tries,
        "clean_files": len(yahoo),
        "symbol_years": round(years),
        "alarms": alarms,
    }
    title = f"Recall: {len(KINDS)} kinds of damage, {tries} tries each, seed {seed}"
    return Outcome(title, tuple(lines), {**counts, "hidden_splits": len(hidden)}, headings=HEADINGS)


def _dirty(table: Path) -> set[str]:
    """Return the names of the Yahoo files with known defects."""
    rows = csv.DictReader(table.read_text("utf-8").splitlines())
    return {Path(row["file"]).name for row in rows if row["file"].startswith(_YAHOO) and row["rule"] != "large_move"}


def _clean(folder: Path, dirty: set[str], most: int | None) -> tuple[list[Clean], pl.DataFrame]:
    """Return the clean files of a folder with their reports, and their market."""
    files = {}
    for path in sorted(p for p in folder.glob("*.csv*") if p.name not in dirty)[:most]:
        file = read_daily_file(text_of(path))
        files[symbol_of(path)] = replace(file, rows=file.rows.sort("date", maintain_order=True))
    closes = [f.rows.select("date", "close", symbol=pl.lit(s)).filter(pl.col("close") > 0) for s, f in files.items()]
    market = market_of(returns_of(pl.concat(closes)))
    return [Clean(symbol, file, check_file(symbol, file, market)) for symbol, file in files.items()], market


def _line(kind: Kind, files: Sequence[Clean], market: pl.DataFrame, tries: int, seed: int) -> Line:
    chance = np.random.default_rng([seed, zlib.crc32(kind.name.encode())])
    long = [clean for clean in files if clean.file.rows.height >= _LEAST_ROWS]
    if kind.as_traded:
        long = [clean for clean in long if (clean.file.rows["dividend"] > 0).any()]
    alone = both = 0
    for _ in range(tries):
        clean = long[int(chance.integers(len(long)))]
        damaged = kind.damage(clean.file.rows, chance)
        found = _found(clean, damaged, market)
        alone += found
        both += found or _differs(clean, damaged)
    name = f"{kind.name} ({kind.why_not})" if kind.why_not else kind.name
    return Line(name, 100 * alone / tries, 100 * both / tries, digits=0, ratio=False)


def _found(clean: Clean, damaged: Damaged, market: pl.DataFrame | None) -> bool:
    """Return whether the damage is a rejected row, or a finding at `warn` or worse, that the clean file has not."""
    report = check_file(clean.symbol, replace(clean.file, rows=damaged.rows), market)
    beside = timedelta(days=_BESIDE)
    near = (pl.col("last") >= damaged.first - beside) & (pl.col("first") <= damaged.last + beside)
    new = _alarms(report).join(_alarms(clean.report), on=["rule", "first", "last", "rows"], how="anti")
    return not new.filter(near).is_empty()


def _alarms(report: FileReport) -> pl.DataFrame:
    """Return the rejected rows and the violations at `warn` or worse: rule, first, last, rows."""
    severe = [rule.id for rule in RULES.values() if rule.severity != "info"]
    found = report.violations.filter(pl.col("rule").is_in(severe))
    rejected = report.rejected.select(rule="rules", first="date", last="date", rows=pl.lit(1, dtype=pl.UInt32))
    return pl.concat([found.select("rule", first="first_day", last="last_day", rows="rows"), rejected])


def _differs(clean: Clean, damaged: Damaged) -> bool:
    """Return whether a second vendor with the clean rows disagrees at `warn` or worse."""
    venue = venue_of(clean.symbol)
    one, other = (_comparable(clean.symbol, rows, venue.currency) for rows in (damaged.rows, clean.file.rows))
    odd = add_causes(compare(one, other, venue.market, calendar(venue.calendar)).odd, calendar(venue.calendar))
    severe = [rule.id for rule in RULES.values() if rule.severity != "info"]
    return not odd.filter(pl.col("rule").is_in(severe)).is_empty()


def _comparable(symbol: str, rows: pl.DataFrame, currency: str) -> pl.DataFrame:
    kept = rows.filter(pl.all_horizontal(pl.col("open", "high", "low", "close") > 0)).unique("date", keep="last")
    return kept.select(
        "date", "open", "high", "low", "close", "volume", symbol=pl.lit(symbol), currency=pl.lit(currency)
    )
