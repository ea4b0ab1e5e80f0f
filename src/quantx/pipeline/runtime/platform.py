"""The one place that wires settings to adapters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from quantx.core.model import Quota
from quantx.core.quality.policy import Policy
from quantx.core.tables import TABLES
from quantx.lake.protocol import Tables
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.context import Context, ProviderOpener, open_parts
from quantx.pipeline.runtime.raw_place import confirm_raw
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime, Threads
from quantx.providers.registry import open_providers, quotas_of
from quantx.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Platform(Context):
    """Everything that a service needs, opened."""

    tables: Tables
    quotas: Mapping[str, Quota | None]  # by source; None: unlimited
    policy: Policy = field(default_factory=Policy)


@contextmanager
def open_platform(
    settings: Settings, providers: ProviderOpener = open_providers, *, retry_seconds: float = 0
) -> Iterator[Platform]:
    """Open the lake, the state and the queue that the settings name, and close them at the end.

    During an outage of one of them, retry for `retry_seconds`.
    """
    runtime = Threads()
    opened, platform = Retry(runtime, retry_seconds).call(lambda: _open(settings, providers, runtime))
    with opened:
        yield platform


def _open(settings: Settings, providers: ProviderOpener, runtime: Runtime) -> tuple[ExitStack, Platform]:
    with ExitStack() as opened:
        parts = vars(open_parts(opened, settings, runtime, provider_opener=providers))
        confirm_raw(parts["location"], parts["state"].replies)
        tables = open_tables(parts["location"], TABLES)
        return opened.pop_all(), Platform(**parts, tables=tables, quotas=quotas_of(settings))
    raise AssertionError("the block returns or raises")
