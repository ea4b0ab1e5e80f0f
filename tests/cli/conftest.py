from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from quantx.cli import main
from quantx.core.calendars import calendar
from quantx.sandbox import Dividend, Market, Sandbox, Split, running
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import history

from ..databases import Databases

SYMBOLS = ("AAA", "BBB", "BRK.B")


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def market() -> Market:
    """Three symbols over 2015 and 2016; AAA splits 2:1 on 2016-06-01 and pays a dollar on 2016-09-01."""
    days = np.array(
        [day_number(d) for d in calendar("XNYS").sessions(date(2015, 1, 2), date(2016, 12, 30))], dtype=np.int64
    )
    known = []
    for i, symbol in enumerate(SYMBOLS):
        close = 50.0 * (i + 1) + np.arange(len(days)) / 8
        if i == 0:
            close = np.where(days >= day_number(date(2016, 6, 1)), close / 2, close)
        columns = {
            "open": close,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": np.full(len(days), 12_345_678.0),
        }
        events = (
            {"splits": (Split(date(2016, 6, 1), 2, 1),), "dividends": (Dividend(date(2016, 9, 1), 1.0),)}
            if i == 0
            else {}
        )
        known.append(history(symbol, days, columns, **events))
    return Market("files", {h.symbol: h for h in known})


@pytest.fixture(scope="session")
def vendor(market: Market) -> Iterator[str]:
    with running(Sandbox(market, now="2016-12-30")) as url:
        yield url


@pytest.fixture(scope="session")
def environment(
    vendor: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The settings of an installation that has the year 2016."""
    folder = tmp_path_factory.mktemp("cli")
    with databases.migrated() as state, pytest.MonkeyPatch.context() as patch:
        settings = settings_of(folder, state, vendor)
        (folder / "universes.yaml").write_text(
            "phases:\n  phase_1:\n    mine: {market: us, type: static, symbols: [AAA, BRK.B]}\n"
        )
        for name, value in settings.items():
            patch.setenv(name, value)
        assert main(["backfill", "--start", "2016-01-01", "--end", "2016-12-30", "--symbols", ",".join(SYMBOLS)]) == 0
        patch.undo()
        yield settings


def settings_of(folder: Path, state: str, vendor: str) -> dict[str, str]:
    return {
        "QUANTX_LAKE_URL": str(folder / "lake"),
        "QUANTX_STATE_URL": state,
        "QUANTX_YFINANCE_BASE_URL": vendor,
        "QUANTX_YFINANCE_QUOTA": "unlimited",
        "QUANTX_LEASE_SECONDS": "2",
        "QUANTX_INSPECT": "false",
        "QUANTX_MAX_ATTEMPTS": "2",
        "QUANTX_UNIVERSE_PATH": str(folder / "universes.yaml"),
    }


@pytest.fixture
def quantx(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ran]:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runs_with(environment, monkeypatch, capsys)


def runs_with(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Return what runs a command in this process with these settings."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return Ran(code, said.out, said.err)

    return run
