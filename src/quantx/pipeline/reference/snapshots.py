"""Snapshots of the documents of universe sources, and the decisions about them; both are kept for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from ulid import ULID

from quantx.lake.store import LakeLocation
from quantx.universes.protocol import Document


def keep_document(location: LakeLocation, universe: str, document: Document, suffix: str) -> str:
    """Store a document under its SHA-256, and return its path; an equal document has the same path."""
    path = f"meta/snapshots/universe={universe}/{document.sha256}{suffix}"
    if not location.create(path, document.body):  # other bytes under this SHA-256 are a damaged copy
        location.put(path, document.body)
    return path


def keep_decision(location: LakeLocation, universe: str, now: datetime, facts: Mapping[str, object]) -> str:
    """Store the decision of a refresh with its reasons; return the path."""
    path = f"meta/snapshots/universe={universe}/{ULID.from_datetime(now)}.json"
    location.put_new(path, json.dumps({"universe": universe, "at": now, **facts}, indent=1, default=str).encode())
    return path
