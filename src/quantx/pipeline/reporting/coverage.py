"""Coverage as files in the lake's `reports/coverage/`: an HTML page, and JSON for programs.

Both are overwritten each time; earlier values follow from the tables.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from quantx.core.tables import BARS_1D
from quantx.lake.protocol import Tables
from quantx.lake.store import LakeLocation
from quantx.pipeline.reporting.coverage_facts import CoverageFacts, coverage_facts
from quantx.pipeline.reporting.coverage_page import coverage_page
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
    path = f"{FOLDER}/{'coverage' if facts.universe is None else f'universes/{facts.universe}'}"
    location.put(f"{path}.json", coverage_json(facts).encode())
    location.put(f"{path}.html", coverage_page(facts).encode())
    return f"{path}.html"


def coverage_json(facts: CoverageFacts) -> str:
    """Return the facts as JSON, with dates and instants in ISO 8601."""
    return json.dumps(facts.as_json(), default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
