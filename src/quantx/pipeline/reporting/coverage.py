"""Coverage as files: a page for people and a JSON for programs, in the lake's `reports/coverage/`.

Both are written anew each time, under the same name: what was believed earlier follows from the tables.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from quantx.pipeline.reporting.coverage_facts import CoverageFacts, coverage_facts
from quantx.pipeline.reporting.coverage_page import coverage_page
from quantx.pipeline.runtime.platform import Platform

FOLDER = "reports/coverage"


def write_coverage(platform: Platform, universe: str | None = None) -> str:
    """Write the page and the JSON into the lake, and return the page's path; of one universe, they bear its name."""
    return store_coverage(platform, coverage_facts(platform, universe))


def store_coverage(platform: Platform, facts: CoverageFacts) -> str:
    """Put the page and the JSON into the lake, and return the page's path."""
    path = f"{FOLDER}/{'coverage' if facts.universe is None else f'universes/{facts.universe}'}"
    platform.location.put(f"{path}.json", coverage_json(facts).encode())
    platform.location.put(f"{path}.html", coverage_page(facts).encode())
    return f"{path}.html"


def coverage_json(facts: CoverageFacts) -> str:
    """Return the facts as JSON, with dates and instants in ISO 8601."""
    return json.dumps(facts.as_json(), default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
