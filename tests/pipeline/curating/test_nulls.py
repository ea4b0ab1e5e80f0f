"""The data dictionary's nulls hold in a lake with every kind of row."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.nulls import broken_promises

from quantx.pipeline.reference.instruments import delist
from quantx.pipeline.reference.universes import refresh_universes

D10, D11, D16 = (date(2024, 1, day) for day in (10, 11, 16))


@pytest.fixture
def rich(desk: Any, tmp_path: Path) -> Any:
    """A desk whose vendor errs, corrects itself, names no currency for a dividend, and loses a symbol."""
    desk.platform.settings.universe_path.write_text(
        "phases:\n  phase_1:\n    mine: {market: us, type: static, symbols: [AAA, BBB]}\n"
    )
    refresh_universes(desk.platform, desk.platform.tables, phase=None, name=None)
    desk.tape.pays["AAA"] = [(date(2024, 1, 2), "dividend", 1.0, None), (D10, "dividend", 1.0, "EUR")]
    desk.tape.shows["BBB"][D10] = (5.0, 1.0, 9.0, 5.0, 1.0)
    desk.tape.answers["CCC"] = [b"<html>out of order</html>"] * 2
    desk.work(desk.backfill("AAA", "BBB", "CCC", "DDD"))
    desk.clock.goes_to(D16)
    desk.tape.shows["AAA"][D11] = (50.0, 51.0, 49.0, 50.5, 2000.0)
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.25, "EUR"), (D16, "split", 2.0, None)]
    desk.work(desk.daily("AAA", "BBB"))
    delist(desk.platform, desk.platform.tables, "BBB", date(2024, 1, 12), reason="bought", by="ops")
    return desk


def test_columns_that_are_never_null_are_not(rich: Any) -> None:
    broken, filled = broken_promises(rich.platform.tables)
    assert broken == []
    revised = {"bars_1d_revisions", "actions_revisions"}
    assert filled >= {"bars_1d", "actions", "quarantine", "universe_members", "instruments", "symbol_history"} | revised


def test_columns_that_may_be_null_are(rich: Any) -> None:
    """The dictionary does not say `may be` of what never is."""
    nulls = {(t, c) for t in ("actions", "quarantine", "universe_members") for c in _with_nulls(rich.rows(t))}
    assert nulls >= {("actions", "reference_close"), ("quarantine", "date"), ("universe_members", "member_from")}


def _with_nulls(rows: Any) -> list[str]:
    return [column for column in rows.columns if rows[column].null_count()]
