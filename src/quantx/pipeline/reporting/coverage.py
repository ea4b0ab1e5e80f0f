"""Coverage as files in the lake's `reports/coverage/`: an HTML page, JSON for programs, and the values of the page.

All are overwritten each time; earlier values follow from the tables.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from quantx.core.tables import BARS_1D
from quantx.errors import LakeError
from quantx.lake.protocol import Tables
from quantx.lake.store import LakeLocation
from quantx.pipeline.reporting.coverage_facts import CoverageFacts, coverage_facts
from quantx.pipeline.reporting.coverage_page import PAGE_VALUES, coverage_values, page_of
from quantx.pipeline.reporting.held_days import stored_days
from quantx.state.port import State

FOLDER = "reports/coverage"


def write_coverage(
    location: LakeLocation, tables: Tables, state: State, now: datetime, universe: str | None = None
) -> str:
    """Write the page and the JSON into the lake, and return the page's path; with a universe, they have its name."""
    held = stored_days(location, tables[BARS_1D.name])
    return store_coverage(location, coverage_facts(tables, state, location.url, now, universe, held))


def store_coverage(location: LakeLocation, facts: CoverageFacts) -> str:
    """Write the page and the JSON into the lake, and return the page's path."""
    path, values = _path(facts.universe), coverage_values(facts)
    location.put(f"{path}.json", coverage_json(facts).encode())
    location.put(f"{path}.view.json", json.dumps(values, default=_plain, ensure_ascii=False).encode())
    location.put(f"{path}.html", page_of(values).encode())
    return f"{path}.html"


def view_path(universe: str | None) -> str:
    """Return the path of the values of the page."""
    return f"{_path(universe)}.view.json"


def read_view(location: LakeLocation, universe: str | None) -> dict[str, Any]:
    """Return the values of the page that `store_coverage` wrote; LakeError where they have another form."""
    path = view_path(universe)
    try:
        values = json.loads(location.get(path))
    except ValueError:
        values = None
    if not isinstance(values, dict) or not values.keys() >= PAGE_VALUES:
        raise LakeError(
            f"{path} has the form of another version; the next run writes it again, as does `quantx coverage`"
        )
    return values


def _path(universe: str | None) -> str:
    return f"{FOLDER}/{'coverage' if universe is None else f'universes/{universe}'}"


def coverage_json(facts: CoverageFacts) -> str:
    """Return the facts as JSON, with dates and instants in ISO 8601."""
    return json.dumps(facts.as_json(), default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
