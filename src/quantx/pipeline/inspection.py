"""What is looked at by itself when runs have ended: series, minutes, dividends, vendors, gaps, and the coverage page.

One process at a time does it, for all runs that have ended since the last time. Each look stands alone: where one fails,
the others go on, and the runs are looked at again by who works next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import structlog

from quantx.errors import QuantxError
from quantx.pipeline.coverage import write_coverage
from quantx.pipeline.crossvalidate import reconcile
from quantx.pipeline.dividends import check_dividends
from quantx.pipeline.heal import heal_gaps
from quantx.pipeline.minute_checks import check_minutes
from quantx.pipeline.platform import Platform
from quantx.pipeline.validate import validate_series

log = structlog.get_logger()

# The coverage page comes last: it shows what the others have found.
_LOOKS: dict[str, Callable[[Platform, Collection[str]], object]] = {
    "series": validate_series,
    "minutes": check_minutes,
    "dividends": check_dividends,
    "vendors": reconcile,
    "gaps": heal_gaps,
    "coverage": lambda platform, _: write_coverage(platform),
}


def inspect_ended_runs(platform: Platform, *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Inspect the symbols of the runs that were reported and not inspected; return the names of the looks that failed.

    Ends between two looks when `stopping` turns true; then, and where a look fails, the runs stay uninspected.
    """
    if not platform.settings.inspect or not platform.state.runs.uninspected():
        return []
    with platform.state.exclusive("inspector") as mine:
        if mine is None:
            return []
        runs = platform.state.runs.uninspected()
        symbols = sorted({symbol for named in runs.values() for symbol in named})
        failed = inspect_symbols(platform, symbols, stopping=stopping)
        if stopping():
            return failed
        if not failed:
            platform.state.runs.inspected(list(runs))
        log.info("inspected", runs=len(runs), symbols=len(symbols), failed=failed)
        return failed


def inspect_symbols(
    platform: Platform, symbols: Collection[str], *, stopping: Callable[[], bool] = lambda: False
) -> list[str]:
    """Look at these symbols; return the names of the looks that failed. Ends between two looks when `stopping` turns true."""
    failed: list[str] = []
    for name, look in _LOOKS.items():
        if stopping():
            break
        try:
            look(platform, symbols)
        except QuantxError as error:
            log.error("inspection.failed", look=name, error=str(error))
            failed.append(name)
    return failed
