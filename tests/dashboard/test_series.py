"""The Series page over a small lake: see `lake_folder` of the reader's tests for its rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.tables import BARS_1D, BARS_1M, FINDINGS, TABLES, UNIVERSE_MEMBERS
from quantx.dashboard.pages.series import symbols_like
from quantx.dashboard.series.chart import actions_of, chart_of, findings_of, markers_of, read_bars
from quantx.dashboard.series.request import SeriesRequest
from quantx.dashboard.series.tables import as_of_range, bar_table, fundamental_table, provenance_of
from quantx.dashboard.tables import ShownTable
from quantx.errors import ConfigError, NotInLake
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake, open_lake

from ..reader.conftest import T1, lake, lake_folder  # noqa: F401 – fixtures
from ..reader.filed_lake import filed_lake
from ..reader.test_renames import lake as renamed  # noqa: F401 – a fixture
from ..reader.test_renames import location  # noqa: F401 – a fixture
from .client import reader_of


def chart(lake: Lake, **given: str) -> dict[str, list[object]]:  # noqa: F811
    request = SeriesRequest.parse(given)
    markers = markers_of(actions_of(lake, request), findings_of(lake, request))
    return chart_of(lake, read_bars(lake, request), markers)


def test_the_chart_has_the_bars_as_the_request_adjusts_them(lake: Lake) -> None:  # noqa: F811
    plain = chart(lake, symbol="AAA")
    assert plain["time"] == ["2023-12-28", "2023-12-29", "2024-01-02", "2024-01-03", "2024-01-04"]
    assert plain["close"] == [100.0, 101.0, 102.0, 51.5, 52.0]
    assert chart(lake, symbol="AAA", adjust="split")["close"] == [50.0, 50.5, 51.0, 51.5, 52.0]
    assert chart(lake, symbol="AAA", as_of="2024-01-10T23:00:00Z")["close"][2] == 98.0


def test_markers_stand_at_the_bars_of_their_days(lake: Lake) -> None:  # noqa: F811
    assert chart(lake, symbol="AAA")["markers"] == [
        {"time": "2024-01-02", "kind": "dividend", "text": "dividend 5 USD"},
        {"time": "2024-01-03", "kind": "split", "text": "2:1 split"},
    ]
    assert [m["time"] for m in chart(lake, symbol="AAA", start="2024-01-03")["markers"]] == ["2024-01-03"]  # type: ignore[index]


def test_other_vendors_are_lines(lake: Lake) -> None:  # noqa: F811
    assert chart(lake, symbol="BBB")["lines"] == []
    shown = chart(lake, symbol="BBB", source="yahoo", vendors="1")
    days = ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert shown["lines"] == [{"name": "alpaca", "time": days, "close": [10.5, 11.5, 12.5]}]


def test_a_vendor_without_events_has_a_page(lake: Lake) -> None:  # noqa: F811
    """Of alpaca the lake has bars only."""
    assert chart(lake, symbol="BBB", source="alpaca")["close"] == [10.5, 11.5, 12.5]


def test_findings_of_a_gap_are_marked_at_each_gap() -> None:
    finding = {"severity": "warn", "rule": "missing_sessions", "first_day": None}
    facts = '{"gaps": [{"first": "2024-01-03"}, {"first": "2024-02-01"}]}'
    rows = pl.DataFrame(
        [{**finding, "facts": facts}, {**finding, "facts": None}], schema_overrides={"first_day": pl.Date}
    )
    marked = markers_of(pl.DataFrame(), rows)
    assert [(each.day, each.kind) for each in marked] == [(date(2024, 1, 3), "warn"), (date(2024, 2, 1), "warn")]


def test_a_point_is_explained(lake: Lake) -> None:  # noqa: F811
    found = provenance_of(lake, SeriesRequest.parse({"symbol": "AAA", "point": "2024-01-02"}))
    assert found is not None
    assert found.title.startswith("AAA 2024-01-02: close 102 USD, as traded, from yahoo")
    assert "Earlier values" in [section.title for section in found.sections]
    wrong = provenance_of(lake, SeriesRequest.parse({"symbol": "AAA", "point": "soon"}))
    assert wrong is not None
    assert "'soon' is not a date" in wrong.sections[0].lines[0]


def test_the_table_has_pages_from_the_newest_bar(lake: Lake) -> None:  # noqa: F811
    bars = read_bars(lake, SeriesRequest.parse({"symbol": "AAA", "page": "7"}))
    table = bar_table(bars)
    assert (table.first, table.last, table.total, table.newer, table.older) == (1, 5, 5, None, None)
    first = table.table.rows[0][0]
    assert (first.href, first.text) == ("/series?symbol=AAA&point=2024-01-04&page=7#point", "2024-01-04")


def test_minutes_begin_with_the_last_session_on_the_clock_of_the_exchange(tmp_path: Path) -> None:
    tables = open_tables(open_location(str(tmp_path)), TABLES)
    rows = [
        ("alpaca", 202401, "AAA", moment.date(), moment, 1.0, 1.0, 1.0, 1.0, 1, True, "USD", "raw1", T1)
        for moment in (datetime(2024, 1, day, 14, 30, tzinfo=UTC) for day in (8, 9))
    ]
    tables["bars_1m"].commit(CommitContext(1), pl.DataFrame(rows, schema=dict(BARS_1M.schema), orient="row"))
    minutes = open_lake(str(tmp_path))
    bars = read_bars(minutes, SeriesRequest.parse({"symbol": "AAA", "timeframe": "1m"}))
    facts = chart_of(minutes, bars, [])
    assert facts["zone"] == "America/New_York"
    assert facts["point"] == ["2024-01-09T09:30"]
    assert facts["time"] == [int(datetime(2024, 1, 9, 9, 30, tzinfo=UTC).timestamp())]


def test_the_slider_begins_when_the_first_row_was_known(lake: Lake) -> None:  # noqa: F811
    request = SeriesRequest.parse({"symbol": "AAA", "as_of": "2024-01-11"})
    known = as_of_range(read_bars(lake, request), request.as_of)
    assert known is not None
    assert (known.first, known.value) == ((date(2024, 1, 10) - date(1970, 1, 1)).days, known.first + 1)


@pytest.mark.parametrize("given", [{"adjust": "all"}, {"timeframe": "5m"}, {"period": "day"}, {"page": "-1"}])
def test_a_wrong_choice_is_an_error(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        SeriesRequest.parse({"symbol": "AAA", **given})


def test_a_url_holds_what_is_not_by_default() -> None:
    request = SeriesRequest.parse({"symbol": "brk.b", "adjust": "split", "end": "", "other": "x"})
    assert request.address(point="2024-01-02") == "/series?symbol=BRK.B&adjust=split&point=2024-01-02"


def test_an_unknown_symbol_is_a_search(lake_folder: Path) -> None:  # noqa: F811
    answer = reader_of(lake_folder).get("/series?symbol=ZZZZ")
    assert answer.status_code == 404
    assert "the lake knows no symbol ZZZZ" in answer.text
    with pytest.raises(NotInLake):
        read_bars(open_lake(str(lake_folder)), SeriesRequest.parse({"symbol": "ZZZZ"}))


def test_a_search_for_a_symbol_leads_to_its_page(lake_folder: Path) -> None:  # noqa: F811
    answer = reader_of(lake_folder).get("/series?q=%20aaa", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/series?symbol=AAA")


def test_a_search_finds_beginnings_of_symbols_and_parts_of_names() -> None:
    known = pl.DataFrame({"symbol": ["AAA", "BBB", "CCC"], "name": ["Alpha (a.b)", None, "Beta aa"]})
    assert symbols_like(known, "aa")["symbol"].to_list() == ["AAA", "CCC"]
    assert symbols_like(known, "(a.b)")["symbol"].to_list() == ["AAA"]


@pytest.mark.parametrize(
    "path", ["/series", "/series?symbol=AAA&start=yesterday", "/series?q=a", "/universes", "/coverage"]
)
def test_pages_without_a_lake_state_it(tmp_path: Path, path: str) -> None:
    answer = reader_of(tmp_path).get(path)
    assert answer.status_code in (400, 503)
    assert "there is no lake" in answer.text


def test_hostile_texts_of_vendors_show_as_text(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>\u202e{{ 7*7 }}'
    tables = open_tables(open_location(str(tmp_path)), TABLES)
    bar = ("ya<b>hoo", 2024, "AAA", date(2024, 1, 2), 1.0, 1.0, 1.0, 1.0, 1, hostile, hostile, T1)
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame([bar], schema=dict(BARS_1D.schema), orient="row"))
    member = ("<u>", "p", "AAA", "us", hostile, None, None, T1)
    tables["universe_members"].commit(
        CommitContext(1), pl.DataFrame([member], schema=dict(UNIVERSE_MEMBERS.schema), orient="row")
    )
    rule, day = "missing_sessions", date(2024, 1, 2)
    finding = (rule, "warn", "AAA", "yahoo", "bars_1d", day, None, "open", hostile, "{}", T1, None, None, T1)
    tables["findings"].commit(CommitContext(1), pl.DataFrame([finding], schema=dict(FINDINGS.schema), orient="row"))
    client = reader_of(tmp_path)
    for path in (
        "/series",
        "/series?symbol=AAA&point=2024-01-02",
        "/universes",
        "/universes?name=%3Cu%3E",
        "/coverage",
    ):
        page = client.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<b>hoo" not in page.text
    shown = client.get("/series?symbol=AAA").text
    assert "&lt;script&gt;alert(1)" in shown
    assert "{{ 7*7 }}" in shown


def test_a_symbol_of_several_securities_shows_the_latest_and_offers_the_others(renamed: Lake) -> None:  # noqa: F811
    client = reader_of(renamed.url)
    page = client.get("/series?symbol=META").text
    assert "Several securities carried META" in page
    assert client.get("/series/chart?symbol=META").json()["close"] == [300.0, 330.0, 310.0, 320.0]
    assert client.get("/series/chart?symbol=META&on=2022-01-30").json()["close"] == [10.0, 12.0, 13.0]


def test_a_point_before_a_rename_is_that_of_the_shown_security(renamed: Lake) -> None:  # noqa: F811
    """On that day META was the symbol of a fund."""
    page = reader_of(renamed.url).get("/series?symbol=META&point=2021-11-01").text
    assert "FB 2021-11-01: close 300 USD" in page


def test_fundamentals_lead_to_where_they_came_from(tmp_path: Path) -> None:
    filed = open_lake(str(filed_lake(tmp_path / "lake")))
    request = SeriesRequest.parse({"symbol": "ACME"})
    table = fundamental_table(filed, request)
    assert isinstance(table, ShownTable)
    assert list(table.heads[:4]) == ["concept", "unit", "2024-09-30", "2024-06-30"]
    assert [cell.text for cell in table.rows[0][:5]] == ["revenue", "USD", "–", "120", "101"]
    assert [cell.href for cell in table.rows[0][2:5:2]] == [
        "", "/series?symbol=ACME&point=2024-03-31&field=revenue_quarter#point"
    ]  # fmt: skip
    found = provenance_of(filed, request.with_(point="2024-03-31", field="revenue_quarter"))
    assert found is not None
    assert "revenue_quarter 101 USD, from sec" in found.title
    known = fundamental_table(filed, request.with_(as_of="2020-01-01"))
    assert isinstance(known, str)
