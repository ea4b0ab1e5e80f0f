"""Commands about features: list, build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TaskID

from quantx.cli.options import Json, Symbols, Universe, UseLocal, exits, settings_for, split_symbols
from quantx.cli.output import counted, err, out, print_json, work_progress
from quantx.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import TaskID

features = typer.Typer(help="Build the declared features, and show what is built.", no_args_is_help=True)

Sets = Annotated[
    list[str] | None, typer.Option("--set", help="A feature set, as in technical; may be repeated. All by default.")
]
EngineName = Annotated[str, typer.Option("--engine", help="What computes: local, or spark for a cluster.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    features.command("build")(exits(build))
    app.add_typer(features, name="features")


def build(
    sets: Sets = None,
    symbols: Symbols = None,
    universe: Universe = None,
    engine: EngineName = "local",
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Compute features and store them; later builds recompute only what has changed.

    Named symbols, or the members of a universe, are added to those that the table has. Without them every series of
    the lake is built.

    Example: quantx features build --set technical
    """
    from dataclasses import asdict

    from quantx.core.features.sets import SETS
    from quantx.features.build import build as build_set
    from quantx.features.engines import engine_of
    from quantx.pipeline.runtime.platform import open_platform

    if unknown := [name for name in sets or () if name not in SETS]:
        raise ConfigError(f"--set {unknown[0]!r} is not a feature set; use {', '.join(SETS)}")
    settings = settings_for(use_local)
    chosen, runner = [SETS[name] for name in sets or SETS], engine_of(engine, settings)
    results = []
    with open_platform(settings) as platform, work_progress() as display:
        for each in chosen:
            bar = display.add_task(each.name, total=None, note="")

            def show(done: int, total: int, bar: TaskID = bar) -> None:
                display.update(bar, completed=done, total=total)

            built = build_set(platform, each, runner, symbols=split_symbols(symbols) or None, on_progress=show)
            if built is None:
                err.print("another process is building features; try again when it has ended")
                return 1
            results.append(built)
    if json:
        print_json([asdict(each) for each in results])
        return 0
    for done in results:
        out.print(f"{done.feature_set}: {counted(done.rows, 'row')} of {counted(done.symbols, 'symbol')} built")
    return 0
