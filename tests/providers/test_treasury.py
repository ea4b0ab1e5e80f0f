"""The US Treasury's CSV of par yields: its columns by year, its dates, and what is no document."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from quantx.core.model import Payload, Window
from quantx.errors import MalformedPayload, UnknownSymbol
from quantx.providers.protocol import Request
from quantx.providers.treasury import PATH, Treasury
from quantx.testing.stub_vendor import Answer, NoClock, StoppedClock, stub_vendor

# Columns and dates have the published form of the year (home.treasury.gov); the values were not compared with the page.
YEAR_2020 = b"""Date,"1 Mo","2 Mo","3 Mo","6 Mo","1 Yr","2 Yr","3 Yr","5 Yr","7 Yr","10 Yr","20 Yr","30 Yr"
03/10/2020,0.57,0.55,0.44,0.43,0.43,0.50,0.58,0.63,0.73,0.76,1.16,1.28
03/09/2020,0.57,0.52,0.33,0.27,0.31,0.38,0.40,0.46,0.56,0.54,0.87,0.99
"""
# 2005: no bonds of thirty years, and no bills of two months yet.
YEAR_2005 = b"""Date,"1 Mo","3 Mo","6 Mo","1 Yr","2 Yr","3 Yr","5 Yr","7 Yr","10 Yr","20 Yr","30 Yr"
01/03/2005,1.99,2.32,2.63,2.79,3.10,3.28,3.64,3.94,4.23,4.85,N/A
01/04/2005,,2.33,2.63,2.82,3.14,3.31,3.66,3.97,4.29,4.91,
"""


def payload(body: bytes, year: int = 2020, status: int = 200) -> Payload:
    now = datetime(2026, 1, 16, tzinfo=UTC)
    url = f"https://home.treasury.gov{PATH}/{year}/all?type=daily_treasury_yield_curve"
    return Payload("UST", url, status, now, content_type="text/csv", body=body)


@pytest.fixture
def provider() -> Treasury:
    return Treasury(None, NoClock())  # type: ignore[arg-type]


def test_a_day_has_a_row_per_tenor_and_is_public_at_six_in_new_york(provider: Treasury) -> None:
    rows = provider.normalize_facts(payload(YEAR_2020)).rows
    of_day = rows.filter(date=date(2020, 3, 9))
    values = dict(of_day.select("tenor", "value").iter_rows())
    assert (values["10y"], values["30y"], values["3m"], len(values)) == (0.54, 0.99, 0.33, 12)
    assert of_day["public_at"].unique().to_list() == [datetime(2020, 3, 9, 22, tzinfo=UTC)]  # summer time since the 8th
    assert rows["unit"].unique().to_list() == ["percent"]


def test_a_tenor_without_a_value_has_no_row(provider: Treasury) -> None:
    frames = provider.normalize_facts(payload(YEAR_2005, 2005))
    tenors = frames.rows.group_by("date").agg("tenor")
    by_day = {day: set(names) for day, names in tenors.iter_rows()}
    assert "30y" not in by_day[date(2005, 1, 3)] | by_day[date(2005, 1, 4)]
    assert ("1m" in by_day[date(2005, 1, 3)], "1m" in by_day[date(2005, 1, 4)]) == (True, False)
    assert frames.rows["public_at"].min() == datetime(2005, 1, 3, 23, tzinfo=UTC)
    assert frames.drift == ()


def test_a_new_tenor_is_read_and_a_renamed_column_is_a_finding(provider: Treasury) -> None:
    body = YEAR_2020.replace(b'"1 Mo","2 Mo"', b'"1 Mo","1.5 Month"').replace(b'"20 Yr"', b'"15 Yr"')
    frames = provider.normalize_facts(payload(body.replace(b'"30 Yr"', b'"30 Year"')))
    assert {"1.5m", "15y", "30y"} <= set(frames.rows["tenor"])
    assert {(each.path, each.kind) for each in frames.drift} == {
        ("[].15 Yr", "added"),
        ("[].30 Year", "added"),
        ("[].30 Yr", "missing"),
    }


@pytest.mark.parametrize(
    ("body", "fact"),
    [
        (b"<!DOCTYPE html>\n<html><body>Scheduled maintenance</body></html>", "sends a page"),
        (b"", "0 bytes without the header"),
        (b"Datum,1 Mo\n", "11 bytes without the header"),
        (b'Date,"Rate"\n03/09/2020,0.5\n', "no column of a tenor"),
        (b'Date,"1 Mo","1 Month"\n03/09/2020,0.5,0.6\n', "a tenor is there twice"),
        (YEAR_2020.replace(b"03/09/2020", b"2020-03-09"), "'2020-03-09' is no day"),
        (YEAR_2020.replace(b"03/09/2020", b"13/09/2020"), "has another form"),
        (YEAR_2020.replace(b"03/09/2020", b"03/09/2019"), "the document of 2020 has a row of 2019-03-09"),
        (YEAR_2020.replace(b"0.99", b"0,99"), "a row has 14 cells"),
        (YEAR_2020.replace(b"0.99", b"1e3"), "'1e3', which is no rate"),
        (YEAR_2020[:-20], "a row has"),
        (b"\xff\xfe", "is no text"),
    ],
)
def test_what_is_no_document_is_malformed(provider: Treasury, body: bytes, fact: str) -> None:
    with pytest.raises(MalformedPayload, match=fact):
        provider.normalize_facts(payload(body))
    assert isinstance(provider.drift(payload(body)), tuple)


def test_an_error_of_the_site_and_bars_are_refused(provider: Treasury) -> None:
    with pytest.raises(MalformedPayload, match="answers HTTP 403"):
        provider.normalize_facts(payload(YEAR_2020, status=403))
    with pytest.raises(MalformedPayload, match="has no bars"):
        provider.normalize(payload(YEAR_2020))


def test_each_year_of_the_window_is_one_request() -> None:
    with stub_vendor(lambda question: Answer(YEAR_2020 if "/2020/" in question.path else YEAR_2005)) as vendor:
        provider = Treasury(vendor.session(key=None), StoppedClock())
        request = Request("rates", "1d", ("UST",), Window(date(2004, 1, 2), date(2005, 1, 4)))
        pages = list(provider.fetch(request))
        asked = [(question.path, question.params["field_tdr_date_value"]) for question in vendor.asked]
    assert asked == [(f"{PATH}/2004/all", "2004"), (f"{PATH}/2005/all", "2005")]
    assert [bool(page.complete) for page in pages] == [False, True]


def test_another_series_is_unknown(provider: Treasury) -> None:
    with pytest.raises(UnknownSymbol, match="no rates of AAPL"):
        provider.queries(Request("rates", "1d", ("AAPL",), Window(date(2020, 1, 2), date(2020, 1, 2))), "AAPL")
