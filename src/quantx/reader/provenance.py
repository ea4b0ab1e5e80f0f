"""The provenance of frames: which query of which tables, at which versions, returned a frame.

It is kept beside the frame, not in it: Polars has no place for it that survives. A frame is found again by its identity
while it lives, and only if its values are still those that the query returned. A copy or a derived frame is another
object, and one that was changed in place has other values: both have no provenance rather than a wrong one.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib import metadata
from typing import Any

import polars as pl

from quantx.errors import NoProvenance

PROVENANCE = "quantx.provenance"  # in the metadata of Parquet files: JSON


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How a frame came about; the same query of the same versions returns the same frame."""

    lake: str  # the address
    snapshot: str | None  # the name of the snapshot that was read
    query: str  # the name of the method
    arguments: Mapping[str, Any]  # all of them, with the defaults
    tables: Mapping[str, int]  # the versions of the tables that were read
    sources: Sequence[str]  # the vendors of the rows; of a frame without them, those of the files that were read
    adjustment: str | None  # none, split or total; None: the query adjusts nothing
    base: Any  # the day to which prices are adjusted; None: the last known action
    as_of: Any  # as given
    public_by: Any
    queried_at: datetime  # UTC
    program: str  # the version of this program

    def as_facts(self) -> dict[str, Any]:
        """Return all of it as plain values for JSON."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


class FrameRegistry:
    """The provenance of the frames that live, by their identity."""

    def __init__(self) -> None:
        # The second frame shares the memory of the first one, and shows whether that was changed in place.
        self._known: dict[int, tuple[weakref.ref[pl.DataFrame], pl.DataFrame, Provenance]] = {}

    def note(self, frame: pl.DataFrame, provenance: Provenance) -> None:
        """Keep the provenance of a frame as long as the frame lives."""
        number = id(frame)

        def forget(gone: weakref.ref[pl.DataFrame]) -> None:
            known = self._known.get(number)
            if known is not None and known[0] is gone:
                self._known.pop(number, None)

        self._known[number] = weakref.ref(frame, forget), frame.clone(), provenance

    def find(self, frame: object) -> Provenance:
        """Return the provenance of a frame; NoProvenance for any other object."""
        known = self._known.get(id(frame))
        found = None if known is None else known[0]()
        if known is None or found is None or found is not frame:
            raise NoProvenance(
                "this frame was not returned by a query of a lake, or it is a copy or was derived from one; call"
                " provenance(frame) with the frame that the query returned"
            )
        if found.schema != known[1].schema or not found.equals(known[1]):
            raise NoProvenance("this frame was changed after the query returned it; query it again")
        # Found only now: a query of many rows should not wait for it.
        own = found["source"].unique().sort() if found.schema.get("source") == pl.String else known[2].sources
        return replace(known[2], sources=tuple(own))


FRAMES = FrameRegistry()


def provenance(frame: object) -> Provenance:
    """Return the provenance of a frame that a query of a lake returned.

    It has the table versions, vendors, adjustment, base, as_of, public_by, query time and program version. Raises
    NoProvenance for every other frame: also for copies, filtered and converted ones, and those changed in place.
    """
    return FRAMES.find(frame)


def note_provenance(
    frame: pl.DataFrame,
    query: Callable[..., object],
    given: tuple[Sequence[object], Mapping[str, object]],
    *,
    lake: str,
    snapshot: str | None,
    versions: Mapping[str, int],
    sources: Sequence[str],
) -> None:
    """Note the provenance of a frame that a query returned for some positional and keyword arguments."""
    bound = _signature(query).bind(None, *given[0], **given[1])
    bound.apply_defaults()
    arguments = {name: _kept(value) for name, value in list(bound.arguments.items())[1:]}
    FRAMES.note(
        frame,
        Provenance(
            lake=lake,
            snapshot=snapshot,
            query=query.__name__,
            arguments=arguments,
            tables=dict(sorted(versions.items())),
            sources=tuple(sources),
            adjustment=arguments.get("adjust"),
            base=arguments.get("base"),
            as_of=arguments.get("as_of"),
            public_by=arguments.get("public_by"),
            queried_at=datetime.now(UTC),
            program=program_version(),
        ),
    )


@lru_cache(maxsize=1)
def program_version() -> str:
    """Return the version of this program."""
    return metadata.version("quantx-data-builder")


@lru_cache(maxsize=128)
def _signature(query: Callable[..., object]) -> inspect.Signature:
    return inspect.signature(query)


def _kept(value: Any) -> Any:
    """Return an argument that its owner can't change later."""
    return copy(value) if isinstance(value, list | set | dict) else value


def _plain(value: Any) -> Any:
    """Return a value for JSON."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence):
        return [_plain(each) for each in value]
    return str(value)
