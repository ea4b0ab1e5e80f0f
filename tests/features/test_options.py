"""Features of options: computed, stored, followed, and read back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from quantx.core.option_tables import OPTIONS_OHLCV_1D, OPTIONS_OPEN_INTEREST, OPTIONS_QUOTES_1D
from quantx.core.options.expirations import expires_at
from quantx.core.table import Table
from quantx.core.tables import BARS_1D

from ..core.options.test_known_greeks import black
from ..reader.option_lake import OptionContract, contract_columns
from .site import DAYS, FeatureSite, bars_of

DAY, NEXT = DAYS[-10], DAYS[-9]
NAMES = ["options.iv_30", "options.iv_90", "options.term_slope", "options.put_call_volume", "options.put_call_interest"]


def rows_of(table: Table, day: date, iv: float = 0.2, puts: int = 30) -> pl.DataFrame:
    """Return rows of a chain whose volatility is the same everywhere: quotes, volumes or open interest."""
    rows = []
    for days in (20, 60, 120):
        expiration = day + timedelta(days=days)
        expiration -= timedelta(days=max(0, expiration.weekday() - 4))
        years = (expires_at(expiration) - closing(day)) / timedelta(days=365)
        for strike in (40.0, 45.0, 49.0, 51.0, 55.0, 60.0):
            for right, call in (("C", 1), ("P", -1)):
                price = black(call, 50.0, strike, years, iv, 0.0)
                rows.append(
                    dict.fromkeys(table.schema)
                    | contract_columns(OptionContract(expiration, "AAA", right, strike))
                    | {"source": "lean", "underlying": "AAA", "year": day.year, "date": day, "raw": "R"}
                    | {"bid_close": price, "ask_close": price, "volume": puts if right == "P" else 20}
                    | {"open_interest": 10 if right == "P" else 20, "public_at": closing(day) + timedelta(hours=14)}
                    | {"known_from": closing(day) + timedelta(hours=16)}
                )
    return pl.DataFrame([{c: row[c] for c in table.schema} for row in rows], schema=dict(table.schema))


def closing(day: date) -> datetime:
    return expires_at(day)


@pytest.fixture
def site(tmp_path: Path) -> FeatureSite:
    site = FeatureSite(tmp_path / "lake")
    site.commit(BARS_1D, pl.concat([bars_of(symbol, 1).tail(20) for symbol in ("AAA", "BBB")]))
    return site


def test_values_are_those_of_the_chain(site: FeatureSite) -> None:
    for table in (OPTIONS_QUOTES_1D, OPTIONS_OHLCV_1D, OPTIONS_OPEN_INTEREST):
        site.commit(table, rows_of(table, DAY))
    first, second = site.lake().features(NAMES, "AAA", start=DAY, end=NEXT).rows(named=True)
    assert first["iv_30"] == pytest.approx(0.2, abs=1e-6)
    assert first["iv_90"] == pytest.approx(0.2, abs=1e-6)
    assert first["term_slope"] == pytest.approx(0, abs=1e-6)
    assert first["put_call_volume"] == 1.5
    assert first["put_call_interest"] is None  # public in the morning after
    assert second["put_call_interest"] == 0.5
    assert second["iv_30"] is None
    assert second["put_call_volume"] is None
    assert site.lake().features(NAMES, "AAA", start=DAY, end=NEXT, public_by=closing(NEXT))["date"].to_list() == [DAY]


def test_stored_rows_follow_new_sessions_and_corrections(site: FeatureSite) -> None:
    site.commit(OPTIONS_QUOTES_1D, rows_of(OPTIONS_QUOTES_1D, DAY))
    built = site.build("options")
    assert (built.rows, built.whole) == (1, True)
    assert site.build("options").nothing
    before = site.clock.at
    site.commit(OPTIONS_QUOTES_1D, rows_of(OPTIONS_QUOTES_1D, NEXT, iv=0.3))
    built = site.build("options")
    assert (built.rows, built.changed, built.whole) == (1, 0, False)
    site.commit(OPTIONS_QUOTES_1D, OPTIONS_QUOTES_1D.empty(), rows_of(OPTIONS_QUOTES_1D, DAY, iv=0.4))
    shown = site.lake().features("options.iv_30", "AAA")["iv_30"].to_list()  # of the present chains, before a build
    assert shown == pytest.approx([0.4, 0.3], abs=1e-6)
    built = site.build("options")
    assert (built.rows, built.changed, built.removed) == (0, 1, 0)
    stored, computed = (site.lake().features("options", "AAA", stored=each) for each in (True, False))
    assert stored.drop("known_from").equals(computed.drop("known_from"))
    known = site.lake().features("options.iv_30", "AAA", as_of=before)
    assert known["iv_30"].to_list() == pytest.approx([0.2], abs=1e-6)
