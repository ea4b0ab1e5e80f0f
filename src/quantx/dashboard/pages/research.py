"""The research: studies with their measures, and the predictions and features that the lake has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.core.features.predictions import PREDICTIONS
from quantx.core.features.tables import FEATURE_TABLES
from quantx.dashboard.context import Dashboard
from quantx.dashboard.lake_rows import collected
from quantx.dashboard.page import WebPage, rendered
from quantx.pages.views import HtmlTable, table_of
from quantx.reader.lake import Lake

_MOST = 50  # studies
_MEASURES = (
    ("rank IC", "rank_ic", "mean"),
    ("its t", "rank_ic", "t"),
    ("net return a year", "portfolio", "net"),
    ("Sharpe", "portfolio", "sharpe"),
    ("drawdown", "portfolio", "drawdown"),
    ("turnover", "portfolio", "turnover"),
)


def read_studies(folder: Path) -> list[dict[str, Any]]:
    """Return the model and the evaluation of each study in a folder; those that can't be read are left out."""
    found = []
    for path in sorted(folder.glob("*/model.json"))[:_MOST] if folder.is_dir() else ():
        try:
            model = json.loads(path.read_text("utf-8"))
            judged = path.with_name("evaluation.json")
            found.append(
                {"model": model, "evaluation": json.loads(judged.read_text("utf-8")) if judged.is_file() else {}}
            )
        except (OSError, ValueError):
            continue  # it is being written, or is not ours
    return found


def studies_table(studies: Sequence[Mapping[str, Any]]) -> HtmlTable:
    """Return the out-of-sample measures of studies."""
    rows = []
    for study in studies:
        model, overall = study["model"], study["evaluation"].get("overall", {})
        checks = study["evaluation"].get("checks", [])
        rows.append(
            {
                "study": model.get("study"),
                "model": model.get("model"),
                "trained through": model.get("trained_through"),
                "features": len(model.get("features", ())),
                **{name: overall.get(part, {}).get(value) for name, part, value in _MEASURES},
                "look-ahead": ", ".join(c.get("name", "") for c in checks if c.get("status") == "leak") or "none found"
                if checks
                else "not checked",
            }
        )
    return table_of(rows, "studies, out of sample")


def stored_predictions(lake: Lake, today: date) -> HtmlTable:
    """Return the predictions for this year and the last one by study and model; older partitions are not read."""
    since = today.year - 1
    counted = (
        lake.scan(PREDICTIONS.name)
        .filter(pl.col("year") >= since)
        .group_by("study", "model")
        .agg(
            pl.len().alias("predictions"),
            pl.col("symbol").n_unique().alias("symbols"),
            pl.col("date").min().alias("first"),
            pl.col("date").max().alias("last"),
            pl.col("known_from").max().alias("written (UTC)"),
        )
    )
    rows = collected(counted).sort("last", descending=True).to_dicts()
    return table_of(rows, f"predictions in the lake since {since}")


def stored_features(lake: Lake) -> HtmlTable:
    """Return the tables of features that the lake has."""
    names = [table.name for table in FEATURE_TABLES]
    tables = lake.tables().filter(pl.col("table").is_in(names) & (pl.col("rows") > 0))
    heads = {name: name for name in ("table", "rows", "first", "last", "megabytes")} | {"known_from": "newest (UTC)"}
    return table_of(tables.to_dicts(), "features in the lake", heads)


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the research."""
    folder = dashboard.settings.studies_dir
    return rendered(
        request,
        "research.html",
        title="Research",
        folder=str(folder),
        studies=studies_table(read_studies(folder)),
        predictions=stored_predictions(dashboard.lake, dashboard.now().date()),
        features=stored_features(dashboard.lake),
    )


PAGES = (WebPage(path="/research", title="Research", handler=show),)
