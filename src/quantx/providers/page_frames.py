"""Frames of many replies at once: the rows of all pages stacked, so that work on them does not grow with the replies.

An adapter that gains by it implements `BatchReader`; the pages of the others are read one by one, and then stacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl

from quantx.core.model import Payload
from quantx.errors import ProviderError
from quantx.providers.drift import FieldChange
from quantx.providers.protocol import REJECTED_EVENTS, VENDOR_ACTIONS, VENDOR_BARS, Note, Provider, VendorFrames

_Schema = Mapping[str, pl.DataType | type[pl.DataType]]


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """The facts of a page beside its rows; see VendorFrames."""

    currency: str | None
    notes: tuple[Note, ...] = ()
    drift: tuple[FieldChange, ...] = ()
    last_trade: datetime | None = None
    has_rows: bool  # bars or actions


@dataclass(frozen=True, kw_only=True)
class PageFrames:
    """The rows of pages in their order, with the number of their part in `part` in place of the symbol.

    A part is what one page has of one symbol.
    """

    pages: Sequence[PageFacts | ProviderError]  # an error: the page can't be read, and has no rows
    parts: Sequence[tuple[int, str]]  # the page and the symbol
    bars: pl.DataFrame  # VENDOR_BARS
    actions: pl.DataFrame  # VENDOR_ACTIONS
    rejected: pl.DataFrame  # REJECTED_EVENTS


@runtime_checkable
class BatchReader(Protocol):
    """A provider that reads many payloads at once."""

    def normalize_many(self, payloads: Sequence[Payload]) -> PageFrames:
        """Return what `normalize` returns or raises for each payload; one that is malformed costs only itself."""
        ...


def read_pages(provider: Provider, payloads: Sequence[Payload]) -> PageFrames:
    """Return the frames of payloads, by the adapter's `normalize_many` where it has one."""
    if isinstance(provider, BatchReader):
        return provider.normalize_many(payloads)
    return stack_pages([_normalized(provider, payload) for payload in payloads], payloads)


def _normalized(provider: Provider, payload: Payload) -> VendorFrames | ProviderError:
    try:
        return provider.normalize(payload)
    except ProviderError as error:
        return error


def one_page(frames: PageFrames) -> VendorFrames:
    """Return the frames of the only page; raise why it can't be read."""
    (page,) = frames.pages
    if isinstance(page, ProviderError):
        raise page
    symbols = pl.Series("symbol", [symbol for _, symbol in frames.parts], dtype=pl.String)
    bars, actions, rejected = (
        rows.with_columns(symbols.gather(rows["part"])).select(list(schema))
        for rows, schema in (
            (frames.bars, VENDOR_BARS),
            (frames.actions, VENDOR_ACTIONS),
            (frames.rejected, REJECTED_EVENTS),
        )
    )
    return VendorFrames(bars, actions, page.currency, page.notes, rejected, page.drift, page.last_trade)


def stack_pages(read: Sequence[VendorFrames | ProviderError], payloads: Sequence[Payload]) -> PageFrames:
    """Return the frames of single payloads as those of all."""
    parts: dict[tuple[int, str], int] = {}
    bars, actions, rejected = (Stack(schema) for schema in (VENDOR_BARS, VENDOR_ACTIONS, REJECTED_EVENTS))
    pages: list[PageFacts | ProviderError] = []
    for number, (frames, payload) in enumerate(zip(read, payloads, strict=True)):
        if isinstance(frames, ProviderError):
            pages.append(frames)
            continue
        for stack, rows in ((bars, frames.bars), (actions, frames.actions), (rejected, frames.rejected)):
            if rows.height:
                stack.add(rows, _parts_of(rows, number, payload, parts))
        pages.append(
            PageFacts(
                currency=frames.currency,
                notes=frames.notes,
                drift=frames.drift,
                last_trade=frames.last_trade,
                has_rows=frames.has_rows,
            )
        )
    return PageFrames(
        pages=pages, parts=list(parts), bars=bars.rows(), actions=actions.rows(), rejected=rejected.rows()
    )


def _parts_of(rows: pl.DataFrame, page: int, payload: Payload, parts: dict[tuple[int, str], int]) -> int | pl.Series:
    """Return the part of each row, or the only one."""
    if "," not in payload.symbol:
        return parts.setdefault((page, payload.symbol), len(parts))
    names = rows["symbol"].unique(maintain_order=True)
    numbers = [parts.setdefault((page, name), len(parts)) for name in names]
    return rows["symbol"].replace_strict(names, pl.Series(numbers, dtype=pl.Int64), return_dtype=pl.Int64)


class Stack:
    """Frames of one schema, with `part` in place of the symbol, concatenated once."""

    def __init__(self, schema: _Schema) -> None:
        self._schema = {name: kind for name, kind in schema.items() if name != "symbol"}
        self._frames = [pl.DataFrame(schema=self._schema)]
        self._parts: list[pl.Series] = []
        self._numbers: list[tuple[int, int]] = []

    def add(self, rows: pl.DataFrame, part: int | pl.Series) -> None:
        """Add rows of one part, or of the parts in a column."""
        self._frames.append(rows.select(list(self._schema)))
        if isinstance(part, int):
            self._numbers.append((part, rows.height))
        else:
            self._flush()
            self._parts.append(part)

    def rows(self) -> pl.DataFrame:
        """Return all rows."""
        self._flush()
        column = pl.concat([pl.Series(dtype=pl.Int64), *self._parts]).alias("part")
        return pl.concat(self._frames).with_columns(column)

    def _flush(self) -> None:
        """Write down the parts of frames with one part each."""
        if self._numbers:
            numbers, heights = zip(*self._numbers, strict=True)
            self._parts.append(pl.Series(np.repeat(np.array(numbers, dtype=np.int64), heights)))
            self._numbers = []
