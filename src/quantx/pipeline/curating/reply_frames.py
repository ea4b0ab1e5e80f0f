"""The good replies of a round as frames, and the facts of each: pure, given the adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER, Payload
from quantx.core.symbols import venue_of
from quantx.errors import ProviderError
from quantx.pipeline.curating.normalize_minutes import FACTS
from quantx.pipeline.curating.schema_drift import ComparedReply, compare_replies
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.protocol import Provider, VendorFrames


@dataclass(frozen=True)
class ReplyFrames:
    """A good reply with its pages as frames, whose rows have symbols."""

    item: ReadReply
    pages: Sequence[VendorFrames]
    shared: bool  # a page is about other symbols, too, whatever worker and round their replies have


class UnreadableReply(NamedTuple):
    """A reply that is not curated, with the page that can't be read."""

    item: ReadReply
    why: str
    page: Payload


def read_frames(
    landed: Sequence[ReadReply], provider: Provider
) -> tuple[list[ReplyFrames], list[UnreadableReply], list[ComparedReply]]:
    """Return the good replies as frames, the others with the reasons why not, and all of them with their drift."""
    frames: dict[int, VendorFrames | str] = {}
    replies: list[ReplyFrames] = []
    broken: list[UnreadableReply] = []
    for item in landed:
        if item.stored.malformed is not None:
            broken.append(UnreadableReply(item, item.stored.malformed, item.payload))
            continue
        for page in item.pages:
            if id(page) not in frames:
                try:
                    frames[id(page)] = provider.normalize(page)
                except ProviderError as error:
                    frames[id(page)] = str(error)
        read = [frames[id(page)] for page in item.pages]
        wrong = next((n for n, why in enumerate(read) if isinstance(why, str)), None)
        if wrong is not None:
            broken.append(UnreadableReply(item, str(read[wrong]), item.pages[wrong]))
        else:
            shared = any(page.symbol != item.symbol for page in item.pages)
            replies.append(ReplyFrames(item, [f for f in read if isinstance(f, VendorFrames)], shared))
    return replies, broken, compare_replies(landed, frames, provider)


def stack_rows(
    replies: Sequence[ReplyFrames],
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
    part: Callable[[VendorFrames], pl.DataFrame],
) -> pl.DataFrame:
    """Concatenate the rows of all replies, with the position of the reply in `series` in place of the symbol."""
    numbered, shared = [], dict[int, tuple[pl.DataFrame, dict[str, int]]]()
    for i, reply in enumerate(replies):
        for page in map(part, reply.pages):
            if reply.shared:
                shared.setdefault(id(page), (page, {}))[1][reply.item.symbol] = i
            else:
                numbered.append(page.drop("symbol").with_columns(pl.lit(i, dtype=pl.Int64).alias("series")))
    for page, places in shared.values():
        series = pl.col("symbol").replace_strict(places, default=None, return_dtype=pl.Int64).alias("series")
        numbered.append(page.with_columns(series).filter(pl.col("series").is_not_null()).drop("symbol"))
    columns = {name: kind for name, kind in schema.items() if name != "symbol"}
    return pl.concat([pl.DataFrame(schema={**columns, "series": pl.Int64}), *numbered])


def facts_of(replies: Sequence[ReplyFrames]) -> pl.DataFrame:
    """Return the facts of each reply, by `series`."""
    rows = []
    for i, reply in enumerate(replies):
        item, venue, payload = reply.item, venue_of(reply.item.symbol), reply.item.payload
        today = item.as_of.astimezone(ZoneInfo(venue.timezone)).date()
        currency = next((page.currency for page in reversed(reply.pages) if page.currency), None)
        request = (item.symbol, venue.calendar, item.stored.window.start, item.stored.window.end)
        settled = calendar(venue.calendar).last_closed(item.as_of, SETTLED_AFTER)
        rows.append((i, *request, item.as_of, today, settled, currency, item.raw, payload.sha256, payload.fetched_at))
    return pl.DataFrame(rows, schema=FACTS, orient="row")
