"""Which stored symbols and days a deletion means, and what is left of requests."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from quantx.core.deleted_rows import deleted_rows
from quantx.core.fact_tables import FILER_SYMBOLS
from quantx.core.model import Series, Window
from quantx.core.symbol_history import Naming, SymbolHistory, history_rows
from quantx.core.tables import BARS_1D, FINDINGS, SYMBOL_HISTORY, TABLES, VERDICTS
from quantx.core.tombstones import Deleted, SymbolDays, Tombstone
from quantx.errors import ConfigError
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.pipeline.deleting.scope import deleted_symbols

AT = datetime(2024, 1, 10, tzinfo=UTC)
LAST, FIRST = date(2022, 6, 8), date(2022, 6, 9)


def stone(*symbols: SymbolDays, **facts: object) -> Tombstone:
    known = {"id": "T", "source": "yahoo", "at": AT, "by": "eve", "reason": "r", "symbols": symbols or None}
    return Tombstone(**{**known, **facts})  # type: ignore[arg-type]


@pytest.fixture
def tables() -> dict[str, MemoryTable]:
    """META was FB, which another security carries since 2024; AAPL has a filer."""
    opened = {name: MemoryTable(table) for name, table in TABLES.items()}
    namings = [
        Naming("us.FB", "FB", None, LAST),
        Naming("us.FB", "META", FIRST, None),
        Naming("us.NEW", "FB", date(2024, 1, 2), None),
        Naming("us.TWTR", "TWTR", None, LAST),
        Naming("us.TWTR", "X", FIRST, None),
    ]
    opened[SYMBOL_HISTORY.name].commit(CommitContext(), history_rows(SymbolHistory(namings), {}, AT))
    filer = {"filer": "CIK0000320193", "symbol": "AAPL", "known_from": AT}
    opened[FILER_SYMBOLS.name].commit(CommitContext(), pl.DataFrame([filer], schema=dict(FILER_SYMBOLS.schema)))
    return opened


def test_a_renamed_security_has_all_of_its_symbols_and_only_its_own_days(tables: dict[str, MemoryTable]) -> None:
    assert deleted_symbols(tables, ["META"]) == (SymbolDays("FB", None, LAST), SymbolDays("META"))
    assert deleted_symbols(tables, ["TWTR"]) == (SymbolDays("TWTR"), SymbolDays("X"))
    assert deleted_symbols(tables, ["AAPL"]) == (SymbolDays("AAPL"), SymbolDays("CIK0000320193"))
    with pytest.raises(ConfigError, match="was the symbol of several securities"):
        deleted_symbols(tables, ["FB"])


def test_what_is_left_of_a_window() -> None:
    deleted = Deleted((stone(SymbolDays("FB", None, LAST), SymbolDays("META")),))
    fb, meta = (Series("yahoo", "bars", "1d", symbol) for symbol in ("FB", "META"))
    window = Window(date(2022, 1, 3), date(2024, 1, 31))
    assert deleted.left(fb, window) == Window(FIRST, window.end)
    assert deleted.left(meta, window) is None
    assert deleted.left(Series("alpaca", "bars", "1d", "META"), window) == window
    before = Deleted((stone(before=date(2023, 1, 1)),))
    assert before.left(meta, window) == Window(date(2023, 1, 1), window.end)
    assert before.whole("yahoo", "bars", "META") is None
    assert before.whole("yahoo", "fundamentals", "META") is not None  # each reply has the whole history
    only_facts = Deleted((stone(dataset="fundamentals"),))
    assert only_facts.left(meta, window) == window


def test_rows_that_quote_the_vendor_are_deleted_and_others_stay() -> None:
    def rows(name: str, *facts: dict[str, object]) -> pl.DataFrame:
        return pl.DataFrame(list(facts), schema=dict(TABLES[name].schema))

    one = stone(SymbolDays("AAA"))
    verdicts = rows(
        VERDICTS.name,
        {"symbol": "AAA", "source": "alpaca", "against": "fmp,yahoo"},
        {"symbol": "AAA", "source": "alpaca", "against": "fmp"},
        {"symbol": "BBB", "source": "yahoo"},
    )
    where = deleted_rows(VERDICTS, one)
    assert where is not None
    assert verdicts.select(where).to_series().to_list() == [True, False, False]
    findings = rows(
        FINDINGS.name,
        {"subject": "AAA", "source": "alpaca", "message": "yahoo has 12.5"},
        {"subject": "AAA", "source": None, "message": "a gap", "facts": "{}"},
        {"subject": "AAA", "source": None, "message": "a gap", "facts": '{"yahoo": 1}'},
    )
    where = deleted_rows(FINDINGS, one)
    assert where is not None
    assert findings.select(where).to_series().to_list() == [True, False, True]
    assert deleted_rows(BARS_1D, stone(dataset="fundamentals")) is None
    made = TABLES["fundamental_1d"]
    computed = rows(made.name, {"symbol": "AAA", "source": "alpaca"}, {"symbol": "BBB", "source": "alpaca"})
    for facts, gone in ((True, [True, False]), (False, [False, False])):
        where = deleted_rows(made, stone(SymbolDays("AAA"), facts=facts))
        assert where is not None
        assert computed.select(where).to_series().to_list() == gone
    assert deleted_rows(SYMBOL_HISTORY, one) is None
