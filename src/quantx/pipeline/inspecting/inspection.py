"""What is looked at by itself when runs have ended: series, minutes, dividends, vendors, gaps, and the coverage page.

One process at a time does it, for all runs that have ended since the last time. Each look stands alone: where one fails,
a finding tells so, the others go on, and the runs are looked at again by who works next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import structlog

from quantx.core.model import Finding
from quantx.core.quality.gaps import MARKET_MISSING
from quantx.core.quality.operational_rules import INSPECTION_FAILED
from quantx.errors import QuantxError
from quantx.pipeline.inspecting.dividends import check_dividends
from quantx.pipeline.inspecting.heal import heal_gaps
from quantx.pipeline.inspecting.minute_sessions import check_minutes
from quantx.pipeline.inspecting.reconcile import reconcile
from quantx.pipeline.inspecting.series import validate_series
from quantx.pipeline.reporting.coverage import write_coverage
from quantx.pipeline.runtime.platform import Platform
from quantx.tracing import shared_span

log = structlog.get_logger()


def _heal(platform: Platform, symbols: Collection[str]) -> None:
    """Heal the gaps of these symbols, and of all while a hole of a whole market is open: all of its series judge that."""
    open_gaps = platform.state.findings.open(MARKET_MISSING)
    everywhere = any(finding.source in platform.providers for finding in open_gaps)
    heal_gaps(platform, None if everywhere else symbols)


# The coverage page comes last: it shows what the others have found.
_LOOKS: dict[str, Callable[[Platform, Collection[str]], object]] = {
    "series": validate_series,
    "minutes": check_minutes,
    "dividends": check_dividends,
    "vendors": reconcile,
    "gaps": _heal,
    "coverage": lambda platform, _: write_coverage(platform),
}


def inspect_ended_runs(platform: Platform, *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Inspect the symbols of the runs that were reported and not inspected; return the names of the looks that failed.

    Of symbols with a gap that is due to be asked for again, the gaps are looked at whether a run has ended or not.
    Ends between two looks when `stopping` turns true; then, and where a look fails, the runs stay uninspected.
    """
    if not platform.settings.inspect or not (platform.state.runs.uninspected() or _due(platform)):
        return []
    with platform.state.exclusive("inspector") as mine:
        if mine is None:
            return []
        runs = platform.state.runs.uninspected()
        symbols = sorted({symbol for named in runs.values() for symbol in named})
        with shared_span("inspect", runs):
            failed = inspect_symbols(platform, symbols, stopping=stopping)
            if not failed and not stopping():
                platform.state.runs.inspected(list(runs))
        return failed


def inspect_symbols(
    platform: Platform, symbols: Collection[str], *, stopping: Callable[[], bool] = lambda: False
) -> list[str]:
    """Look at these symbols; return the names of the looks that failed. Ends between two looks when `stopping` turns true.

    Of symbols with a gap that is due to be asked for again, the gaps are looked at as well.
    """
    errors: dict[str, str | None] = {}
    for name, look in _LOOKS.items():
        if stopping():
            break
        about = sorted({*symbols, *_due(platform)}) if name == "gaps" else symbols
        if not about:
            continue
        try:
            look(platform, about)
            errors[name] = None
        except QuantxError as error:
            log.error("inspection.failed", look=name, error=str(error))
            errors[name] = str(error)
    _note(platform, errors)
    failed = [name for name, error in errors.items() if error is not None]
    log.info("inspected", symbols=len(symbols), failed=failed)
    return failed


def _due(platform: Platform) -> list[str]:
    return platform.state.gaps.due(list(platform.providers), platform.clock.now())


def _note(platform: Platform, errors: Mapping[str, str | None]) -> None:
    """Note which looks have failed, with their errors, and settle what was noted of those that have not."""
    findings = [
        Finding(
            INSPECTION_FAILED,
            "error",
            name,
            f"the look at {name} failed, and what it would find is not known: {error}; it is repeated by who works next",
        )
        for name, error in errors.items()
        if error is not None
    ]
    platform.state.findings.restate(
        [INSPECTION_FAILED], None, None, findings, "the look has succeeded since", list(errors)
    )
