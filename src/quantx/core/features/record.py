"""The record of a build: which definitions and which versions of the inputs the stored rows of a set are made of.

It is a property of the feature table, and changes in the same commit as the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

PROPERTY = "quantx.features"


@dataclass(frozen=True, kw_only=True)
class BuildRecord:
    """What the rows of a feature table are made of."""

    definition: str  # the hash of the set
    kernels: Mapping[str, str]  # versions of the libraries that compute
    inputs: Mapping[str, int | None]  # versions of the tables; None: there was no such table
    since: datetime  # first build with this definition; the rows can't show what was known before
    at: datetime  # of the last commit
    rows: int = 0  # of the table; another number shows that a file was lost
    symbols: Sequence[str] | None = None  # the built ones; None: every series of the lake
    universes: Sequence[str] = ()  # of a cross-section
    orders: Mapping[str, Sequence[str]] | None = None  # the preferred vendors by market

    @property
    def properties(self) -> dict[str, str]:
        """Return the record as a property of the table."""
        document = {**asdict(self), "since": self.since.isoformat(), "at": self.at.isoformat()}
        return {PROPERTY: json.dumps(document, separators=(",", ":"), sort_keys=True)}

    @staticmethod
    def of(properties: Mapping[str, str]) -> BuildRecord | None:
        """Return the record among a table's properties; None where there is none that can be read."""
        try:
            document = json.loads(properties[PROPERTY])
            moments = {name: datetime.fromisoformat(document[name]) for name in ("since", "at")}
            return BuildRecord(**{**document, **moments})
        except (KeyError, TypeError, ValueError):
            return None
