"""Pages about several symbols without some of them: JSON without the parts that the symbol names.

The cut is proved by the adapter: the page must give the same rows of the other symbols as before, and none of these.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import polars as pl

from quantx.core.model import Payload
from quantx.errors import MalformedPayload
from quantx.providers.protocol import Provider

CUT = "cut: "  # before the request of a page without some symbols


def cut_page(payload: Payload, gone: Collection[str], provider: Provider) -> Payload | None:
    """Return a page without some symbols; None where it is no such JSON, or the cut can't be proved."""
    try:
        document = json.loads(payload.body)
    except ValueError:
        return None
    names = [name for name in payload.symbol.split(",") if name not in gone]
    body = json.dumps(_without(document, gone), separators=(",", ":"), ensure_ascii=False).encode()
    if not names or any(f'"{symbol}"'.encode() in body for symbol in gone):
        return None
    cut = replace(payload, symbol=",".join(names), request=f"{CUT}{payload.request}", body=body)
    try:
        before, after = provider.normalize(payload), provider.normalize(cut)
    except MalformedPayload:
        return None
    kept = ~pl.col("symbol").is_in(list(gone))
    same = all(
        getattr(before, part).filter(kept).equals(getattr(after, part)) for part in ("bars", "actions")
    ) and before.rejected.filter(kept).drop("place").equals(after.rejected.drop("place"))
    return cut if same else None


def _without(value: Any, gone: Collection[str]) -> Any:
    """Return a part of a document without the entries of some symbols, by key or by a field `symbol`."""
    if isinstance(value, dict):
        return {name: _without(part, gone) for name, part in value.items() if name not in gone}
    if isinstance(value, list):
        return [_without(part, gone) for part in value if not (isinstance(part, dict) and part.get("symbol") in gone)]
    return value
