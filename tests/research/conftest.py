"""A lake for studies: a universe through time with a dead, a renamed, a halted and a constant member."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.symbol_history import Naming, SymbolHistory, history_rows
from quantx.core.tables import ACTIONS, BARS_1D, TABLES, UNIVERSE_MEMBERS
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake
from quantx.research.study import Study

KNOWN = datetime(2026, 1, 5, tzinfo=UTC)
SESSIONS = calendar("XNYS").sessions(date(2023, 1, 3), date(2024, 12, 31))
PLAIN = tuple(f"S{letter}" for letter in "ABCDEFGHIJ")
DEAD_AT, RENAMED_AT, LATE_AT, LEFT_AT = 300, 250, 150, 350  # sessions
HALT = range(200, 230)


def _closes(seed: int) -> np.ndarray[Any, Any]:
    moves = np.random.default_rng([11, seed]).normal(0.0003, 0.015, len(SESSIONS))
    return np.round(50 * np.exp(np.cumsum(moves)), 2)


def _bars(
    symbol: str, closes: np.ndarray[Any, Any], chosen: range | list[int], known: datetime = KNOWN
) -> pl.DataFrame:
    rows = [
        ("yahoo", SESSIONS[n].year, symbol, SESSIONS[n], c * 0.995, c * 1.01, c * 0.99, c, 1000 + n, "USD", "r", known)
        for n, c in ((n, float(closes[n])) for n in chosen)
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row")


@pytest.fixture(scope="session")
def study_lake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten plain members; DEAD ends, OLD becomes NEW, HALT stops for 30 sessions, FLAT never moves, LATE begins later,
    LEFT is no member after a day, GONE has no bars. SA splits 2:1 and pays a dividend.
    """
    folder = tmp_path_factory.mktemp("research") / "lake"
    tables = open_tables(open_location(str(folder)), TABLES)
    every = range(len(SESSIONS))
    split = SESSIONS[100]
    of_sa = _closes(0) / np.where(np.arange(len(SESSIONS)) >= 100, 2, 1)
    parts = [_bars("SA", of_sa, every)]
    parts += [_bars(symbol, _closes(n), every) for n, symbol in enumerate(PLAIN) if symbol != "SA"]
    parts += [
        _bars("DEAD", _closes(20), range(DEAD_AT)),
        _bars("OLD", _closes(21), range(RENAMED_AT)),
        _bars("NEW", _closes(21), range(RENAMED_AT, len(SESSIONS))),
        _bars("HALT", _closes(22), [n for n in every if n not in HALT]),
        _bars("FLAT", np.full(len(SESSIONS), 20.0), every),
        _bars("LATE", _closes(23), range(LATE_AT, len(SESSIONS))),
        _bars("LEFT", _closes(24), every),
    ]
    tables["bars_1d"].commit(CommitContext(1), pl.concat(parts))
    actions = [
        ("yahoo", "SA", split, "split", 2.0, None, "USD", "r", KNOWN),
        ("yahoo", "SA", SESSIONS[180], "dividend", 0.5, float(of_sa[179]), "USD", "r", KNOWN),
    ]
    tables["actions"].commit(CommitContext(1), pl.DataFrame(actions, schema=dict(ACTIONS.schema), orient="row"))
    begin, renamed, left = SESSIONS[0], SESSIONS[RENAMED_AT], SESSIONS[LEFT_AT - 1]
    members: list[tuple[str, date, date | None]] = [
        (symbol, begin, None) for symbol in (*PLAIN, "HALT", "FLAT", "GONE")
    ]
    members += [("DEAD", begin, None), ("LATE", SESSIONS[LATE_AT], None), ("LEFT", begin, left)]
    members += [("OLD", begin, SESSIONS[RENAMED_AT - 1]), ("NEW", renamed, None)]
    listed = [("u", "p", symbol, "us", None, first, last, KNOWN) for symbol, first, last in members]
    schema = dict(UNIVERSE_MEMBERS.schema)
    tables["universe_members"].commit(CommitContext(1), pl.DataFrame(listed, schema=schema, orient="row"))
    history = (
        Naming("us.OLD", "OLD", None, SESSIONS[RENAMED_AT - 1]),
        Naming("us.OLD", "NEW", renamed, None),
    )
    tables["symbol_history"].commit(CommitContext(1), history_rows(SymbolHistory(history), {}, KNOWN))
    return folder


@pytest.fixture
def study_lake(study_lake_folder: Path) -> Lake:
    return Lake(open_location(str(study_lake_folder)))


@pytest.fixture
def study_of() -> Callable[..., Study]:
    """A small study with some fields changed."""

    def make(**fields: Any) -> Study:
        usual: dict[str, Any] = {
            "name": "small",
            "universe": "u",
            "start": SESSIONS[0],
            "end": SESSIONS[-1],
            "every": 2,
            "features": ["technical.return_1", "technical.rsi_14"],
            "label": {"horizon": 5},
            "splits": {"method": "walk_forward", "train": 100, "test": 40, "embargo": 1},
            "model": {"kind": "ridge"},
            "tracking": False,
        }
        return Study.model_validate(usual | fields)

    return make
