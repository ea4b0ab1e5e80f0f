"""Forward factors: products of the events up to a day, of which no later event changes a bit."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from quantx.core.adjustment import AdjustmentSteps, with_forward_adjustments

FIRST = date(2020, 1, 1)
SCHEMA = {
    "symbol": pl.String,
    "ex_date": pl.Date,
    "kind": pl.String,
    "value": pl.Float64,
    "reference_close": pl.Float64,
}


def test_later_events_change_no_bit() -> None:
    days = [FIRST + timedelta(days=n) for n in range(400)]
    bars = pl.DataFrame({"symbol": ["A"] * 400 + ["B"] * 400, "date": days * 2})
    events = [("A", days[n], "dividend", 0.1 + n / 1000, 30.0 + n / 7) for n in range(9, 400, 31)]
    events += [("A", days[100], "split", 1.5, None), ("A", days[300], "split", 7.0, None)]
    whole = AdjustmentSteps(pl.DataFrame(events, schema=SCHEMA, orient="row"))
    factors = with_forward_adjustments(bars, whole)
    for last in (50, 100, 250, 399):
        known = pl.DataFrame([e for e in events if e[1] <= days[last]], schema=SCHEMA, orient="row")
        cut = with_forward_adjustments(bars.filter(pl.col("date") <= days[last]), AdjustmentSteps(known))
        assert cut.equals(factors.filter(pl.col("date") <= days[last]))  # bit for bit
        tail = bars.filter(pl.col("date") >= days[last])
        assert with_forward_adjustments(tail, whole).equals(factors.filter(pl.col("date") >= days[last]))
    of_a = factors.filter(pl.col("symbol") == "A")
    assert of_a["__split"][[99, 100, 299, 300]].to_list() == [1.0, 1.5, 1.5, 10.5]
    assert of_a["__dividend"][[8, 9]].to_list() == [1.0, 1 - 0.109 / (30 + 9 / 7)]
    assert factors.filter(pl.col("symbol") == "B")["__split"].unique().to_list() == [1.0]
