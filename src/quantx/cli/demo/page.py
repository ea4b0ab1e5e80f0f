"""The demonstration's report: one HTML file without any request, readable on a phone and in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import polars as pl

from quantx import __version__
from quantx.cli.demo.charts import coverage_chart, line_chart
from quantx.core.calendars import calendar
from quantx.core.html import POLICY, STYLE, table
from quantx.core.quality import RULES
from quantx.core.symbols import venue_of

_MOST_ROWS = 60
_LAST_ACTIONS = 8


@dataclass(frozen=True)
class Chapter:
    """One run of the story."""

    title: str
    told: str
    seconds: float
    totals: Mapping[str, int]


@dataclass(frozen=True)
class Findings:
    """What the lake holds at the end of the story."""

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


def write_page(path: Path, found: Findings) -> Path:
    """Write the report and return its path."""
    template = Template(resources.files("quantx.cli").joinpath("templates", "demo.html").read_text("utf-8"))
    page = template.substitute(
        policy=POLICY,
        style=STYLE,
        version=__version__,
        source=escape(found.source),
        symbols=len(found.manifest["series"]),
        rows=f"{sum(s['rows'] for s in found.manifest['series']):,}",
        chapters="".join(_chapter(c) for c in found.chapters),
        symbol=escape(found.symbol),
        prices=_prices(found),
        actions=table(
            found.actions.tail(_LAST_ACTIONS)
            .select("ex_date", "kind", "value", "reference_close", "currency")
            .to_dicts()
        ),
        coverage=_coverage(found),
        shown=min(_MOST_ROWS, len(found.manifest["series"])),
        rejected=found.quarantine.height,
        quarantine=table(_reasons(found.quarantine)),
        revisions=table(_revised(found)),
        tables=table(
            [{k: t[k] for k in ("table", "version", "rows", "files", "megabytes")} for t in found.manifest["tables"]]
        ),
    )
    path.write_text(page, "utf-8")
    return path


def _chapter(chapter: Chapter) -> str:
    t = chapter.totals
    facts = (
        f"{t['requests']} requests · {t['success']} done · {t['failed']} failed · {t['rows_new']:,} new rows ·"
        f" {t['rows_changed']} revised · {t['rows_rejected']} rejected · {chapter.seconds} s"
    )
    css = "bad" if t["failed"] else ""
    return f'<li class="{css}"><b>{escape(chapter.title)}</b><br>{escape(chapter.told)}<br><small>{facts}</small></li>'


def _prices(found: Findings) -> str:
    if found.as_traded.is_empty():
        return "<p>no bars</p>"
    lines = [
        ("as traded", "traded", found.as_traded["close"].to_list()),
        ("split-adjusted", "split", found.split_adjusted["close"].to_list()),
        ("adjusted for splits and dividends", "total", found.total_adjusted["close"].to_list()),
    ]
    splits = found.actions.filter(pl.col("kind") == "split")
    marks = [(row["ex_date"], f"split {row['value']:g}:1") for row in splits.iter_rows(named=True)]
    return line_chart(found.as_traded["date"].to_list(), lines, marks)


def _coverage(found: Findings) -> str:
    """Return the grid of the last weeks: curated, rejected, closed, or missing."""
    recent = found.recent
    symbols = sorted(s["symbol"] for s in found.manifest["series"])
    days = recent["date"].unique().sort().to_list()
    cells: dict[tuple[str, date], str] = {}
    for symbol in symbols:
        open_days = set(calendar(venue_of(symbol).calendar).sessions(days[0], days[-1])) if days else set()
        cells |= {(symbol, day): "closed" for day in days if day not in open_days}
    rejected = found.quarantine.filter(pl.col("date").is_not_null())
    cells |= dict.fromkeys(zip(rejected["symbol"], rejected["date"], strict=True), "rejected")
    cells |= dict.fromkeys(zip(recent["symbol"], recent["date"], strict=True), "curated")
    revised = zip(found.revisions["symbol"], found.revisions["date"], strict=True)
    cells |= dict.fromkeys(revised, "revised")
    return coverage_chart(symbols[:_MOST_ROWS], days, cells)


def _reasons(quarantine: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "symbol": r["symbol"],
            "date": r["date"],
            "broken_rule": "; ".join(RULES[x].meaning for x in r["rules"].split(",")),
            "row": r["row"],
        }
        for r in quarantine.head(_MOST_ROWS).iter_rows(named=True)
    ]


def _revised(found: Findings) -> list[dict[str, Any]]:
    columns = ("symbol", "date", "open", "high", "low", "close", "volume", "known_from", "known_to")
    return [{c: r[c] for c in columns} for r in found.revisions.head(_MOST_ROWS).iter_rows(named=True)]
