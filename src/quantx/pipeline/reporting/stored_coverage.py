"""The coverage that the last run wrote, as facts again: pages show it without reading the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

import polars as pl

from quantx.errors import LakeError
from quantx.lake.store import LakeLocation
from quantx.pipeline.reporting.coverage import FOLDER
from quantx.pipeline.reporting.coverage_facts import CoverageFacts
from quantx.pipeline.reporting.coverage_items import ITEM_COVERAGE
from quantx.pipeline.reporting.coverage_options import OPTION_COVERAGE
from quantx.pipeline.reporting.coverage_rates import RATE_COVERAGE

_Columns = Mapping[str, Any]


def _columns(texts: str = "", counts: str = "", shares: str = "") -> _Columns:
    kinds = ((texts, pl.String), (counts, pl.Int64), (shares, pl.Float64))
    return {name: dtype for names, dtype in kinds for name in names.split()}


_MISSING = _columns("universe market symbol newest explanation", "expected present lacks_from lacks_to")
# Days are texts here: views only show them.
_SCHEMAS: Mapping[str, _Columns] = {
    "months": _columns("universe market", "month expected present", "share"),
    "symbols": {**_MISSING, **_columns("", "rejected explained", "share")},
    "freshness": {
        **_columns("universe market settled newest", "members up_to_date behind delisted without_bars"),
        "updated": pl.Boolean,
    },
    "behind": _columns("universe symbol newest due"),
    "delisted": _columns("universe symbol newest delisted_on"),
    "rejects": _columns("rule source", "month rows symbols"),
    "proofs": _columns("source", "series proven disagrees nothing_to_prove"),
    "proofs_by_symbol": _columns("source symbol verdict first_disagreement", "events agree", "worst"),
    "disagreements": _columns("source symbol ex_date verdict", "", "ours vendors"),
    "agreement": _columns("source_a source_b market", "month sessions agreed", "share worst"),
    "scores": _columns("source market", "month compared agreed wrong", "score"),
    "items": ITEM_COVERAGE,
    "rates": {name: pl.String if dtype == pl.Date else dtype for name, dtype in RATE_COVERAGE.items()},
    "options": {name: pl.String if dtype == pl.Date else dtype for name, dtype in OPTION_COVERAGE.items()},
}


def coverage_path(universe: str | None = None) -> str:
    """Return the path of the JSON in the lake."""
    return f"{FOLDER}/{'coverage' if universe is None else f'universes/{universe}'}.json"


def read_coverage(location: LakeLocation, path: str) -> CoverageFacts:
    """Return the stored facts of a path in the lake; LakeError where it has none in this form."""
    return parse_coverage(location.get(path), path)


def parse_coverage(text: bytes, path: str) -> CoverageFacts:
    """Return the facts that `coverage_json` wrote; LakeError for another form."""
    try:
        values: dict[str, Any] = dict(json.loads(text))
        known = {each.name for each in fields(CoverageFacts)}
        frames = {
            name: pl.DataFrame(values[name], schema=schema, strict=False)
            for name, schema in _SCHEMAS.items()
            if values.get(name) is not None
        }
        made_at = datetime.fromisoformat(values["made_at"])
        others = {"made_at": made_at, "limits": tuple(values["limits"])}
        return CoverageFacts(**{name: values[name] for name in values if name in known} | frames | others)
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        raise LakeError(
            f"{path} is not in the form of this version; the next run writes it again, as does `quantx coverage`"
        ) from None
