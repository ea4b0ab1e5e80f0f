"""Commands about features: list, build."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantx.cli.options import Json, Symbols, Universe, UseLocal, exits, reading_settings, settings_for, split_symbols
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import TaskID

    from quantx.core.features.feature import FeatureSet
    from quantx.features.build import Built

features = typer.Typer(help="List the declared features, and build the tables that store them.", no_args_is_help=True)

Sets = Annotated[
    list[str] | None, typer.Option("--set", help="A feature set, as in technical; may be repeated. All by default.")
]
EngineName = Annotated[str, typer.Option("--engine", help="Where features are computed: local or spark.")]
Since = Annotated[
    str | None, typer.Option(help="Also compute the rows from this day on again, whatever has changed: YYYY-MM-DD.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    features.command("list")(exits(list_sets))
    features.command("build")(exits(build))
    app.add_typer(features, name="features")


def list_sets(sets: Sets = None, use_local: UseLocal = False, json: Json = False) -> int:
    """List the feature sets and what of them is stored; with --set, the features of a set with their formulas.

    Example: quantx features list --set technical
    """
    chosen = _known_sets(sets)
    rows = [_facts(each, name) for each in chosen for name in each.names] if sets else _stored(use_local)
    print_json(rows) if json else print_table("features" if sets else "feature sets", rows)
    return 0


def build(
    sets: Sets = None,
    symbols: Symbols = None,
    universe: Universe = None,
    since: Since = None,
    engine: EngineName = "local",
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Compute features and store them; later builds recompute only what has changed.

    Named symbols, or the members of a universe at any time, are added to those that the table has. Without them every
    series of the lake is built. Rows that change keep their previous values in the revisions.

    Example: quantx features build --set technical
    """
    from quantx.cli.options import parse_day
    from quantx.features.engines import engine_of
    from quantx.pipeline.runtime.platform import open_platform

    settings = settings_for(use_local)
    chosen, runner = _known_sets(sets), engine_of(engine, settings)
    if symbols is not None and universe is not None:
        raise ConfigError("--symbols and --universe exclude each other; give one")
    wanted = {
        "symbols": split_symbols(symbols) or None,
        "universe": universe,
        "since": None if since is None else parse_day(since, "--since"),
    }
    results: list[Built] = []
    with open_platform(settings) as platform:
        for each in chosen:
            built = _build_one(platform, each, runner, wanted)
            if built is None:
                err.print("another process is building features; try again when it has ended")
                return 1
            results.append(built)
    if json:
        print_json([asdict(each) for each in results])
    for done in () if json else results:
        out.print(_text(done))
    return 0


def _build_one(platform: Any, feature_set: FeatureSet, engine: Any, wanted: dict[str, Any]) -> Built | None:
    from quantx.features.build import build as build_set

    with work_progress() as display:
        bar = display.add_task(feature_set.name, total=None, note="")

        def show(done: int, total: int, bar: TaskID = bar) -> None:
            display.update(bar, completed=done, total=total)

        return build_set(platform, feature_set, engine, on_progress=show, **wanted)


def _text(done: Built) -> str:
    if done.whole:
        return f"{done.feature_set}: {counted(done.rows, 'row')} of {counted(done.symbols, 'symbol')} built"
    if done.nothing:
        return f"{done.feature_set}: up to date"
    return (
        f"{done.feature_set}: {counted(done.rows, 'new row')}, {done.changed:,} changed, {done.removed:,} removed;"
        f" {counted(done.symbols, 'symbol')} computed"
    )


def _known_sets(names: Sequence[str] | None) -> list[FeatureSet]:
    """Return feature sets by their names, in the order of the registry; ConfigError for an unknown one."""
    from quantx.core.features.sets import SETS

    if unknown := [name for name in names or () if name not in SETS]:
        raise ConfigError(f"--set {unknown[0]!r} is not a feature set; use {', '.join(SETS)}")
    return [each for name, each in SETS.items() if name in (names or SETS)]


def _facts(feature_set: FeatureSet, name: str) -> dict[str, object]:
    feature = feature_set.features[feature_set.names.index(name)]
    return {
        "feature": f"{feature_set.name}.{name}",
        "unit": feature.unit,
        "inputs": ", ".join(feature.inputs),
        "formula": feature.formula,
        "source": feature.source,
    }


def _stored(use_local: bool) -> list[dict[str, Any]]:
    from quantx.reader.lake import lake_of

    return lake_of(reading_settings(use_local)).feature_sets().to_dicts()
