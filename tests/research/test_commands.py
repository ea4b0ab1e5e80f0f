"""A study from its YAML to predictions in the lake, as a user runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantx.cli import main
from quantx.pipeline.runtime.platform import open_platform
from quantx.reader import Lake, open_lake
from quantx.research.follow import follow_studies
from quantx.settings import load_settings

from .conftest import SESSIONS

END, TRAINED = SESSIONS[-40], SESSIONS[-46]  # of the study; its last date with a label of five sessions
STUDY = f"""\
name: small
universe: u
start: {SESSIONS[0]}
end: {END}
every: 2
features: [technical]
label: {{horizon: 5}}
splits: {{method: combinatorial_purged, groups: 4, test_groups: 2, embargo: 1}}
model: {{kind: ridge}}
costs: {{bps: 5}}
"""

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(
    study_lake_folder: Path,
    migrated_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs `quantx research … --json` in a folder with a study, on a copy of the lake."""
    shutil.copytree(study_lake_folder, tmp_path / "lake")
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTX_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("QUANTX_STATE_URL", migrated_database_url)

    def command(step: str, *options: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["research", step, "study.yaml", "--json", *options])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, json.loads(shown.out) if shown.out.strip() else {"error": shown.err}

    return command


@pytest.fixture
def lake(run: Run, tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


@pytest.mark.slow
def test_a_study_from_its_file_to_predictions_in_the_lake(run: Run, lake: Lake, tmp_path: Path) -> None:
    code, trained = run("train")  # makes the dataset, too
    assert code == 0
    assert run("dataset")[1]["same_as_before"] is True
    code, found = run("evaluate")
    assert code == 0, found
    assert {each["status"] for each in found["checks"]} == {"passed"}
    assert [each["name"] for each in found["parts"]] == ["path 0", "path 1", "path 2"]
    assert len(found["folds"]) == 6
    page = (tmp_path / "data/studies/small/report.html").read_text()
    assert "<script" not in page
    assert "DEAD" in page
    assert page.count("<svg") == 4
    runs = list((tmp_path / "data/studies/mlruns").glob("*/*/metrics/rank_ic"))
    assert len(runs) == 1

    code, written = run("predict")
    assert (code, written["model"], written["changed"]) == (0, trained["model"], True)
    assert (written["first"], written["last"]) == (str(SESSIONS[-45]), str(SESSIONS[-1]))
    assert run("predict")[1]["rows"] == 0
    again = run("predict", "--start", written["first"], "--end", written["last"])[1]
    assert (again["rows"], again["changed"]) == (written["rows"], False)
    rows = lake.predictions("small")
    assert rows.height == written["rows"]
    assert rows["symbol"].n_unique() == 14  # without DEAD, GONE and LEFT; OLD is NEW
    # What a label of the model's training reaches into is known only after it.
    after = datetime.combine(END + timedelta(days=1), time(), UTC)
    assert rows["public_at"].min() == after
    assert lake.predictions(public_by=after - timedelta(minutes=1)).is_empty()
    assert lake.predictions(symbols="OLD", on=SESSIONS[0]).height == 45


@pytest.mark.slow
def test_sessions_of_training_are_not_predicted(run: Run) -> None:
    run("train")
    code, shown = run("predict", "--start", str(TRAINED))
    assert code == 2
    assert f"was trained on sessions up to {TRAINED}" in shown["error"]


def test_a_step_without_the_ones_before_names_them(run: Run) -> None:
    code, shown = run("predict")
    assert code == 2
    assert "has no model of the study small; run `quantx research train`" in shown["error"]


@pytest.mark.slow
def test_enabled_studies_predict_after_each_run(
    run: Run, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("train")
    (tmp_path / "other.yaml").write_text(STUDY.replace("small", "other"))
    monkeypatch.setenv("QUANTX_STUDIES", '["study.yaml", "other.yaml"]')
    with open_platform(load_settings()) as platform:
        assert follow_studies(platform) == ["other.yaml"]
        [finding] = platform.state.findings.listed(9)
        assert (finding["rule"], finding["subject"]) == ("predictions_failed", "other.yaml")
        assert "run `quantx research train`" in finding["message"]
    assert lake.predictions()["study"].unique().to_list() == ["small"]
