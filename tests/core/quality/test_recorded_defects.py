"""The rules find the defects of docs/defects.csv (sample: tests/data/defects.csv), and clean files raise nothing."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from datetime import date
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from quantx.core.quality import RULES
from quantx.core.quality.daily_file_checks import FileReport
from quantx.pipeline.inspecting.local_files import JudgedFile, judge_files, symbol_of

from ...market_data import SAMPLE, either

RECORDED_TABLE = Path(__file__).parents[3] / "docs" / "defects.csv"
TABLE = either(RECORDED_TABLE, SAMPLE / "defects.csv")
DEFECTS = list(csv.DictReader(TABLE.read_text().splitlines()))
YAHOO = "daily_us_yahoo_csv/sp500"
EVERY = 1 if os.environ.get("CLEAN_FILES") == "all" else either(8, 1)
# Files with defects of their own, by the table; the others of that folder are as good as clean.
DIRTY = {Path(row["file"]).name for row in DEFECTS if row["file"].startswith(YAHOO) and row["rule"] != "large_move"}


@cache
def judged(path: Path, symbol: str | None) -> FileReport:
    (file,) = judge_files([path], symbol)
    assert file.report is not None, file.why
    return file.report


def found_by(report: FileReport, rules: list[str]) -> tuple[int, date | None, date | None]:
    """Return rows, first and last day of what these rules have found together."""
    if rules == ["payload_readable"]:
        return report.strange, None, None
    hit = pl.any_horizontal(pl.col("rules").str.split(",").list.contains(rule) for rule in rules)
    rejected = report.rejected.filter(hit).select(first_day="date", last_day="date", rows=pl.lit(1, dtype=pl.UInt32))
    found = report.violations.filter(pl.col("rule").is_in(rules)).select("first_day", "last_day", "rows")
    every = pl.concat([rejected, found])
    return every["rows"].sum(), every["first_day"].min(), every["last_day"].max()  # type: ignore[return-value]


@pytest.mark.parametrize("row", DEFECTS, ids=[f"{Path(r['file']).stem}-{r['rule']}" for r in DEFECTS])
def test_a_known_defect_is_found(row: dict[str, str], market_data: Path) -> None:
    report = judged(market_data / row["file"], row["symbol"] or None)
    rows, first, last = found_by(report, row["rule"].split())
    assert rows > 0
    assert (str(rows), str(first or ""), str(last or "")) == (row["rows"], row["first"], row["last"])


def test_the_table_names_rules_that_exist() -> None:
    rows = csv.DictReader(RECORDED_TABLE.read_text().splitlines())
    assert {rule for row in rows for rule in row["rule"].split()} <= set(RULES)


# Distributions of a fifth of the price or more, which Yahoo's CSV files do not have: a review finds them.
DISTRIBUTIONS = either({("BKR", "2017-07-05"), ("KLAC", "2014-11-26"), ("VTR", "2015-08-18")}, set())
CRASHES = either(
    {
        ("AAPL", "2000-09-29"),
        ("AIG", "2008-09-15"),
        ("APA", "2020-03-09"),
        ("OXY", "2020-03-09"),
        ("PCG", "2019-01-14"),
        ("TRGP", "2020-03-09"),
    },
    {("QZBB", "2017-03-09")},
)

MOVED = {symbol for symbol, _ in DISTRIBUTIONS | CRASHES}


@pytest.fixture(scope="module")
def large_caps(market_data: Path) -> list[JudgedFile]:
    """The files of large companies: those with real moves and every eighth other one, all of them in `make prove`."""
    paths = sorted((market_data / YAHOO).iterdir())
    chosen = {*paths[::EVERY], *(path for path in paths if symbol_of(path) in MOVED)}
    return list(judge_files(sorted(chosen)))


@pytest.mark.slow
def test_clean_files_give_less_than_one_alarm_in_a_thousand_years(
    recorded_market_data: Path, large_caps: list[JudgedFile]
) -> None:
    added = MOVED if EVERY > 1 else set()  # to the selection, because their moves are known
    clean = [file for file in large_caps if file.path.name not in DIRTY and symbol_of(file.path) not in added]
    years = sum(file.report.rows for file in clean if file.report) / 252
    alarms = [finding for file in clean for finding in file.findings if finding.severity in ("error", "warn")]
    assert len(clean) > 300 // EVERY
    assert years > 3500 // EVERY
    assert len(alarms) <= years / 1000, alarms


@pytest.mark.slow
def test_no_real_crash_is_called_a_split_or_an_error(large_caps: list[JudgedFile]) -> None:
    """Every move of a half or more of large companies in 10 to 24 years was real, or a distribution."""
    moves = defaultdict(set)
    for file in large_caps:
        assert file.report is not None, file.why
        for rule, symbol, day in file.report.violations.select("rule", "symbol", "first_day").iter_rows():
            if rule in ("large_move", "unexplained_jump", "bad_tick", "forgotten_split", "unit_error"):
                moves[rule].add((symbol, str(day)))
    assert moves.pop("unexplained_jump", set()) == DISTRIBUTIONS
    assert moves == {"large_move": CRASHES}


def test_as_traded_files_with_their_splits_have_no_jump_that_is_not_real(market_data: Path) -> None:
    """GGP went into bankruptcy in 2008 and came back: to be looked at; nothing is called an error."""
    files = list(judge_files([market_data / "daily_us_unadjusted_with_events_quandl_wiki"]))
    assert len(files) == either(39, 6)
    errors = [finding for file in files for finding in file.findings if finding.severity == "error"]
    assert errors == []
    jumps = {f.subject for file in files for f in file.findings if f.rule == "unexplained_jump"}
    assert jumps == either({"GGP"}, set())


@pytest.mark.parametrize("name", either(["CALM-1d", "EA-15m", "HSBK-IL-1d", "IBE-MC-1d", "KMR-L-1d"], ["QZGD-1d"]))
def test_good_files_of_the_repair_tests_raise_nothing(name: str, market_data: Path) -> None:
    (path,) = (market_data / "known_answers/yfinance_price_repair").glob(f"{name}-no-bad-divs.csv*")
    root, _, suffix = name.rpartition("-")[0].partition("-")
    (file,) = judge_files([path], f"{root}.{suffix}" if suffix else root)
    assert file.report is not None
    assert [finding for finding in file.findings if finding.severity != "info"] == []
