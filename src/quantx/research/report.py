"""The report of a study: one self-contained HTML file, without scripts, for phones and print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx import __version__
from quantx.errors import ConfigError
from quantx.extras import extra
from quantx.pages.charts import BarChart, LineChart, bar_chart, line_chart
from quantx.pages.render import render_page
from quantx.pages.views import HtmlTable, table_of

if TYPE_CHECKING:
    from quantx.research.dataset import Dataset
    from quantx.research.evaluate import Evaluation, Score
    from quantx.research.study import Study

REPORT = "report.html"
_SHOWN = 40  # rows of a long list
_DASH = "–"


def write_report(
    folder: Path, study: Study, dataset: Dataset, facts: Mapping[str, Any], evaluation: Evaluation
) -> Path:
    """Write the report into the folder of a study, and return its path."""
    path = folder / REPORT
    write_text(path, report_page(study, dataset, facts, evaluation))
    return path


def write_text(path: Path, text: str) -> None:
    """Write a file into the folder of a study; ConfigError where it can't be written."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; choose another folder with --folder") from error


def report_page(study: Study, dataset: Dataset, facts: Mapping[str, Any], evaluation: Evaluation) -> str:
    """Return the report as HTML."""
    absences = dataset.facts["absences"]
    with extra("local", "the report of a study"):
        return render_page(
            "quantx.research",
            "study.html",
            version=__version__,
            study=study,
            securities=f"universe {study.universe}" if study.universe else f"{len(study.symbols)} symbols",
            dataset=dataset.facts,
            model=facts["model"],
            kind=getattr(study.model, "name", study.model.kind),
            paths=max((each.name for each in evaluation.parts), default="").startswith("path"),
            figures=key_figures(study, evaluation),
            value=value_chart(evaluation),
            quantiles=_quantiles(evaluation),
            decay=_decay(evaluation),
            coefficients=_coefficients(evaluation),
            parts=_parts(evaluation.parts),
            folds=_folds(evaluation),
            checks=evaluation.checks,
            absences=table_of([_absence(each) for each in absences[:_SHOWN]]),
            absent=len(absences),
            shown=min(_SHOWN, len(absences)),
            settings=_settings(study),
            tables=", ".join(f"{name} {version}" for name, version in sorted(dataset.facts["tables"].items())),
        )


