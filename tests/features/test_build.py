"""Builds of features: an incremental build equals a full one, whatever has changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantx.core.features.sets import SETS
from quantx.core.tables import ACTIONS, BARS_1D

from .site import DAYS, FeatureSite, action, bars_of

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
