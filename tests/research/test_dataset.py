"""The training table: members of each date, what they knew, what followed; the same again is the same bytes."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.table import INSTANT
from quantx.errors import ConfigError
from quantx.reader import Lake, open_lake
from quantx.research.dataset import Dataset, build_dataset, load_dataset, save_dataset, without_late_values
from quantx.research.study import Study

from .conftest import DEAD_AT, HALT, LATE_AT, LEFT_AT, PLAIN, RENAMED_AT, SESSIONS

StudyOf = Callable[..., Study]


@pytest.fixture
def dataset(study_lake: Lake, study_of: StudyOf) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is missing is noted, and no warning leaves
        return build_dataset(study_lake, study_of(every=1))


def rows_of(dataset: Dataset, symbol: str) -> pl.DataFrame:
    return dataset.table.filter(pl.col("symbol") == symbol)


def test_a_row_is_a_member_with_a_bar_on_a_date(dataset: Dataset) -> None:
    assert rows_of(dataset, "SB")["date"].to_list() == list(SESSIONS)
    assert rows_of(dataset, "DEAD")["date"].to_list() == list(SESSIONS[:DEAD_AT])
    assert rows_of(dataset, "LATE")["date"].to_list() == list(SESSIONS[LATE_AT:])
    assert rows_of(dataset, "LEFT")["date"].to_list() == list(SESSIONS[:LEFT_AT])
    halted = [day for n, day in enumerate(SESSIONS) if n not in HALT]
    assert rows_of(dataset, "HALT")["date"].to_list() == halted
    assert rows_of(dataset, "GONE").is_empty()


def test_a_renamed_member_is_one_security_with_its_whole_past(dataset: Dataset) -> None:
    assert rows_of(dataset, "OLD").is_empty()
    found = rows_of(dataset, "NEW")
    assert found["date"].to_list() == list(SESSIONS)
    around = found.filter(pl.col("date").is_between(SESSIONS[RENAMED_AT - 8], SESSIONS[RENAMED_AT + 2]))
    assert around.null_count().sum_horizontal().item() == 0


def test_a_label_is_the_adjusted_return_between_later_closes(dataset: Dataset, study_lake: Lake) -> None:
    closes = study_lake.bars("SA", adjust="total")["close"]
    found = rows_of(dataset, "SA")
    for at in (0, 96, 99, 150, 177, 400):  # across the split and the ex-date, too
        assert found["label"][at] == pytest.approx(closes[at + 6] / closes[at + 1] - 1, rel=1e-9)
        assert found["label_end"][at] == SESSIONS[at + 6]
    assert found["label"][-6:].null_count() == 6  # they would need bars after the study's end
    assert found["label_end"][-6:].null_count() == 6


def test_a_member_that_ends_has_labels_to_its_last_price_and_is_named(dataset: Dataset, study_lake: Lake) -> None:
    closes = study_lake.bars("DEAD")["close"]
    found = rows_of(dataset, "DEAD")
    assert found["label"][-2] == pytest.approx(0.0)  # bought at the last close
    assert found["label"][-4] == pytest.approx(closes[-1] / closes[-3] - 1)
    assert found["label"][-1] is None  # no close to buy at
    absences = {each["symbol"]: each for each in dataset.facts["absences"]}
    assert absences["DEAD"] == {
        "symbol": "DEAD",
        "member_sessions": len(SESSIONS),
        "without_bar": len(SESSIONS) - DEAD_AT,
        "first_bar": str(SESSIONS[0]),
        "last_bar": str(SESSIONS[DEAD_AT - 1]),
        "ended": True,
        "carried": 5,
    }
    assert absences["GONE"]["first_bar"] is None
    assert absences["HALT"]["without_bar"] == len(HALT)
    assert set(absences) == {"DEAD", "GONE", "HALT"}
    assert any("GONE" in remark for remark in dataset.facts["remarks"])


def test_features_of_a_date_are_those_of_its_close(dataset: Dataset, study_lake: Lake) -> None:
    closes = study_lake.bars("SB")["close"]
    found = rows_of(dataset, "SB")["return_1"]
    assert found[0] is None
    assert found[7] == pytest.approx(closes[7] / closes[6] - 1)


def test_the_same_again_is_the_same_bytes(study_lake_folder: Path, study_of: StudyOf, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_dataset(build_dataset(open_lake(str(study_lake_folder)), study_of()), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["dataset.json", "prices.parquet", "table.parquet"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    facts = json.loads((tmp_path / "one" / "dataset.json").read_text())
    assert {"bars_1d", "actions", "universe_members"} <= set(facts["tables"])


def test_every_nth_session_is_a_date_of_the_table(study_lake: Lake, study_of: StudyOf) -> None:
    table = build_dataset(study_lake, study_of(every=5)).table
    assert table["date"].unique().sort().to_list() == list(SESSIONS[::5])


def test_an_excess_label_has_no_mean_on_any_date(study_lake: Lake, study_of: StudyOf) -> None:
    table = build_dataset(study_lake, study_of(label={"name": "forward_excess", "horizon": 5})).table
    means = table.drop_nulls("label").group_by("date").agg(pl.col("label").mean())["label"]
    assert means.abs().max() < 1e-12  # type: ignore[operator]


def test_nothing_after_the_end_is_read(study_lake: Lake, study_of: StudyOf) -> None:
    """A table that ends earlier has the same rows, but for labels that would end later."""
    whole = build_dataset(study_lake, study_of(every=1)).table
    cut = build_dataset(study_lake, study_of(every=1, end=SESSIONS[280])).table
    known = whole.filter(pl.col("date") <= SESSIONS[280])
    assert cut.drop("label", "label_end").equals(known.drop("label", "label_end"))
    assert cut.drop_nulls("label")["label_end"].max() == SESSIONS[280]


def test_a_changed_dataset_is_refused(dataset: Dataset, study_of: StudyOf, tmp_path: Path) -> None:
    study = study_of(every=1)
    save_dataset(dataset, tmp_path)
    assert load_dataset(tmp_path, study).table.equals(dataset.table)
    with pytest.raises(ConfigError, match="another version of the study"):
        load_dataset(tmp_path, study_of(every=3))
    planted = dataset.table.with_columns(pl.col("label").alias("rsi_14"))
    planted.write_parquet(tmp_path / "table.parquet")
    with pytest.raises(ConfigError, match="was changed after it was written"):
        load_dataset(tmp_path, study)
    facts = json.loads((tmp_path / "dataset.json").read_text())  # with its own hash it is another dataset
    facts["sha256"] = hashlib.sha256((tmp_path / "table.parquet").read_bytes()).hexdigest()
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match="was changed after it was written"):
        load_dataset(tmp_path, study)
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(ConfigError, match="run `quantx research dataset`"):
        load_dataset(tmp_path, study)
    with pytest.raises(ConfigError, match="run `quantx research dataset`"):
        load_dataset(tmp_path / "none", study)


def test_a_study_without_bars_is_an_error(study_lake: Lake, study_of: StudyOf) -> None:
    with pytest.raises(ConfigError, match="no bars of the study's securities"):
        build_dataset(study_lake, study_of(start=date(2001, 1, 1), end=date(2002, 1, 1)))
    assert build_dataset(study_lake, study_of(universe=None, symbols=PLAIN[:3])).facts["symbols"] == 3


def test_a_value_that_was_public_too_late_is_none() -> None:
    """The features of a Tuesday are used at Wednesday's close: what was public after its open is of no use."""
    days = [date(2024, 1, 2), date(2024, 1, 3)]
    public = [datetime(2024, 1, 2, 21, 15, tzinfo=UTC), datetime(2024, 1, 3, 6, tzinfo=UTC), None]
    table = pl.DataFrame(
        {"date": days[:1] * 3, "symbol": ["A", "B", "C"], "x": [1.0, 2.0, 3.0], "public_at": public},
        schema_overrides={"public_at": INSTANT},
    )
    found, late = without_late_values(table, ["x"], pl.Series(days), 1)
    assert (found["x"].to_list(), late) == ([1.0, None, 3.0], 1)


def test_a_label_is_that_of_the_set_of_labels_where_nothing_halts_or_ends(dataset: Dataset, study_lake: Lake) -> None:
    """The set counts rows and knows no end; a study counts sessions. Of plain securities both are the same."""
    theirs = study_lake.features("labels.forward_return_5", symbols=list(PLAIN)).drop("public_at", "known_from")
    ours = dataset.table.filter(pl.col("symbol").is_in(PLAIN)).select("symbol", "date", "label", "label_end")
    both = ours.join(theirs, on=["symbol", "date"], suffix="_of_set")
    assert both.height == ours.height
    assert (both["label"] - both["forward_return_5"]).abs().max() < 1e-12  # type: ignore[operator]
    assert both["label_end"].equals(both["label_end_of_set"].alias("label_end"))
