"""Check the stored dividends by the dividend rules over a symbol's whole history, and note the findings."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.dividend_rules import (
    DIVIDEND_RULES,
    MORE_BARS,
    broken_of,
    decided_by_noise,
    dividend_facts,
)
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.errors import DamagedObject
from quantx.lake.protocol import Tables
from quantx.lake.store import LakeLocation
from quantx.pipeline.inspecting.judged_series import read_judged, rules_in_force
from quantx.state.findings.port import Findings

_VISIBLE_AFTER = timedelta(days=10)  # until the bars after an ex-date show the fall of the price
_AT_ONCE = 500  # symbols: 2.5 million rows of four columns over 20 years
_SERIES = ["source", "symbol"]
_RECORD, _RULES = "meta/inspected/dividends.parquet", "quantx.rules"
_BY_NOISE = {"source": pl.String, "symbol": pl.String, "by_noise": pl.Boolean}
# A series with dividends as it was when they were checked: see JudgedSeries.
_CHECKED = {
    "source": pl.String,
    "symbol": pl.String,
    "whole": pl.String,
    "bars": pl.Int64,
    "last": pl.Date,
    "by_noise": pl.Boolean,
}
_BY_ID = {rule.id: rule for rule in DIVIDEND_RULES}


def check_dividends(
    tables: Tables,
    findings: Findings,
    symbols: Collection[str] | None = None,
    *,
    since: datetime | None = None,
) -> list[Finding]:
    """Check the stored dividends of `symbols` (None: all), note the findings and return them.

    With `since`, only symbols with a dividend that became known later, or with an ex-date so shortly before that the
    price could not show it yet: after an update, these are few. Earlier findings about the checked symbols that no
    longer hold are resolved. Nothing else changes.
    """
    wanted = pl.col("kind") == "dividend"
    if symbols is not None:
        wanted &= pl.col("symbol").is_in(list(symbols))
    if since is not None:
        wanted &= (pl.col("known_from") >= since) | (pl.col("ex_date") >= since.date() - _VISIBLE_AFTER)
    paying = tables[ACTIONS.name].read(wanted)["symbol"].unique().sort().to_list()
    checked = paying if since is not None else None if symbols is None else list(symbols)
    return _check_and_note(tables, findings, paying, checked)[0]


def check_changed_dividends(
    location: LakeLocation, tables: Tables, findings: Findings, symbols: Collection[str]
) -> list[Finding]:
    """Check the dividends on which new or changed rows may change a verdict; return the findings about them.

    The findings in the state are those of `check_dividends` over all symbols. It relies on `inspect_series`: a series
    whose rows have changed otherwise than by quiet new bars was judged as a whole, and its dividends are checked again.
    """
    dividends = tables[ACTIONS.name].read(pl.col("kind") == "dividend")
    ex_dates = dividends.group_by(*_SERIES).agg(pl.col("ex_date").max())
    judged = read_judged(location, BARS_1D).series.select(*_SERIES, "whole", "bars", "last")
    checked = _recorded(location)
    paying = ex_dates.join(judged, on=_SERIES, how="left")
    known = paying.join(checked, on=_SERIES, how="left", suffix="_then")
    stands = (
        (pl.col("whole") == pl.col("whole_then"))
        & (pl.col("bars") < MORE_BARS * pl.col("bars_then"))
        & (pl.col("ex_date") < pl.col("last_then") - _VISIBLE_AFTER)
        & ~pl.col("by_noise")
    )
    due = known.filter(~stands.fill_null(False))["symbol"].unique().sort().to_list()
    gone = checked.join(paying, on=_SERIES, how="anti")["symbol"]
    about = None if checked.is_empty() else sorted({*due, *gone})  # without a record, which ones have gone is not known
    current, by_noise = _check_and_note(tables, findings, due, about)
    old = checked.filter(~pl.col("symbol").is_in(due)).join(paying, on=_SERIES, how="semi")
    new = judged.filter(pl.col("symbol").is_in(due)).join(ex_dates, on=_SERIES, how="semi")
    new = new.join(by_noise, on=_SERIES, how="left").with_columns(pl.col("by_noise").fill_null(False))
    _record(location, pl.concat([old, new.select(old.columns)]))
    return current


def _check_and_note(
    tables: Tables, findings: Findings, paying: Sequence[str], checked: Collection[str] | None
) -> tuple[list[Finding], pl.DataFrame]:
    """Check paying symbols, and note the findings about `checked`; return these, and the series decided by noise."""
    current, by_noise = list[Finding](), [pl.DataFrame(schema=_BY_NOISE)]
    for start in range(0, len(paying), _AT_ONCE):
        found, noisy = _check(tables, paying[start : start + _AT_ONCE])
        current += found
        by_noise.append(noisy)
    rules, reason = [rule.id for rule in DIVIDEND_RULES], "the vendor's dividends obey the rule now"
    findings.restate(rules, None, ACTIONS.name, current, reason, checked)
    return current, pl.concat(by_noise)


def _check(tables: Tables, symbols: Collection[str]) -> tuple[list[Finding], pl.DataFrame]:
    ours = pl.col("symbol").is_in(list(symbols))
    actions = tables[ACTIONS.name].read(ours)
    scan = tables[BARS_1D.name].scan().filter(ours).select(*_SERIES, "date", "close", "volume")
    bars = tables[BARS_1D.name].collect(scan)
    series = pl.concat_str(_SERIES, separator=" ").alias("series")
    facts = dividend_facts(bars.with_columns(series), actions.with_columns(series), "series")
    named = actions.select(series, *_SERIES, "currency").unique("series")
    rows = broken_of(facts, "series").join(named, on="series", maintain_order="left")
    noisy = named.filter(pl.col("series").is_in(decided_by_noise(facts, "series").implode()))
    return [_finding(row) for row in rows.iter_rows(named=True)], noisy.select(*_SERIES, by_noise=pl.lit(True))


def _recorded(location: LakeLocation) -> pl.DataFrame:
    """Return the checked series; none where there is no record, or one of other rules."""
    try:
        body = location.get(_RECORD)
        if pl.read_parquet_metadata(io.BytesIO(body))[_RULES] == rules_in_force():
            return pl.read_parquet(io.BytesIO(body))
    except (DamagedObject, KeyError, pl.exceptions.PolarsError):
        pass
    return pl.DataFrame(schema=_CHECKED)


def _record(location: LakeLocation, checked: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    checked.write_parquet(buffer, metadata={_RULES: rules_in_force()})
    location.put(_RECORD, buffer.getvalue())


def _finding(row: dict[str, Any]) -> Finding:
    rule, day, unit = _BY_ID[row["rule"]], row["ex_date"], row["currency"] or "of an unknown currency"
    booked = f"{row['source']} reports a dividend of {row['value']:.6g} {unit} on {day}"
    return Finding(
        rule.id,
        FINDING_SEVERITY[rule.severity],
        row["symbol"],
        f"{booked}, {_why(row)}; compare it with another vendor before you use adjusted prices of earlier days",
        source=row["source"],
        dataset=ACTIONS.name,
        first_day=day,
        last_day=day,
        facts={name: row[name] for name in ("value", "reference_close", "fall")},
    )


def _why(row: dict[str, Any]) -> str:
    value, price = row["value"], row["reference_close"]
    if row["rule"] == "dividend_below_price":
        return f"more than the price of the previous session, {price:.6g}: the adjustment factor leaves it out"
    if row["rule"] == "dividend_paid_once":
        return "and about the same amount a few days apart: one of the two was probably never paid"
    fell = 1 - math.exp(-row["fall"])
    times, likely = (0.01, "a hundredth") if value / price > fell else (100, "a hundred times as much")
    moved = f"fell by {fell:.2%}" if fell >= 0 else f"rose by {-fell:.2%}"
    return (
        f"{value / price:.2%} of the price, which {moved}: {likely}, {value * times:.6g}, fits better (pence instead of"
        " pounds, for example)"
    )
