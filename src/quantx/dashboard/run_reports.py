"""The newest reports of runs in the lake: what the pages show of runs where the database does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from quantx.core.model import RunKind
from quantx.lake.store import LakeLocation


def newest_reports(location: LakeLocation, kinds: Sequence[RunKind], most: int) -> list[dict[str, Any]]:
    """Return at most `most` reports of runs of some kinds, the newest first; those that can't be read are left out.

    Only the folders of the newest days are listed. Raises LakeError if the store can't be reached.
    """
    return list(islice(_reports(location, kinds), most))


def _reports(location: LakeLocation, kinds: Sequence[RunKind]) -> Iterator[dict[str, Any]]:
    folders = [folder.rstrip("/") for kind in kinds for folder in location.folders(f"reports/{kind}/")]
    days = sorted({folder.rpartition("/")[2] for folder in folders}, reverse=True)
    for day in days:
        paths = [p for folder in folders if folder.endswith(f"/{day}") for p in location.paths(folder)]
        for path in sorted(paths, key=lambda path: path.rpartition("/")[2], reverse=True):  # named by a ULID
            report = _parsed(location.get(path)) if path.endswith(".json") else None
            if report is not None:
                yield report


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(text)
    except ValueError:
        return None
    return report if isinstance(report, dict) else None
