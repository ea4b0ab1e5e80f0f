"""The one place that wires settings to adapters.

Importing it is light: the libraries for frames load while the state opens, which mostly waits for a server.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quantx.core.model import Quota
from quantx.pipeline.runtime.context import Context, ProviderOpener, open_parts, registered_providers
from quantx.pipeline.runtime.raw_place import confirm_raw
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime, Threads
from quantx.settings import Settings

if TYPE_CHECKING:
    from quantx.core.quality.policy import Policy
    from quantx.lake.protocol import Tables

_MODULES = ("quantx.lake.table", "quantx.providers.registry")


def _policy() -> Policy:
    from quantx.core.quality.policy import Policy

    return Policy()


@dataclass(frozen=True, kw_only=True)
class Platform(Context):
    """Everything that a service needs, opened."""

    tables: Tables
    quotas: Mapping[str, Quota | None]  # by source; None: unlimited
    policy: Policy = field(default_factory=_policy)


@contextmanager
def open_platform(
    settings: Settings,
    providers: ProviderOpener = registered_providers,
    *,
    retry_seconds: float = 0,
    modules: Sequence[str] = (),
) -> Iterator[Platform]:
    """Open the lake, the state and the queue that the settings name, and close them at the end.

    During an outage of one of them, retry for `retry_seconds`. The `modules` that the caller uses next load meanwhile.
    """
    # No daemon: the end of a process must not interrupt the loading of a library.
    threading.Thread(target=_load, args=([*_MODULES, *modules],), name="load").start()
    runtime = Threads()
    opened, platform = Retry(runtime, retry_seconds).call(lambda: _open(settings, providers, runtime))
    with opened:
        yield platform


def _open(settings: Settings, providers: ProviderOpener, runtime: Runtime) -> tuple[ExitStack, Platform]:
    with ExitStack() as opened:
        parts = vars(open_parts(opened, settings, runtime, provider_opener=providers))
        confirm_raw(parts["location"], parts["state"].replies)
        # Imported late: they load libraries for frames.
        from quantx.core.tables import TABLES
        from quantx.lake.table import open_tables
        from quantx.providers.registry import quotas_of

        tables = open_tables(parts["location"], TABLES)
        return opened.pop_all(), Platform(**parts, tables=tables, quotas=quotas_of(settings))
    raise AssertionError("the block returns or raises")


def _load(modules: Sequence[str]) -> None:
    """Import modules beside the caller, whose own import of a module that fails raises the error.

    A process that ends meanwhile lets no module register work for its end, which is a RuntimeError.
    """
    for name in modules:
        with contextlib.suppress(ImportError, RuntimeError):
            importlib.import_module(name)
