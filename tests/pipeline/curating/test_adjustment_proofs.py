"""Adjustment proofs: they are kept, become findings, and are withdrawn when the vendor corrects its error."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from quantx.core.evidence import proofs_by_symbol
from quantx.pipeline.inspecting.dividends import check_dividends

from ..conftest import reprocess

D04, D05, D09, D10 = (date(2024, 1, day) for day in (4, 5, 9, 10))
CLOSE_BEFORE = 109.5  # of D10: the tape's closes are 100 + day + 0.5


def adjusts(desk: Any, symbol: str, steps: dict[date, float]) -> None:
    """Have the vendor send adjusted closes whose factor makes these steps."""
    desk.tape.adjusts[symbol] = adjusted = {}
    for day, bar in desk.tape.shows[symbol].items():
        factor = 1.0
        for ex_date, step in steps.items():
            factor *= step if day < ex_date else 1.0
        adjusted[day] = bar[3] * factor


def proofs(desk: Any) -> list[tuple[str, date, str]]:
    return desk.rows("adjustment_proofs").select("symbol", "ex_date", "verdict").rows()  # type: ignore[no-any-return]


def findings(desk: Any, status: str = "open") -> list[tuple[str, str, str, date]]:
    rows = desk.platform.state.findings.listed(100, status=status)
    return sorted((r["severity"], r["rule"], r["subject"], r["first_day"]) for r in rows)


def test_an_action_that_the_adjusted_closes_show_is_proven(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.0, None)]
    adjusts(desk, "AAA", {D10: 1 - 1.0 / CLOSE_BEFORE})
    desk.work(desk.backfill("AAA", "BBB"))
    assert proofs(desk) == [("AAA", D10, "agree")]
    assert findings(desk) == []
    (row,) = desk.rows("adjustment_proofs").iter_rows(named=True)
    assert row["ours"] == pytest.approx(1 - 1.0 / CLOSE_BEFORE, rel=1e-12)
    assert row["vendors"] == pytest.approx(row["ours"], rel=1e-12)
    assert (row["source"], row["raw"]) == ("tape", desk.rows("actions")["raw"][0])
    assert proofs_by_symbol(desk.rows("adjustment_proofs"), desk.rows("bars_1d"))["verdict"].to_list() == [
        "proven",
        "nothing to prove",
    ]


def test_a_reply_without_adjusted_closes_or_events_proves_nothing(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.0, None)]
    adjusts(desk, "BBB", {})
    desk.work(desk.backfill("AAA", "BBB"))
    assert desk.platform.tables["adjustment_proofs"].version() is None


def test_a_disagreement_is_a_finding_with_its_day_and_cause(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.0, None)]
    adjusts(desk, "AAA", {D10: 1 - 0.01 / CLOSE_BEFORE, D05: 0.98})
    desk.work(desk.backfill("AAA"))
    assert proofs(desk) == [("AAA", D05, "missing_dividend"), ("AAA", D10, "wrong_factor")]
    assert findings(desk) == [("warn", "adjustment_agrees", "AAA", day) for day in (D05, D10)]
    messages = {r["first_day"]: r["message"] for r in desk.platform.state.findings.listed(9)}
    assert "its actions miss a dividend of 2.00% of the price" in messages[D05]
    assert "it takes 0.01 of the dividend, as if pence were pounds" in messages[D10]


def test_a_dividend_in_another_currency_is_not_judged(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.0, "EUR")]
    adjusts(desk, "AAA", {D10: 0.98})
    desk.work(desk.backfill("AAA"))
    assert desk.platform.tables["adjustment_proofs"].version() is None


def test_what_the_vendor_corrects_is_resolved_where_its_next_reply_reaches(desk: Any) -> None:
    """An error of the 4th, one of the 10th, and one of the 10th at another symbol; the next reply begins on the 8th."""
    adjusts(desk, "AAA", {D04: 0.98, D10: 0.97})
    adjusts(desk, "BBB", {D10: 0.97})
    desk.work(desk.backfill("AAA", "BBB"))
    assert len(findings(desk)) == 3
    desk.clock.goes_to(date(2024, 1, 16))
    adjusts(desk, "AAA", {})
    desk.work(desk.daily("AAA"))
    assert findings(desk) == [
        ("warn", "adjustment_agrees", "AAA", D04),
        ("warn", "adjustment_agrees", "BBB", D10),
    ]
    assert findings(desk, "resolved") == [("warn", "adjustment_agrees", "AAA", D10)]
    assert ("AAA", D10, "agree") in proofs(desk)
    assert ("AAA", D04, "missing_dividend") in proofs(desk)
    assert desk.rows("adjustment_proofs_revisions").select("symbol", "ex_date", "verdict").rows() == [
        ("AAA", D10, "missing_dividend")
    ]


def test_what_is_seen_again_changes_nothing_and_an_acknowledged_finding_stays_so(desk: Any) -> None:
    adjusts(desk, "AAA", {D10: 0.97})
    desk.work(desk.backfill("AAA"))
    (finding,) = desk.platform.state.findings.listed(9)
    desk.platform.state.findings.close(finding["id"], "acknowledged", "me", "a return of capital")
    before = desk.versions()["adjustment_proofs"]
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA"))
    assert desk.versions()["adjustment_proofs"] == before
    assert findings(desk, "acknowledged") == [("warn", "adjustment_agrees", "AAA", D10)]


def test_an_adjusted_close_that_is_not_positive_is_one_finding(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 150.0, None)]
    adjusts(desk, "AAA", {D10: 1 - 150.0 / CLOSE_BEFORE})
    desk.work(desk.backfill("AAA"))
    assert findings(desk) == [
        ("warn", "adjusted_close_positive", "AAA", date(2024, 1, 2)),
        ("warn", "adjustment_agrees", "AAA", D10),
    ]
    first, second = (r["message"] for r in sorted(desk.platform.state.findings.listed(9), key=lambda r: r["first_day"]))
    assert "is not positive on 6 days from 2024-01-02 to 2024-01-09" in first
    assert "a dividend above the price, which ours leaves out" in second


class Blind:
    """The vendor, read by an adapter that does not know of adjusted closes."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def normalize(self, payload: Any) -> Any:
        frames = self._real.normalize(payload)
        return replace(frames, bars=frames.bars.with_columns(pl.lit(None, pl.Float64).alias("vendor_adj_close")))


