"""Commands about fundamentals: fundamentals update."""

from __future__ import annotations

import typer

from quantx.cli.data import EnqueueOnly, carry_out
from quantx.cli.options import Json, MaxWorkers, Symbols, UseLocal, exits, split_symbols, traced_settings
from quantx.pipeline.planning.fundamentals import plan_fundamentals
from quantx.pipeline.runtime.platform import open_platform

fundamentals = typer.Typer(
    help="Fetch the filings and facts of filers from the SEC, and show them point in time.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    fundamentals.command("update")(exits(update))
    app.add_typer(fundamentals, name="fundamentals")


def update(
    symbols: Symbols = None,
    max_workers: MaxWorkers = None,
    enqueue_only: EnqueueOnly = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Fetch and curate the filings and facts of filers.

    Example: quantx fundamentals update --symbols AAPL,BRK.B
    """
    from quantx.pipeline.reference.filers import filers_of

    named = split_symbols(symbols)
    with open_platform(traced_settings(use_local, max_workers=max_workers)) as platform:
        plan = plan_fundamentals(platform, filers_of(platform, named), request={"symbols": list(named)})
        return carry_out(platform, plan, enqueue_only=enqueue_only, json=json)
