"""Builds of features: an incremental build equals a full one, whatever has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantx.core.features.record import BuildRecord
from quantx.core.features.sets import SETS
from quantx.core.features.tables import table_of
from quantx.core.tables import ACTIONS, BARS_1D, SYMBOL_HISTORY
from quantx.errors import IncompleteData
from quantx.lake.protocol import CommitContext
from quantx.lake.table import LakeTable

from .site import DAYS, KNOWN, Dies, FeatureSite, action, bars_of, named

TECHNICAL = SETS["technical"]
LEVELS = {"AAA": 3.0, "BBB": 60.0, "CCC": 900.0, "DDD": 250_000.0}


@pytest.fixture
def site(tmp_path: Path) -> FeatureSite:
    """Four series up to ten sessions before the end, and a short one."""
    site = FeatureSite(tmp_path / "lake")
    rows = [bars_of(symbol, n, level=level) for n, (symbol, level) in enumerate(LEVELS.items())]
    short = bars_of("EEE", 9, DAYS[-60:])
    site.commit(BARS_1D, pl.concat([*rows, short]).filter(pl.col("date") <= DAYS[-11]))
    return site


def assert_as_built_anew(site: FeatureSite, folder: Path, symbols: list[str] | None = None) -> None:
    wanted = symbols or [*LEVELS, "EEE"]
    anew = site.copy(folder)
    anew.build()
    shown, expected = (each.lake().features("technical", wanted) for each in (site, anew))
    assert shown.select("symbol", "date", "public_at").equals(expected.select("symbol", "date", "public_at"))
    for name in TECHNICAL.names:
        now, then = shown[name], expected[name]
        assert now.is_null().equals(then.is_null()), name
        scale = max(1e-12, float(then.abs().max() or 0))
        worst = float(((now - then).abs() / (then.abs() + 1e-3 * scale)).max() or 0)
        assert worst < 1e-9, (name, worst)


def test_a_days_bars_extend_the_rows(site: FeatureSite, tmp_path: Path) -> None:
    first = site.build()
    assert (first.whole, first.symbols) == (True, 5)
    assert site.build() == type(first)(feature_set="technical", table="technical_1d")  # nothing has changed
    version = site.platform.tables["technical_1d"].version()
    for day in DAYS[-10:-7]:
        rows = [bars_of(s, n, level=level) for n, (s, level) in enumerate(LEVELS.items())]
        site.commit(BARS_1D, pl.concat(rows).filter(pl.col("date") == day))
        built = site.build()
        assert (built.rows, built.changed, built.removed, built.whole) == (4, 0, 0, False)
    assert site.platform.tables["technical_1d"].version() == (version or 0) + 3
    assert_as_built_anew(site, tmp_path / "anew")


@pytest.mark.parametrize("seed", range(4))
def test_random_corrections_and_events(site: FeatureSite, tmp_path: Path, seed: int) -> None:
    site.build()
    random = np.random.default_rng(seed)
    for _ in range(4):
        symbol = str(random.choice(list(LEVELS)))
        bars, at = site.bars(symbol), int(random.integers(5, 900))
        match random.integers(0, 5):
            case 0:
                changed = bars[at : at + 2].with_columns(pl.col("close") * 1.03, pl.col("volume") + 7)
                site.commit(BARS_1D, BARS_1D.empty(), changed)
            case 1:
                site.commit(ACTIONS, action(symbol, bars["date"][at], "split", float(random.choice([2, 0.1, 1.5]))))
            case 2:
                close = bars["close"][at - 1]
                site.commit(ACTIONS, action(symbol, bars["date"][at], "dividend", close * 0.02, close))
            case 3:
                site.withdraw(bars[at : at + 1])
            case _:
                new = bars_of(symbol, 77, level=LEVELS[symbol]).filter(pl.col("date") > bars["date"].max())
                site.commit(BARS_1D, new)
        site.build()
    assert_as_built_anew(site, tmp_path / "anew")


@pytest.mark.slow
def test_a_killed_build_is_repaired_by_the_next_one(site: FeatureSite, tmp_path: Path) -> None:
    site.build(symbols=["EEE"])
    at, first = 0, True
    while True:
        bars = site.bars("EEE")[40:41].with_columns(pl.col("close") * (1.01 + at / 1_000))
        site.commit(BARS_1D, BARS_1D.empty(), bars)
        before = site.lake().features("obv", "EEE", as_of=site.clock.at)
        site.location.writes_left, site.location.after = at, at % 2 == 1
        try:
            site.build(symbols=["EEE"])
        except Dies:
            site.location.writes_left = None
            assert site.lake().features("obv", "EEE", as_of=site.clock.at - timedelta(hours=1)).equals(before) or first
            site.build(symbols=["EEE"])
        else:
            break
        at, first = at + 1, False
    site.location.writes_left = None
    assert at > 4  # the epoch, two tables' files and entries
    assert_as_built_anew(site, tmp_path / "anew", ["EEE"])
    revisions = site.platform.tables["technical_1d_revisions"].read()
    assert revisions.filter(pl.col("known_to") <= pl.col("known_from")).is_empty()
    key = ["symbol", "date", "known_from"]
    assert revisions.select(key).is_duplicated().any() is False


def test_a_renamed_security_goes_on(site: FeatureSite, tmp_path: Path) -> None:
    site.build()
    old, new = DAYS[400], DAYS[401]
    site.commit(SYMBOL_HISTORY, named("us.AAA", ("AAA", None, old), ("NEW", new, None)))
    site.build()
    stored = site.platform.tables["technical_1d"].read(pl.col("symbol").is_in(["AAA", "NEW"]))
    assert stored.filter(pl.col("symbol") == "AAA")["date"].max() == old
    assert stored.filter(pl.col("symbol") == "NEW")["date"].min() == new
    assert_as_built_anew(site, tmp_path / "anew", ["NEW", "BBB", "CCC", "DDD", "EEE"])
    assert site.lake().features("sma_200", "NEW")["sma_200"].null_count() == 199  # the warm-up of one series
    assert site.build().rows == 0


def test_as_of_has_the_rows_under_a_symbol_whose_rename_became_known_later(site: FeatureSite) -> None:
    site.build()
    then, before = site.clock.at, site.lake().features("sma_20", "AAA")
    site.clock.at += timedelta(days=1)
    site.commit(SYMBOL_HISTORY, named("us.AAA", ("AAA", None, DAYS[400]), ("NEW", DAYS[401], None)))
    for _ in range(2):  # before the build that moves the rows, and after it
        assert site.lake().features("sma_20", "AAA", as_of=then).equals(before)
        renamed = site.lake().features("sma_20", "NEW", as_of=then)
        assert renamed.drop("symbol").equals(before.drop("symbol"))
        site.build()


def test_as_of_shows_the_rows_before_a_correction(site: FeatureSite) -> None:
    site.build()
    then, lake = site.clock.at, site.lake()
    before = lake.features(["return_1", "sma_20"], "BBB", start=DAYS[500], end=DAYS[530])
    changed = site.bars("BBB")[510:511].with_columns(pl.col("close") * 1.5)
    site.commit(BARS_1D, BARS_1D.empty(), changed)
    assert site.build().changed > 20
    after = lake.features(["return_1", "sma_20"], "BBB", start=DAYS[500], end=DAYS[530])
    assert ((after["sma_20"] / before["sma_20"] - 1).abs() > 1e-9).sum() == 20
    asked = {"start": DAYS[500], "end": DAYS[530]}
    assert lake.features(["return_1", "sma_20"], "BBB", as_of=then, **asked).equals(before)
    with pytest.warns(IncompleteData, match="before the first ingestion"):
        assert lake.features("sma_20", "BBB", as_of=KNOWN, **asked).is_empty()


def test_public_by_works_after_a_backfill_of_today(site: FeatureSite) -> None:
    site.build()
    day, lake = DAYS[250], site.lake()
    shown = lake.features("technical", ["AAA", "CCC"], public_by=day)
    assert shown["date"].max() == day
    assert shown["public_at"].max() == datetime(2019, 12, 30, 21, 30, tzinfo=UTC)  # the close, and half an hour
    early = lake.features("technical", "AAA", public_by=datetime(2019, 12, 30, 21, 29, tzinfo=UTC))
    assert early["date"].max() == DAYS[249]


def test_the_future_changes_no_row(site: FeatureSite, tmp_path: Path) -> None:
    """Rows of a lake that ends on a day equal those of the whole lake, with its later splits and dividends."""
    bars = site.bars("CCC")
    for at, kind, value in ((300, "split", 4.0), (600, "dividend", 40.0), (800, "split", 0.5)):
        close = None if kind == "split" else bars["close"][at - 1]
        site.commit(ACTIONS, action("CCC", bars["date"][at], kind, value, close))
    site.build()
    for at in (299, 300, 450, 799):
        cut = FeatureSite(tmp_path / f"cut{at}")
        cut.commit(BARS_1D, bars[: at + 1])
        actions = site.platform.tables["actions"].read(pl.col("ex_date") <= bars["date"][at])
        cut.commit(ACTIONS, actions)
        shown = {"start": bars["date"][at], "end": bars["date"][at]}
        row, then = (each.lake().features("technical", "CCC", **shown) for each in (site, cut))
        for name in TECHNICAL.names:
            assert row[name].to_list() == pytest.approx(then[name].to_list(), rel=1e-9, abs=1e-12), name


def test_features_in_prices_are_adjusted_as_bars_are(site: FeatureSite) -> None:
    bars = site.bars("BBB")
    site.commit(ACTIONS, action("BBB", bars["date"][500], "split", 2.0))
    site.commit(ACTIONS, action("BBB", bars["date"][700], "dividend", 1.5, bars["close"][699]))
    site.build()
    lake = site.lake()
    for adjust in ("split", "total"):
        closes = lake.bars("BBB", adjust=adjust)["close"]
        shown = lake.features(["sma_20", "obv", "rsi_14"], "BBB", adjust=adjust)
        assert shown["sma_20"].to_list()[19:400] == pytest.approx(closes.rolling_mean(20).to_list()[19:400])
    traded = lake.features(["sma_20", "rsi_14"], "BBB")
    assert traded["rsi_14"].equals(shown["rsi_14"])
    assert shown["sma_20"][100] == pytest.approx(traded["sma_20"][100] / 2 * (1 - 1.5 / bars["close"][699]))


def test_new_definitions_replace_all_rows(site: FeatureSite, monkeypatch: pytest.MonkeyPatch) -> None:
    first = site.build()
    table = LakeTable(site.location, table_of(TECHNICAL))
    version = table.current()
    assert version is not None
    record = BuildRecord.of(version.properties)
    assert record is not None
    table.annotate(CommitContext(properties=replace(record, definition="earlier").properties))
    assert site.lake().features("rsi_14", "AAA").height == site.bars("AAA").height  # computed
    again = site.build()
    assert (again.whole, again.rows) == (True, first.rows)
    assert table.read().height == first.rows


def test_a_lost_file_is_built_again(site: FeatureSite) -> None:
    rows = site.build().rows
    table = LakeTable(site.location, table_of(TECHNICAL))
    table.commit(CommitContext(), table.table.empty(), gone=table.read(pl.col("year") == 2020))
    lake = site.lake()
    assert lake.features("rsi_14", "AAA").height == site.bars("AAA").height  # computed
    assert site.build().rows == 253 * 4
    assert table.read().height == rows


def test_the_files_of_days_become_one(site: FeatureSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each build adds a file; large files stay, and no row changes."""
    monkeypatch.setattr("quantx.features.build.MOST_FILES", 2)
    site.build()
    table = LakeTable(site.location, table_of(TECHNICAL))
    counts = []
    for day in DAYS[-10:-6]:
        rows = [bars_of(s, n, level=level) for n, (s, level) in enumerate(LEVELS.items())]
        site.commit(BARS_1D, pl.concat(rows).filter(pl.col("date") == day))
        built = site.build()
        assert (built.rows, built.whole) == (4, False)
        version = table.current()
        assert version is not None
        counts.append(len(version.files))
    years = len(set(table.read()["year"]))
    assert counts == [years + 1, years, years + 1, years]
    assert site.build().nothing
    assert table.read().height == sum(site.bars(symbol).height for symbol in [*LEVELS, "EEE"])
