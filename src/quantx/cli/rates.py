"""Commands about published rates: update."""

from __future__ import annotations

from typing import Annotated

import typer

from quantx.cli.options import EnqueueOnly, Json, MaxWorkers, UseLocal, exits, parse_day, traced_settings
from quantx.settings import source_of

rates = typer.Typer(
    help="Fetch the US Treasury's par yields and the ECB's reference rates, and show them point in time.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    rates.command("update")(exits(update))
    app.add_typer(rates, name="rates")


def update(
    source: Annotated[
        str | None, typer.Option(help="treasury: par yields; ecb: exchange rates. By default both.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="First day; by default the first one that was ever published.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also fetch the days that were fetched before.")] = False,
    max_workers: MaxWorkers = None,
    enqueue_only: EnqueueOnly = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Fetch and curate the published rates that are not in the lake yet.

    The first update fetches the whole history: a document per year of the Treasury, one of the ECB. Later ones fetch
    one document of each, once its newest day is public, and note corrected values as revisions.

    Example: quantx rates update --source ecb
    """
    from quantx.cli.data import carry_out
    from quantx.pipeline.planning.rates import plan_rates
    from quantx.pipeline.runtime.platform import open_platform

    first = None if start is None else parse_day(start, "--start")
    with open_platform(traced_settings(use_local, max_workers=max_workers)) as platform:
        plan = plan_rates(platform, None if source is None else source_of(source), start=first, again=again)
        return carry_out(platform, plan, enqueue_only=enqueue_only, json=json)
