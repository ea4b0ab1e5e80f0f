"""The command `fundamentals show`, and `explain` of a concept, over a lake written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.reader.filed_lake import BODY, filed_lake

from .conftest import Ran, runs_with

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filed_lake(tmp_path_factory.mktemp("show") / "lake")


@pytest.fixture
def quantx(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    monkeypatch.chdir(tmp_path)
    return runs_with({"QUANTX_LAKE_URL": str(folder)}, monkeypatch, capsys)


def test_the_newest_periods_side_by_side(quantx: Run) -> None:
    ran = quantx("fundamentals", "show", "ACME", "--source", "sec")
    assert ran.code == 0
    assert ran.out.startswith("ACME, quarter")
    assert "2024-03-31" in ran.out
    assert "eps_diluted" in ran.out


def test_one_concept_as_it_was_public(quantx: Run) -> None:
    ran = quantx(
        "fundamentals", "show", "1001", "--concept", "revenue", "--public-by", "2024-05-03", "--format", "json"
    )
    assert ran.code == 0
    assert [(row["end"], row["value"]) for row in json.loads(ran.out)] == [("2023-12-31", 90.0), ("2024-03-31", 100.0)]
    late = quantx("fundamentals", "show", "1001", "--public-by", "2020-01-01")
    assert late.code == 1
    assert "after public_by" in late.err
    assert quantx("fundamentals", "show", "ACMA").code == 2


def test_the_history_has_every_version_with_its_filing(quantx: Run) -> None:
    words = ("fundamentals", "show", "ACME", "--concept", "revenue", "--history", "--source", "sec")
    rows = pl.read_csv(quantx(*words, "--format", "csv").out.encode())
    of_quarter = rows.filter(pl.col("end") == "2024-03-31")
    assert of_quarter.select("value", "before", "form").rows() == [(100.0, None, "10-Q"), (101.0, 100.0, "10-Q")]
    shown = quantx(*words).out
    assert "5 values" in shown
    assert "202408011400" in shown


def test_explain_writes_the_reply_of_a_concept(quantx: Run, tmp_path: Path) -> None:
    ran = quantx("explain", "ACME", "2024-06-30", "--concept", "revenue_ttm", "--raw", tmp_path / "reply.json")
    assert ran.code == 0
    assert "/facts/us-gaap/Revenues/units/USD/1: the reply has the value" in ran.out
    assert json.loads(quantx("explain", "ACME", "2024-06-30", "--field", "revenue_ttm", "--json").out)["value"] == 430.0
    assert quantx("explain", "ACME", "2024-06-29", "--field", "revenue").code == 1
    assert (tmp_path / "reply.json").read_bytes() == BODY


def test_explain_of_a_table_that_the_lake_has_not_warns_in_one_line(quantx: Run) -> None:
    ran = quantx("explain", "ACME", "2024-06-30", "--field", "esg:ceo_pay_total")
    assert ran.code == 1
    assert ran.err.startswith("warning: no ESG facts: the lake")
    assert ran.err.count("\n") == 1