def test_what_is_derived_again_tells_and_resolves_its_findings(desk: Any) -> None:
    for symbol in ("AAA", "BBB"):
        adjusts(desk, symbol, {D10: 0.97})
    desk.work(desk.backfill("AAA", "BBB"))
    blind = desk.with_(providers={"tape": Blind(desk.tape)})
    reprocess(blind, ["AAA"], dry_run=True)
    assert len(findings(desk)) == 2
    reprocess(blind, ["AAA"])
    assert findings(desk) == [("warn", "adjustment_agrees", "BBB", D10)]
    reprocess(blind)
    assert findings(desk) == []
    reprocess(desk.platform)
    assert findings(desk) == [("warn", "adjustment_agrees", symbol, D10) for symbol in ("AAA", "BBB")]


def test_a_spin_off_is_told_as_good_to_know(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 40.0, None)]
    adjusts(desk, "AAA", {})
    shows = desk.tape.shows["AAA"]
    shows |= {day: tuple(v * (0.6 if day >= D10 else 1.0) for v in bar) for day, bar in shows.items()}
    adjusts(desk, "AAA", {D10: 1 - 40.0 / CLOSE_BEFORE})
    desk.work(desk.backfill("AAA"))
    assert findings(desk) == [("info", "spin_off_as_cash", "AAA", D10)]


def test_doubtful_dividends_of_the_lake_are_findings_until_they_are_gone(desk: Any) -> None:
    desk.tape.pays["AAA"] = [(D10, "dividend", 150.0, None)]
    desk.tape.pays["BBB"] = [(D10, "dividend", 0.5, None)]
    desk.work(desk.backfill("AAA", "BBB"))
    assert [
        (f.rule, f.subject, f.first_day) for f in check_dividends(desk.platform.tables, desk.platform.state.findings)
    ] == [("dividend_below_price", "AAA", D10)]
    assert findings(desk) == [("warn", "dividend_below_price", "AAA", D10)]
    assert check_dividends(desk.platform.tables, desk.platform.state.findings, ["BBB"]) == []
    assert findings(desk) == [("warn", "dividend_below_price", "AAA", D10)]
    desk.clock.goes_to(date(2024, 1, 16))
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.5, None)]
    desk.work(desk.daily("AAA"))
    later = desk.clock.now() + timedelta(days=30)
    assert check_dividends(desk.platform.tables, desk.platform.state.findings, since=later) == []
    assert findings(desk) == [
        ("warn", "dividend_below_price", "AAA", D10)
    ]  # nothing was known since, so none was judged
    assert check_dividends(desk.platform.tables, desk.platform.state.findings, since=desk.clock.now()) == []
    assert findings(desk, "resolved") == [("warn", "dividend_below_price", "AAA", D10)]


def test_proofs_are_the_same_however_the_replies_are_spread_over_rounds(another_desk: Any, new_database: Any) -> None:
    def findings_after(desk: Any, groups: list[list[str]]) -> list[Any]:
        for symbol in ("AAA", "BBB"):
            desk.tape.pays[symbol] = [(D10, "dividend", 1.0, None)]
            adjusts(desk, symbol, {D10: 1 - 1.0 / CLOSE_BEFORE, D05: 0.98})
        for group in groups:
            desk.work(desk.backfill(*group))
        rows: pl.DataFrame = desk.rows("adjustment_proofs").drop("raw")
        return rows.rows()

    with new_database() as one, new_database() as other:
        together = findings_after(another_desk(one, "one"), [["AAA", "BBB"]])
        assert findings_after(another_desk(other, "other"), [["BBB"], ["AAA"]]) == together
    assert len(together) == 4


@pytest.mark.parametrize(
    ("amount", "fall", "said"),
    [
        (40.0, 0.0, "36.53% of the price, which fell by 0.00%: a hundredth, 0.4, fits better"),
        (0.0005, 0.05, "0.00% of the price, which fell by 5.00%: a hundred times as much, 0.05, fits better"),
    ],
)
def test_an_amount_in_another_unit_names_the_one_that_fits(desk: Any, amount: float, fall: float, said: str) -> None:
    """Over 50 sessions: prices prove nothing before they have moved a while. The other dividend is the hundredfold."""
    shows = desk.tape.shows["AAA"]
    desk.clock.goes_to(date(2024, 3, 28))
    for i, (day, bar) in enumerate(shows.items()):
        level = CLOSE_BEFORE * (1 - fall if day >= D10 else 1.0) * (1 + i % 2 / 1000 if day != D10 else 1.0)
        shows[day] = (level, level, level, level, bar[4])
    shows[D09] = (CLOSE_BEFORE,) * 4 + (1000.0,)
    desk.tape.pays["AAA"] = [(D10, "dividend", amount, None), (date(2024, 3, 1), "dividend", 0.05, None)]
    desk.work(desk.backfill("AAA", end="2024-03-28"))
    (finding,) = check_dividends(desk.platform.tables, desk.platform.state.findings)
    assert (finding.rule, finding.first_day) == ("dividend_in_unit_of_price", D10)
    assert said in finding.message
