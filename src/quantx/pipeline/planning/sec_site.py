"""Files of the SEC's site that are about no single filer: the list of tickers and the indexes of days.

Each request takes a slot of the fleet's rate limit, and a block closes the SEC for all.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from quantx.core.model import Payload
from quantx.errors import ConfigError, RateLimited, TransientProviderError
from quantx.pipeline.runtime.context import Context

if TYPE_CHECKING:
    from quantx.providers.sec import Sec

SOURCE = "sec"
_LONGEST_WAIT = 60.0  # seconds for a slot
_INDEX_ZONE = "meta/sec/daily_index"


def sec_of(context: Context) -> Sec:
    """Return the provider of the SEC; ConfigError with the next step where it can't be fetched from here."""
    from quantx.providers.registry import why_absent
    from quantx.providers.sec import Sec

    provider = context.providers.get(SOURCE)
    if not isinstance(provider, Sec):
        raise ConfigError(why_absent(SOURCE, context.settings, context.providers))
    return provider


def fetch_site_file(context: Context, path: str) -> Payload | None:
    """Return a file of www.sec.gov; None where it does not exist.

    Raises ConfigError where the SEC can't be fetched from here, and ProviderError where it does not answer.
    """
    from quantx.providers.registry import quotas_of  # imported late: it loads libraries for frames

    provider, quotas = sec_of(context), context.state.quotas
    if (closed := quotas.closed_for(SOURCE)) > 0:
        raise RateLimited(f"the SEC is in back-off for {closed:.0f} s more; run the command again after that", closed)
    slots = quotas.reserve(SOURCE, quotas_of(context.settings)[SOURCE], 1, _LONGEST_WAIT)
    if slots is None or not slots.starts:
        raise TransientProviderError("the fleet uses all requests to the SEC now; run the command again later")
    context.runtime.wait((slots.starts[0] - slots.reserved_at).total_seconds())
    try:
        return provider.site_file(path)
    except RateLimited as refusal:
        quotas.close(SOURCE, refusal.retry_after or 600.0, str(refusal))
        raise


def filers_of_day(context: Context, day: date) -> frozenset[str] | None:
    """Return the filers that filed on a day, by the SEC's index; None where there is no index of the day (yet).

    The index is kept in the lake as it was sent, and fetched once.
    """
    from quantx.providers.sec_lists import index_path, read_index

    kept = f"{_INDEX_ZONE}/{day.year}/{day}.idx"
    if context.location.has(kept):
        body = context.location.get(kept)
        return read_index(Payload("", kept, 200, context.clock.now(), content_type="text/plain", body=body))
    document = fetch_site_file(context, index_path(day))
    if document is None:
        return None
    filers = read_index(document)
    context.location.create(kept, document.body)
    return filers


def weekdays(first: date, last: date) -> list[date]:
    """Return the days from `first` to `last` on which the SEC may have an index."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if day.weekday() < 5]
