"""The estimated cost of a month, as alerts and pages show it; `quantx cost` estimates other cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quantx.state.runs.port import Runs

if TYPE_CHECKING:
    from quantx.pipeline.reporting.cost import Estimate

_DAYS, _UPDATES = 30, 21  # of the runs that the estimate is of; daily updates in a month


def cost_of_month(runs: Runs) -> Estimate | None:
    """Return the estimate from the daily runs of the last 30 days; None where there are none.

    Raises ConfigError for a table of prices of the user's that can't be read.
    """
    from quantx.pipeline.reporting.cost import estimate, read_prices
    from quantx.pipeline.reporting.price_table import price_table

    used = runs.usage("daily", _DAYS)
    return estimate(read_prices(*price_table(None)), used, None, _UPDATES) if used.runs and used.tasks else None
