"""What triggers call: one function per thing that a trigger can want."""

from __future__ import annotations

from collections.abc import Sequence

from quantx.errors import ConfigError
from quantx.pipeline.plan import Scope
from quantx.pipeline.plan import plan_daily as _plan_daily
from quantx.pipeline.platform import open_platform
from quantx.settings import Settings

SOURCE = "yahoo"


def plan_daily(
    settings: Settings,
    *,
    universe: str | None = None,
    phase: str | None = None,
    symbols: Sequence[str] | None = None,
    lookback_days: int = 5,
) -> str:
    """Plan a daily update, hand its tasks to the queue and return the run's id."""
    if lookback_days < 0:
        raise ConfigError(f"lookback_days is {lookback_days}; it counts sessions and must not be negative")
    scope = Scope(tuple(symbols or ()), universe, phase)
    with open_platform(settings) as platform:
        return _plan_daily(platform, scope, source=SOURCE, lookback=lookback_days).run_id
