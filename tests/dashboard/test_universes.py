"""The pages of universes and coverage."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import polars as pl

from quantx.dashboard.pages.universes import changes_of, decisions_of, years_table
from quantx.lake.store import open_location

from ..reader.conftest import lake_folder  # noqa: F401 – a fixture
from .client import reader_of

INTERVALS = pl.DataFrame(
    [
        ("AAA", "A", None, None),
        ("BBB", "B", date(2023, 3, 1), None),
        ("CCC", "C", None, date(2022, 12, 31)),
        ("DDD", "D", date(2022, 5, 1), date(2023, 6, 30)),
    ],
    schema={"symbol": pl.String, "name": pl.String, "member_from": pl.Date, "member_to": pl.Date},
    orient="row",
)


def test_years_count_members_at_their_end() -> None:
    """The last day of membership is inclusive: a member until the last day of a year is none after it."""
    table = years_table(INTERVALS, date(2024, 2, 1))
    assert table.rows == [["2024", "0", "0", "2"], ["2023", "1", "1", "2"], ["2022", "1", "1", "2"]]


def test_changes_are_newest_first() -> None:
    found = [(str(each["day"]), each["change"], each["symbol"]) for each in changes_of(INTERVALS)]
    assert found == [
        ("2023-06-30", "last day", "DDD"),
        ("2023-03-01", "joined", "BBB"),
        ("2022-12-31", "last day", "CCC"),
        ("2022-05-01", "joined", "DDD"),
    ]


def test_decisions_about_lists_are_those_of_the_lake(tmp_path: Path) -> None:
    location = open_location(str(tmp_path))
    folder = "meta/snapshots/universe=us"
    for number, decision in enumerate(("taken", "refused")):
        facts = {
            "at": f"2024-01-0{number + 1} 06:00:00+00:00",
            "decision": decision,
            "why": ["it lost 40 %"],
            "members": 3,
        }
        location.put_new(f"{folder}/{number:026}.json", json.dumps(facts).encode())
    location.put_new(f"{folder}/{'0' * 64}.json", b"a document")
    location.put_new(f"{folder}/{'9' * 26}.json", b"not JSON")
    found = decisions_of(location, "us")
    assert [(each["at"], each["decision"], each["why"]) for each in found] == [
        ("–", None, None),
        ("2024-01-02 06:00", "refused", "it lost 40 %"),
        ("2024-01-01 06:00", "taken", "it lost 40 %"),
    ]


def test_a_universe_has_its_members_of_a_day(lake_folder: Path) -> None:  # noqa: F811
    client = reader_of(lake_folder)
    page = client.get("/universes?name=us&on=2023-12-29").text
    assert "2 members on 2023-12-29" in page
    assert ">CCC<" in page
    assert "1 members now" not in page
    assert client.get("/universes?name=../../x").status_code == 404
    assert client.get("/universes?name=us&on=soon").status_code == 400


def test_coverage_without_a_report_names_the_command(lake_folder: Path) -> None:  # noqa: F811
    client = reader_of(lake_folder)
    assert "No run has written a report yet" in client.get("/coverage").text
    assert "quantx coverage --universe us" in client.get("/coverage?universe=us").text
    assert client.get("/coverage?universe=../x").status_code == 404
