"""The report of the demonstration: one self-contained HTML file, for phones and print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from quantx import __version__
from quantx.core.calendars import calendar
from quantx.core.quality import RULES
from quantx.core.symbols import venue_of
from quantx.pages.charts import GridChart, LineChart, coverage_chart, line_chart
from quantx.pages.render import render_page
from quantx.pages.views import table_of

_MOST_ROWS = 60
_LAST_ACTIONS = 8


@dataclass(frozen=True)
class Chapter:
    """One run of the story."""

    title: str
    text: str
    seconds: float
    totals: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class DemoResults:
    """The contents of the lake at the end of the story."""

    source: str
    chapters: Sequence[Chapter]
    symbol: str
    as_traded: pl.DataFrame
    split_adjusted: pl.DataFrame
    total_adjusted: pl.DataFrame
    actions: pl.DataFrame
    revisions: pl.DataFrame
    quarantine: pl.DataFrame
    recent: pl.DataFrame  # bars of all symbols over the last weeks
    manifest: Mapping[str, Any]
    study: LineChart | None = None  # the value of its portfolio


def write_page(path: Path, results: DemoResults) -> Path:
    """Write the report and return its path."""
    path.write_text(demo_page(results), "utf-8")
    return path


def _bar_series(results: DemoResults) -> list[dict[str, Any]]:
    """Return the series of bars of the manifest: filings and rates are no symbols of the market."""
    return [each for each in results.manifest["series"] if each["dataset"] == "bars"]


def demo_page(results: DemoResults) -> str:
    """Return the report as HTML."""
    series, tables = _bar_series(results), results.manifest["tables"]
    actions = results.actions.tail(_LAST_ACTIONS)
    return render_page(
        "quantx.cli",
        "demo.html",
        version=__version__,
        source=results.source,
        symbols=len(series),
        rows=f"{sum(s['rows'] for s in series):,}",
        chapters=results.chapters,
        symbol=results.symbol,
        prices=_prices(results),
        actions=table_of(actions.select("ex_date", "kind", "value", "reference_close", "currency").to_dicts()),
        coverage=_coverage(results),
        study=results.study,
        shown=min(_MOST_ROWS, len(series)),
        rejected=results.quarantine.height,
        quarantine=table_of(_reasons(results.quarantine)),
        revisions=table_of(_revised(results.revisions)),
        tables=table_of([{k: t[k] for k in ("table", "version", "rows", "files", "megabytes")} for t in tables]),
    )


def _prices(results: DemoResults) -> LineChart | None:
    if results.as_traded.is_empty():
        return None
    lines = [
        ("as traded", "traded", results.as_traded["close"].to_list()),
        ("split-adjusted", "split", results.split_adjusted["close"].to_list()),
        ("adjusted for splits and dividends", "total", results.total_adjusted["close"].to_list()),
    ]
    splits = results.actions.filter(pl.col("kind") == "split")
    marks = [(row["ex_date"], f"split {row['value']:g}:1") for row in splits.iter_rows(named=True)]
    return line_chart(results.as_traded["date"].to_list(), lines, marks)


def _coverage(results: DemoResults) -> GridChart:
    """Return the grid of the last weeks: curated, revised, rejected, closed, or missing."""
    recent = results.recent
    symbols = sorted(s["symbol"] for s in _bar_series(results))
    days = recent["date"].unique().sort().to_list()
    levels: dict[tuple[str, date], str] = {}
    for symbol in symbols:
        open_days = set(calendar(venue_of(symbol).calendar).sessions(days[0], days[-1])) if days else set()
        levels |= {(symbol, day): "closed" for day in days if day not in open_days}
    rejected = results.quarantine.filter(pl.col("date").is_not_null())
    levels |= dict.fromkeys(zip(rejected["symbol"], rejected["date"], strict=True), "rejected")
    levels |= dict.fromkeys(zip(recent["symbol"], recent["date"], strict=True), "curated")
    revised = zip(results.revisions["symbol"], results.revisions["date"], strict=True)
    levels |= dict.fromkeys(revised, "revised")
    return coverage_chart(symbols[:_MOST_ROWS], days, levels)


def _reasons(quarantine: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "symbol": r["symbol"],
            "date": r["date"],
            "violated_rule": "; ".join(RULES[x].meaning for x in r["rules"].split(",")),
            "row": r["row"],
        }
        for r in quarantine.head(_MOST_ROWS).iter_rows(named=True)
    ]


def _revised(revisions: pl.DataFrame) -> list[dict[str, Any]]:
    columns = ("symbol", "date", "open", "high", "low", "close", "volume", "known_from", "known_to")
    return [{c: r[c] for c in columns} for r in revisions.head(_MOST_ROWS).iter_rows(named=True)]
