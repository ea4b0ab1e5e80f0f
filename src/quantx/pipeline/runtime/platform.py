"""The one place that wires settings to adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from quantx.core.model import Quota
from quantx.core.quality.policy import Policy
from quantx.core.quality.row_policy import Judge
from quantx.core.tables import DECISIONS, TABLES
from quantx.lake.protocol import CuratedTable
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.context import Context, ProviderOpener, open_parts
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime, Threads
from quantx.providers.protocol import Provider
from quantx.providers.registry import open_providers, quotas_of, vendor_to_read
from quantx.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Platform(Context):
    """Everything that a service needs, opened."""

    tables: Mapping[str, CuratedTable]
    quotas: Mapping[str, Quota | None]  # by source; None: unlimited
    normalize: Callable[..., Any] | None = None  # None: `normalize_round`
    policy: Policy = field(default_factory=Policy)

    def reader_of(self, source: str) -> Provider:
        """Return the vendor whose stored replies are to be read, also where its key is missing here."""
        return self.providers.get(source) or vendor_to_read(source, self.settings, self.clock)

    def judge(self) -> Judge:
        """Return what decides about rows now: the rules, and what people have decided."""
        return Judge(self.policy, self.tables[DECISIONS.name].read())


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
        tables = open_tables(parts["location"], TABLES)
        return opened.pop_all(), Platform(**parts, tables=tables, quotas=quotas_of(settings))
    raise AssertionError("the block returns or raises")
