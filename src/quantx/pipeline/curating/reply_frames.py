"""The good replies of a round as frames, and the facts of each: pure, given the adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER, Payload
from quantx.core.symbols import venue_of
from quantx.errors import ProviderError
from quantx.pipeline.curating.normalize_minutes import FACTS
from quantx.pipeline.curating.schema_drift import ComparedReply, compare_replies
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.page_frames import PageFacts, read_pages
from quantx.providers.protocol import Provider


@dataclass(frozen=True)
class GoodReply:
    """A reply whose pages can be read, with their facts beside the rows."""

    item: ReadReply
    pages: Sequence[PageFacts]


class UnreadableReply(NamedTuple):
    """A reply that is not curated, with the page that can't be read."""

    item: ReadReply
    why: str
    page: Payload


@dataclass(frozen=True, kw_only=True)
class ReplyFrames:
    """The rows of replies of one source, dataset and timeframe, each with the number of its reply in `series`.

    The pages have no bodies any more.
    """

    items: Sequence[ReadReply]  # all replies
    good: Sequence[GoodReply]  # by number
    broken: Sequence[UnreadableReply]
    compared: Sequence[ComparedReply]  # all of them, with their drift
    facts: pl.DataFrame  # FACTS, of the good ones
    bars: pl.DataFrame  # VENDOR_BARS
    actions: pl.DataFrame  # VENDOR_ACTIONS
    rejected: pl.DataFrame  # REJECTED_EVENTS


def read_frames(landed: Sequence[ReadReply], provider: Provider) -> ReplyFrames:
    """Return the good replies as frames, the others with the reasons why not, and all of them with their drift.

    It depends on the replies alone: a round can be read while the one before it is committed.
    """
    pages, light = _pages_of(landed), _without_bodies(landed)
    frames = read_pages(provider, list(pages.values()))
    read = dict(zip(pages, frames.pages, strict=True))
    good: list[GoodReply] = []
    broken: list[UnreadableReply] = []
    numbers = dict[tuple[int, str | None], int]()  # of replies, by page, and where that is shared by symbol
    for whole, item in zip(landed, light, strict=True):
        if item.stored.malformed is not None:
            broken.append(UnreadableReply(item, item.stored.malformed, item.payload))
            continue
        facts = [read[id(page)] for page in whole.pages]
        wrong = next((n for n, why in enumerate(facts) if isinstance(why, ProviderError)), None)
        if wrong is not None:
            broken.append(UnreadableReply(item, str(facts[wrong]), item.pages[wrong]))
            continue
        symbol = item.symbol if _is_shared(item) else None
        numbers |= {(id(page), symbol): len(good) for page in whole.pages}
        good.append(GoodReply(item, [each for each in facts if isinstance(each, PageFacts)]))
    series = _series_of_parts(numbers, list(pages), frames.parts)
    readable = {page: facts for page, facts in read.items() if isinstance(facts, PageFacts)}
    return ReplyFrames(
        items=light,
        good=good,
        broken=broken,
        compared=compare_replies(landed, readable, provider),
        facts=facts_of(good),
        bars=_by_series(frames.bars, series),
        actions=_by_series(frames.actions, series),
        rejected=_by_series(frames.rejected, series),
    )


def _pages_of(landed: Sequence[ReadReply]) -> dict[int, Payload]:
    """Return each page of the replies once, by its id; those that several symbols share are the last."""
    items = [item for item in landed if item.stored.malformed is None]
    ordered = sorted(items, key=_is_shared)
    return {id(page): page for item in ordered for page in item.pages}


def _is_shared(item: ReadReply) -> bool:
    """Return whether a page is about other symbols, too, whatever worker and round their replies have."""
    return any(page.symbol != item.symbol for page in item.pages)


def _without_bodies(landed: Sequence[ReadReply]) -> list[ReadReply]:
    """Return the replies without the bodies of their pages; shared pages stay the same objects."""
    light = {id(page): page.without_body() for item in landed for page in item.pages}
    return [replace(item, pages=tuple(light[id(page)] for page in item.pages)) for item in landed]


def _series_of_parts(
    numbers: Mapping[tuple[int, str | None], int], pages: Sequence[int], parts: Sequence[tuple[int, str]]
) -> npt.NDArray[np.int64]:
    """Return the number of the reply that each part of a page belongs to, -1 where there is none."""
    found = (numbers.get((pages[page], symbol), numbers.get((pages[page], None), -1)) for page, symbol in parts)
    return np.fromiter(found, np.int64, len(parts))


def _by_series(rows: pl.DataFrame, series: npt.NDArray[np.int64]) -> pl.DataFrame:
    """Return the rows of replies with their numbers; other rows of shared pages are left out."""
    of_rows = pl.Series("series", series).gather(rows["part"]) if len(series) else rows["part"].alias("series")
    named = rows.select(pl.exclude("part", "symbol")).with_columns(of_rows)
    return named.filter(pl.col("series") >= 0) if (series < 0).any() else named


def facts_of(replies: Sequence[GoodReply]) -> pl.DataFrame:
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
