"""Feature sets that follow the data by themselves: built after each run, as the setting `features` names them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from quantx.core.features.sets import SETS
from quantx.core.model import Finding
from quantx.core.quality.operational_rules import FEATURES_FAILED
from quantx.errors import QuantxError
from quantx.features.build import build, is_current
from quantx.features.engines import engine_of
from quantx.pipeline.runtime.platform import Platform

log = structlog.get_logger()

_NEXT = "`quantx features build --set {}` shows the reason again, and the next run repeats it"


def follow(platform: Platform, *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Build the enabled sets whose inputs have changed; return the names of those that failed, as `build_sets`."""
    return build_sets(platform, platform.settings.features, stopping=stopping)


def build_sets(platform: Platform, names: Sequence[str], *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Build the sets of these names whose inputs have changed; return the names of those that failed.

    A failure is a finding about the set. No build starts once `stopping` returns true; a set that another process
    builds is left to it.
    """
    failed: dict[str, str] = {}
    done: list[str] = []
    for name in _in_order(names):
        if stopping():
            break
        done.append(name)
        if name not in SETS:
            failed[name] = f"there is no feature set {name}; the sets are {', '.join(SETS)}: correct the setting"
            continue
        try:
            if not is_current(platform, SETS[name]):
                built = build(platform, SETS[name], engine_of("local"))
                log.info("features.built", set=name, rows=built and built.rows, changed=built and built.changed)
        except QuantxError as error:
            log.error("features.failed", set=name, error=str(error))
            failed[name] = f"the features {name} are not built: {error}; {_NEXT.format(name)}"
    findings = [Finding(FEATURES_FAILED, "error", name, message) for name, message in failed.items()]
    if done:
        platform.state.findings.restate(
            [FEATURES_FAILED], None, None, findings, "the build has succeeded since", subjects=done
        )
    return sorted(failed)


def _in_order(names: Sequence[str]) -> list[str]:
    """Return the sets in the order of the registry: a set comes after those that it is made of."""
    known = [name for name in SETS if name in names]
    return [*known, *(name for name in names if name not in SETS)]
