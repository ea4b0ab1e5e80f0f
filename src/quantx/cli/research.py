"""Commands about studies: dataset, train, evaluate, predict."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantx.cli.options import Json, UseLocal, exits, parse_day, reading_settings, settings_for
from quantx.cli.output import counted, err, incomplete_data_reported, out, print_json, print_table, work_progress

if TYPE_CHECKING:
    from quantx.research.steps import StudyRun
    from quantx.settings import Settings

Config = Annotated[Path, typer.Argument(help="The YAML file of the study.", show_default=False)]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of the study's dataset, model and report; by default data/studies/<name>.")
]

research = typer.Typer(
    help="Run a study: build a dataset without look-ahead, train a model, judge it, and write its predictions.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    research.command("dataset")(exits(dataset))
    research.command("train")(exits(train))
    research.command("evaluate")(exits(evaluate))
    research.command("predict")(exits(predict))
    app.add_typer(research, name="research")


def dataset(config: Config, folder: Folder = None, use_local: UseLocal = False, json: Json = False) -> int:
    """Build the training table of a study: members of each date, features known at its close, and the label.

    The same lake and the same study give the same bytes. It reads the lake only.

    Example: quantx research dataset examples/momentum_value/study.yaml
    """
    run = _run(config, folder, reading_settings(use_local))
    made, before = run.make_dataset()
    facts = made.facts
    if json:
        print_json({**facts, "folder": run.folder, "same_as_before": before == made.hash})
        return 0
    out.print(
        f"{counted(facts['rows'], 'row')} of {counted(facts['symbols'], 'security', 'securities')} on"
        f" {counted(facts['dates'], 'date')}, {facts['labelled']:,} with a label, {len(made.features)} features"
    )
    absent = [each for each in facts["absences"] if each["without_bar"] or each["ended"]]
    if absent:
        out.print(f"{counted(len(absent), 'member')} without bars on some sessions; the report of the study lists them")
    for remark in facts["remarks"]:
        err.print(f"warning: {remark}")
    same = "the same as before" if before == made.hash else "new" if before is None else f"before {before}"
    out.print(f"dataset {made.hash} ({same}) in {run.folder}")
    return 0


def train(config: Config, folder: Folder = None, use_local: UseLocal = False, json: Json = False) -> int:
    """Train the model of a study in each fold and on all rows, and record it with MLflow.

    Where the folder has no dataset of the study, it is built. The same dataset gives the same predictions.

    Example: quantx research train examples/momentum_value/study.yaml
    """
    with work_progress(quiet=json) as progress:
        task = progress.add_task("training", total=None, note="")
        run = _run(
            config,
            folder,
            reading_settings(use_local),
            on_fold=lambda done, of: progress.update(task, completed=done, total=of),
        )
        facts = run.train()
    if json:
        print_json({**facts, "folder": run.folder})
        return 0
    print_table("Folds", [_fold(each) for each in facts["folds"]])
    out.print(f"model {facts['model']} of dataset {facts['dataset']} in {run.folder}")
    return 0


def evaluate(config: Config, folder: Folder = None, use_local: UseLocal = False, json: Json = False) -> int:
    """Judge a study by its out-of-sample predictions, check it for look-ahead, and write a report with charts.

    The exit code is 1 if a check finds look-ahead. Where the folder has no model, it is trained.

    Example: quantx research evaluate examples/momentum_value/study.yaml
    """
    from quantx.research.report import key_figures

    run = _run(config, folder, reading_settings(use_local))
    with incomplete_data_reported():
        evaluation, report = run.evaluate()
    if json:
        print_json({**evaluation.as_facts(), "report": report})
    else:
        rows = [{"measure": name, "value": value} for name, value, _ in key_figures(run.study, evaluation)]
        print_table(f"{run.study.name}, out of sample", rows)
        for check in evaluation.checks:
            out.print(f"{check.name}: {check.status}: {check.message}", markup=False)
        out.print(f"report  {report}")
    return 1 if evaluation.leaks else 0


def predict(
    config: Config,
    folder: Folder = None,
    start: Annotated[str | None, typer.Option(help="First session; by default the one after the last.")] = None,
    end: Annotated[str | None, typer.Option(help="Last session; by default the newest.")] = None,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Write predictions of the trained model for new sessions into the lake; lake.predictions() reads them.

    A repeated call changes nothing. Daily updates do it by themselves for the studies of the setting `studies`.

    Example: quantx research predict examples/momentum_value/study.yaml
    """
    from quantx.pipeline.runtime.platform import open_platform
    from quantx.research.artifacts import load_model
    from quantx.research.predict import predict_study

    settings = settings_for(use_local)
    run = _run(config, folder, settings)
    model = load_model(run.folder, run.study)
    first, last = (None if day is None else parse_day(day, name) for day, name in ((start, "--start"), (end, "--end")))
    with open_platform(settings) as platform, incomplete_data_reported():
        found = predict_study(platform, run.study, model, first, last)
    if json:
        print_json(vars(found))
    elif found.rows:
        state = "written" if found.changed else "in the lake already"
        out.print(f"{counted(found.rows, 'prediction')} of {found.model} for {found.first} to {found.last}: {state}")
    else:
        out.print(f"no new session for {found.model}")
    return 0


def _run(config: Path, folder: Path | None, settings: Settings, **how: Any) -> StudyRun:
    from quantx.reader.lake import lake_of
    from quantx.research.steps import StudyRun
    from quantx.research.study import read_study

    study = read_study(config)
    return StudyRun(
        study=study,
        folder=settings.studies_dir / study.name if folder is None else folder,
        lake=partial(lake_of, settings),
        packages=settings.estimator_packages,
        tracking_uri=settings.mlflow_tracking_uri,
        **how,
    )


def _fold(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "fold": each["fold"],
        "trained_on": f"{each['train_first']} to {each['train_last']}",
        "rows": each["train_rows"],
        "purged": each["purged_rows"],
        "tested_on": f"{each['test_first']} to {each['test_last']}",
    }
