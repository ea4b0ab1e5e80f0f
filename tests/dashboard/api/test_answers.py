"""The data API over a small lake: see `lake_folder` for its rows."""

from __future__ import annotations

import errno
import io
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from quantx.dashboard.api.formats import FORMATS
from quantx.dashboard.api.resources import RESOURCES
from quantx.dashboard.api.tags import answer_tag
from quantx.reader import open_lake
from quantx.settings import load_settings

from ..client import reader_of
from ..conftest import TestClient

BARS = "/api/v1/bars"


def rows_of(client: TestClient, path: str, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_bars_are_those_of_the_python_interface(client: TestClient, lake_folder: Path) -> None:
    how = {"start": "2023-12-29", "adjust": "total", "as_of": "2024-01-11T22:30:00Z"}
    expected = open_lake(str(lake_folder)).bars(["AAA", "BBB"], **how)  # type: ignore[arg-type]
    stream = client.get(BARS, params={"symbols": "AAA,BBB", "format": "arrow", **how}).content
    assert pl.read_ipc_stream(stream).equals(expected)
    assert pa.ipc.open_stream(stream).read_all().num_rows == expected.height
    csv = client.get(BARS, params={"symbols": "AAA,BBB", "format": "csv", **how}).text
    read = pd.read_csv(io.StringIO(csv), parse_dates=["date", "known_from"])
    assert read["close"].tolist() == expected["close"].to_list()
    assert read["known_from"].tolist() == expected["known_from"].to_list()
    as_json = rows_of(client, BARS, symbols="AAA,BBB", **how)
    assert [row["close"] for row in as_json] == expected["close"].to_list()


def test_an_answer_is_written_before_it_is_sent(client: TestClient) -> None:
    """A client that reads slowly keeps no frame in memory: a large answer waits in a file."""
    frame = pl.DataFrame({"text": ["x" * 1000] * 2000, "value": [float("nan")] * 2000})
    for form in FORMATS.values():
        written = form.written(frame, {"query": "bars"})
        assert isinstance(written.file, tempfile.SpooledTemporaryFile)
        assert written.file._rolled  # type: ignore[attr-defined]
        assert len(b"".join(written.pieces())) == written.size
        assert written.file.closed
    plain = client.get(BARS, params={"symbols": "AAA"}, headers={"accept-encoding": "identity"})
    assert int(plain.headers["content-length"]) == len(plain.content)


def test_a_wide_answer_is_formatted_in_pieces_too() -> None:
    class Sizes(io.BytesIO):
        def write(self, data: Any) -> int:
            sizes.append(len(data))
            return super().write(data)

    frame = pl.select(pl.repeat(1.5, 6000).alias(f"c{n}") for n in range(100))
    for name in ("json", "csv"):
        sizes: list[int] = []
        FORMATS[name].write(frame, {}, Sizes())
        assert max(sizes) <= sum(sizes) / 3 + 100


def test_a_full_disk_is_an_error_before_the_answer_begins(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(frame: pl.DataFrame, facts: Any, file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(FORMATS, "json", replace(FORMATS["json"], write=full))  # type: ignore[arg-type]
    answer = client.get(BARS, params={"symbols": "AAA"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "Busy")
    assert "temporary folder" in answer.json()["error"]["message"]


def test_a_list_may_be_given_twice_or_with_commas(client: TestClient) -> None:
    once = rows_of(client, BARS, symbols="AAA,BBB", columns="symbol,close")
    twice = rows_of(client, BARS, symbols=["AAA", "BBB"], columns=["symbol", "close"])
    assert once == twice != []


@pytest.mark.parametrize(
    ("query", "status", "named"),
    [
        ("symbols=AAA&asof=2024-01-01", 400, "'asof' (did you mean as_of?)"),
        ("", 400, "symbols is missing"),
        ("symbols=", 400, "symbols is empty"),
        ("symbols=AAA,,BBB", 400, "symbols has an empty entry"),
        ("symbols=AAA&as_of=", 400, "as_of is empty"),
        ("symbols=AAA&start=2024-01-01&start=2024-01-02", 400, "start is given 2 times"),
        ("symbols=AAA&start=yesterday", 400, "'yesterday' is not a date"),
        ("symbols=AAA&adjust=all", 400, "adjust='all' must be one of none, split, total"),
        ("symbols=AAA&extended=maybe", 400, "extended='maybe' must be true or false"),
        ("symbols=AAA&on=AAA:", 400, "on has a day per symbol"),
        ("symbols=AAA&format=xlsx", 400, "format='xlsx' must be one of json, csv, arrow"),
        ("symbols=AAA&columns=closing", 400, "unknown column 'closing'"),
        ("symbols=ZZZZ", 404, "the lake knows no symbol ZZZZ"),
        ("symbols=<script>", 400, "<script>"),
    ],
)
def test_a_wrong_request_is_an_error_that_names_it(client: TestClient, query: str, status: int, named: str) -> None:
    answer = client.get(f"{BARS}?{query}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert named in answer.json()["error"]["message"]


def test_an_offset_needs_no_escape(client: TestClient) -> None:
    """A plus in a URL is a blank."""
    query = f"{BARS}?symbols=AAA&start=2024-01-02&end=2024-01-02&as_of="
    plus = client.get(f"{query}2024-01-11T23:00:00+00:00").json()["rows"]
    assert [row["close"] for row in plus] == [102.0]
    escaped = client.get(f"{query}2024-01-11T21:00:00%2B00:00").json()["rows"]
    assert [row["close"] for row in escaped] == [98.0]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/json;q=0.1, application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
    ],
)
def test_the_header_accept_chooses_the_form(client: TestClient, accept: str | None, media_type: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    assert client.get(f"{BARS}?symbols=AAA", headers=headers).headers["content-type"] == media_type


def test_a_form_that_does_not_exist_is_refused(client: TestClient) -> None:
    answer = client.get(f"{BARS}?symbols=AAA", headers={"Accept": "application/xml"})
    assert answer.status_code == 406
    assert "text/csv" in answer.json()["error"]["message"]


def test_an_answer_has_a_bound(client: TestClient) -> None:
    """The fixture allows 200 values; the table has 8 days with 6 weekdays."""
    many = client.get(f"{BARS}?symbols=AAA,BBB,BRK.B,0700.HK")
    assert many.status_code == 413
    assert "4 symbols, 6 sessions, 10 columns to read" in many.json()["error"]["message"]
    assert client.get(f"{BARS}?symbols=AAA,BBB,BRK.B,0700.HK&columns=symbol,close").status_code == 200
    years = client.get("/api/v1/features?names=technical&symbols=AAA&start=1990-01-01")
    assert years.status_code == 413


def test_the_same_rows_are_not_sent_again(client: TestClient) -> None:
    first = client.get(f"{BARS}?symbols=AAA")
    tag = {"If-None-Match": f'"other", {first.headers["etag"]}'}
    again = client.get(f"{BARS}?symbols=AAA", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{BARS}?symbols=BBB", headers=tag).status_code == 200
    assert client.get(f"{BARS}?symbols=AAA&format=csv", headers=tag).status_code == 200


def test_two_lakes_have_two_tags() -> None:
    settings = load_settings(lake_url="/lake/a")
    tags = {
        answer_tag("bars", {}, "json", {"bars_1d": 4}, each) for each in (settings, load_settings(lake_url="/lake/b"))
    }
    assert len(tags) == 2


def test_an_answer_that_depends_on_the_time_has_no_tag(client: TestClient) -> None:
    assert "etag" not in client.get("/api/v1/coverage").headers
    assert "etag" in client.get("/api/v1/coverage?until=2024-01-05").headers
    panel = "/api/v1/panel?symbols=AAA&field="
    assert "etag" in client.get(f"{panel}close").headers
    of_concepts = client.get(f"{panel}revenue")  # its rows reach to the last close by now
    assert (of_concepts.status_code, "etag" in of_concepts.headers) == (200, False)


def test_missing_symbols_are_warnings_of_the_answer(client: TestClient) -> None:
    answer = client.get(f"{BARS}?symbols=AAA,BBB&end=2024-01-01")
    assert ["BBB" in text for text in answer.json()["warnings"]] == [True]
    assert "BBB" in answer.headers["quantx-warnings"]


def test_the_tag_covers_every_table_that_a_query_reads(lake_folder: Path) -> None:
    from quantx import provenance

    lake = open_lake(str(lake_folder))
    frames = {
        "bars": lake.bars("AAA", adjust="total", as_of="2024-01-11", source="best"),
        "actions": lake.actions("AAA", as_of="2024-01-20"),
        "universe": lake.universe("us", as_of="2024-01-20"),
        "coverage": lake.coverage(),
        "membership": lake.membership("us", start="2024-01-01", mask=True),
        "instruments": lake.instruments(),
        "findings": lake.findings(public_by="2024-01-20"),
        "revisions": lake.revisions("AAA"),
    }
    undeclared = {
        name: set(provenance(frame).tables).difference(RESOURCES[name].table_names) for name, frame in frames.items()
    }
    assert {name: tables for name, tables in undeclared.items() if tables} == {}


def test_the_document_declares_each_address_and_parameter(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert set(document["paths"]) == {each.path for each in RESOURCES.values()}
    parameters = {p["name"]: p for p in document["paths"][BARS]["get"]["parameters"]}
    assert parameters["adjust"]["schema"] == {"type": "string", "enum": ["none", "split", "total"], "default": "none"}
    assert [name for name, each in parameters.items() if each["required"]] == ["symbols"]


def test_a_missing_lake_is_an_error_in_json(tmp_path: Path) -> None:
    answer = reader_of(tmp_path).get(f"{BARS}?symbols=AAA")
    assert answer.status_code == 503
    assert "there is no lake" in answer.json()["error"]["message"]


def test_a_stranger_is_refused_in_json(client: TestClient) -> None:
    for authorization in ("", "Bearer wrong", "Basic MDEyMzQ1"):
        answer = client.get(f"{BARS}?symbols=AAA", headers={"authorization": authorization})
        assert answer.status_code == 403
        assert "Authorization: Bearer" in answer.json()["error"]["message"]
    assert client.post(f"{BARS}?symbols=AAA", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_an_address_that_does_not_exist_is_an_error_in_json(client: TestClient) -> None:
    for path in ("/api/v1/barz", "/api/v2/bars", "/api/", "/api/v1/bars/AAA"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "there are /api/v1/bars, /api/v1/panel" in answer.json()["error"]["message"]