def key_figures(study: Study, evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Return the main measures as name, value and meaning."""
    overall, book = evaluation.overall, evaluation.overall.portfolio
    horizon, costs = study.label.horizon, f"{study.costs.bps:g} basis points a side"
    return [
        (
            "Rank IC",
            f"{_number(overall.rank_ic.mean)} (t {_number(overall.rank_ic.t, 1)})",
            f"mean rank correlation, across securities, of predictions and {horizon}-session returns; t allows for"
            " labels that overlap, and above 2 it is hardly chance",
        ),
        (
            "IC",
            f"{_number(overall.ic.mean)} (t {_number(overall.ic.t, 1)})",
            "the same with the values instead of their ranks: outliers count more",
        ),
        (
            "Information ratio",
            _number(overall.rank_ic.ratio, 2),
            f"mean rank IC / its standard deviation over dates; {_percent(overall.rank_ic.positive, 0)} of"
            f" {overall.rank_ic.dates:,} dates are positive",
        ),
        (
            "Long-short return a year",
            f"{_percent(book.net)} (before costs {_percent(book.gross)})",
            f"the highest of {study.quantiles} quantiles bought, the lowest sold, each with the whole capital, after"
            f" {costs}",
        ),
        (
            "Sharpe ratio",
            _number(book.sharpe, 2),
            f"that return / its volatility of {_percent(book.volatility)} a year",
        ),
        ("Largest drawdown", _percent(book.drawdown), "largest loss from a peak of the value after costs"),
        (
            "Turnover",
            _percent(book.turnover),
            f"mean share of the long side that is replaced at a date, one every {_sessions(study.every)}; rank"
            f" correlation of the predictions with those of the date before: {_number(evaluation.autocorrelation, 2)}",
        ),
    ]


def value_chart(evaluation: Evaluation) -> LineChart | None:
    """Return the chart of the portfolio's value before and after costs; None without periods."""
    frame = evaluation.portfolio.frame
    if frame.height < 2:
        return None
    lines = [
        (name, css, list(accumulate(frame[column], lambda value, move: value * (1 + move), initial=1.0))[:-1])
        for name, css, column in (("before costs", "gross", "gross"), ("after costs", "net", "net"))
    ]
    if any(value <= 0 for _, _, values in lines for value in values):
        return None
    return line_chart(frame["date"].to_list(), lines)


def _quantiles(evaluation: Evaluation) -> BarChart | None:
    rows = evaluation.quantiles.rows()
    if not rows:
        return None
    last = len(rows)
    ends = {1: "1 (lowest)", last: f"{last} (highest)"}
    return bar_chart([(ends.get(number, str(number)), mean) for number, mean, _ in rows], lambda v: _percent(v, 2))


def _decay(evaluation: Evaluation) -> BarChart:
    bars = [(f"{horizon}", found.mean) for horizon, found in evaluation.decay]
    return bar_chart(bars, lambda value: _number(value, 3))


def _coefficients(evaluation: Evaluation) -> BarChart | None:
    """Return the mean rank IC of each year."""
    frame = evaluation.coefficients
    if frame.is_empty():
        return None
    by_year = frame.group_by(pl.col("date").dt.year().alias("year")).agg(pl.col("rank_ic").mean()).sort("year")
    return bar_chart([(str(year), mean) for year, mean in by_year.iter_rows()], _number)


def _parts(parts: Sequence[Score]) -> HtmlTable:
    table = table_of(
        [
            {
                "part": part.name,
                "rows": f"{part.rows:,}",
                "rank IC": _number(part.rank_ic.mean),
                "t": _number(part.rank_ic.t, 1),
                "IC": _number(part.ic.mean),
                "return a year": _percent(part.portfolio.net),
                "Sharpe ratio": _number(part.portfolio.sharpe, 2),
                "drawdown": _percent(part.portfolio.drawdown),
            }
            for part in parts
        ],
    )
    return replace(table, numeric=frozenset(range(1, len(table.heads))))


def _folds(evaluation: Evaluation) -> HtmlTable:
    return table_of(
        [
            {
                "fold": each.fold,
                "trained on": f"{each.train_first} to {each.train_last}",
                "training rows": each.train_rows,
                "purged rows": each.purged_rows,
                "tested on": f"{each.test_first} to {each.test_last}",
            }
            for each in evaluation.folds
        ]
    )


def _absence(each: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "symbol": each["symbol"],
        "sessions as a member": each["member_sessions"],
        "without a bar": each["without_bar"],
        "first bar": each["first_bar"],
        "last bar": each["last_bar"],
        "what it means": _meaning(each),
    }


def _meaning(each: Mapping[str, Any]) -> str:
    if each["first_bar"] is None:
        return "no vendor has bars: it is not in the table"
    if each["ended"]:
        return f"its bars end: {each['carried']:,} labels are to its last price, without what holders got after it"
    return "a session without a bar has no row"


def _settings(study: Study) -> HtmlTable:
    rows = []
    for name, value in study.model_dump(mode="json", exclude_none=True).items():
        text = (
            ", ".join(f"{k}: {v}" for k, v in value.items() if v not in ({}, None))
            if isinstance(value, dict)
            else value
        )
        rows.append({"field": name, "value": ", ".join(text) if isinstance(text, list) else str(text)})
    return table_of([row for row in rows if row["value"]])


def _number(value: float | None, places: int = 3) -> str:
    return _DASH if value is None else f"{value + 0.0:.{places}f}".replace("-", "−")


def _percent(value: float | None, places: int = 1) -> str:
    return _DASH if value is None else f"{100 * value + 0.0:.{places}f} %".replace("-", "−")


def _sessions(number: int) -> str:
    return "session" if number == 1 else f"{number} sessions"
