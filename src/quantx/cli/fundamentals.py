"""Commands about fundamentals: update, link."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantx.cli.options import (
    EnqueueOnly,
    Json,
    MaxWorkers,
    Phase,
    Symbols,
    Universe,
    UseLocal,
    exits,
    parse_day,
    settings_for,
    traced_settings,
)
from quantx.cli.output import err, out
from quantx.errors import ConfigError
from quantx.settings import source_of
from quantx.state.audit.login import login_name

if TYPE_CHECKING:
    from quantx.pipeline.planning.scope import Scope
    from quantx.pipeline.runtime.platform import Platform


SEC, DATASET = "sec", "fundamentals"
_SHOWN = 10  # members that are left out

fundamentals = typer.Typer(
    help="Fetch the filings and facts of filers from the SEC, and show them point in time.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    fundamentals.command("update")(exits(update))
    fundamentals.command("link")(exits(link))
    app.add_typer(fundamentals, name="fundamentals")


def update(
    symbols: Symbols = None,
    universe: Universe = None,
    phase: Phase = None,
    bulk: Annotated[
        list[Path] | None,
        typer.Option(help="A nightly archive of the SEC, companyfacts.zip or submissions.zip; may be repeated."),
    ] = None,
    source: Annotated[str, typer.Option(help="sec, or a vendor of statements such as fmp.")] = SEC,
    dataset: Annotated[str, typer.Option(help="Another dataset of facts that a vendor has, as in esg.")] = DATASET,
    max_workers: MaxWorkers = None,
    enqueue_only: EnqueueOnly = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Fetch and curate the filings and facts of filers, or the statements of a vendor.

    Named symbols are fetched at once. Of a universe, a phase, or all enabled universes those filers are fetched that
    are new, or have filed since, by the SEC's index of each day. Of another vendor's symbols those are fetched that
    have no reply of the last week.

    Example: quantx fundamentals update --symbols AAPL,BRK.B
    """
    from quantx.cli.data import carry_out, scope_of
    from quantx.pipeline.planning.facts import plan_facts
    from quantx.pipeline.planning.fundamentals import plan_scope
    from quantx.pipeline.planning.scope import Scope
    from quantx.pipeline.reference.filers import refresh_filer_symbols
    from quantx.pipeline.runtime.platform import open_platform

    scope = Scope(**scope_of(universe, phase, symbols))
    if bulk and enqueue_only:
        raise ConfigError("--bulk reads the archives here; it can't be combined with --enqueue-only")
    vendor = source_of(source)
    if bulk and vendor != SEC:
        raise ConfigError("--bulk reads archives of the SEC; it can't be combined with another --source")
    with open_platform(traced_settings(use_local, max_workers=max_workers)) as platform:
        if vendor != SEC or dataset != DATASET:
            plan = plan_facts(platform, scope, dataset, vendor)
            return carry_out(platform, plan, enqueue_only=enqueue_only, json=json)
        if bulk:
            return _read_archives(platform, scope, bulk, json=json)
        refresh_filer_symbols(platform, platform.tables, scope.symbols)
        plan = plan_scope(platform, scope, again=bool(scope.symbols))
        return carry_out(platform, plan, enqueue_only=enqueue_only, json=json)


def _read_archives(platform: Platform, scope: Scope, paths: Sequence[Path], *, json: bool) -> int:
    """Read the filers of a scope, or all, from archives by a worker that has them in place of the network."""
    from quantx.cli.data import carry_out
    from quantx.pipeline.planning.fundamentals import filers_in_scope, plan_archives
    from quantx.pipeline.reference.filers import refresh_filer_symbols
    from quantx.providers.sec import SOURCE
    from quantx.providers.sec_archive import open_archives

    with ExitStack() as opened:
        archives = open_archives(opened, paths, platform.clock)
        if scope.describe():
            refresh_filer_symbols(platform, platform.tables, scope.symbols)
            named, there = filers_in_scope(platform, scope), set(archives.filers)
            filers = [filer for filer in named if scope.symbols or filer in there]
        else:
            filers = archives.filers
        for name in archives.strange[:_SHOWN]:
            err.print(f"  left out {name!a}: no file of the SEC's", markup=False)
        if not archives.is_complete:
            err.print("  facts without filings, or filings without facts: the next update fetches these filers")
        request = {**scope.describe(), "bulk": [path.name for path in paths]}
        plan = plan_archives(platform, filers, archives.made_at, complete=archives.is_complete, request=request)
        reading = replace(
            platform,
            providers={**platform.providers, SOURCE: archives},
            quotas={**platform.quotas, SOURCE: None},
        )
        return carry_out(reading, plan, enqueue_only=False, json=json)


def link(
    symbol: Annotated[str, typer.Argument(help="A symbol, as in MRVL.")],
    filer: Annotated[str, typer.Argument(help="The filer that had it before, by its CIK, as in CIK0001058057.")],
    until: Annotated[str, typer.Option(help="The last day on which that filer had the symbol.")],
    reason: Annotated[str, typer.Option(help="The evidence for it.")],
    by: Annotated[str | None, typer.Option(help="Approver; your login by default.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Record the predecessor of a symbol's filer: a reorganisation moves a symbol to a new filer.

    Queries of the symbol then have the facts of both. The facts of the predecessor come with the next update.

    Example: quantx fundamentals link MRVL CIK0001058057 --until 2021-04-20 --reason "holding company, 8-K12B"
    """
    from quantx.pipeline.reference.filers import link_filer
    from quantx.pipeline.runtime.platform import open_platform

    day, approver = parse_day(until, "--until"), by or login_name()
    with open_platform(settings_for(use_local)) as platform:
        link_filer(platform, platform.tables, symbol, filer, day, reason=reason, by=approver)
    out.print(f"{symbol.upper()} was the symbol of {filer.upper()} until {day}")
    return 0
