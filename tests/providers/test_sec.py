"""The SEC's replies: strict reading, the pages of a filer, and what its refusals mean."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Payload, Window
from quantx.errors import ConfigError, MalformedPayload, NotEntitled, ProviderError, RateLimited, UnknownSymbol
from quantx.providers.protocol import VENDOR_FACTS, VENDOR_FILERS, VENDOR_FILINGS, FactFrames, Request
from quantx.providers.registry import VENDORS, open_providers, why_absent
from quantx.providers.sec import Sec
from quantx.providers.sec_lists import read_index, read_tickers
from quantx.sandbox.sec_wire import BLOCKED
from quantx.settings import Settings, load_settings
from quantx.testing.stub_vendor import NOW, Answer, Question, StoppedClock, StubVendor, stub_vendor

from ..market_data import FOLDER, RECORDED

FILER = "CIK0000320193"
ROW = {"end": "2024-09-28", "val": 364980000000, "accn": "0000320193-24-000123", "fy": 2024, "fp": "FY", "form": "10-K",
       "filed": "2024-11-01"}  # fmt: skip
PAGE = {
    "accessionNumber": ["0000320193-24-000123", "0000320193-24-000120"],
    "filingDate": ["2024-11-01", "2024-10-31"],
    "reportDate": ["2024-09-28", ""],
    "acceptanceDateTime": ["2024-11-01T06:01:36.000Z", "2024-10-31T16:30:30.000Z"],
    "form": ["10-K", "8-K"],
    "items": ["", "2.02,9.01"],
    "primaryDocument": ["aapl-20240928.htm", ""],
    "primaryDocDescription": ["10-K", ""],
}
MISSING = Answer(b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', 404)
DENIED = Answer(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', 403)
recorded = pytest.mark.skipif(not RECORDED, reason="needs the recordings of the SEC")


def facts(*rows: dict[str, Any], cik: int | str = 320193, **about: Any) -> dict[str, Any]:
    tag = {"label": None, "description": None, "units": {"USD": list(rows)}}
    return {"cik": cik, "entityName": "Apple Inc.", "facts": {"us-gaap": {"Assets": tag}}, **about}


def submissions(files: tuple[str, ...] = (), **changed: Any) -> dict[str, Any]:
    return {
        "cik": "0000320193",
        "entityType": "operating",
        "sic": "3571",
        "sicDescription": "Electronic Computers",
        "name": "Apple Inc.",
        "tickers": ["AAPL", "BRK-B", "EP-PC", "VAL-WT"],
        "fiscalYearEnd": "0926",
        "filings": {"recent": PAGE, "files": [{"name": name} for name in files]},
        **changed,
    }


def payload(document: object, path: str = f"api/xbrl/companyfacts/{FILER}.json", status: int = 200) -> Payload:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Payload(FILER, f"https://data.sec.gov/{path}", status, NOW, content_type="application/json", body=body)


def read(document: object, path: str = f"api/xbrl/companyfacts/{FILER}.json") -> FactFrames:
    return Sec(None, None, StoppedClock()).normalize_facts(payload(document, path))


def test_a_mistyped_year_of_a_period_costs_no_other_fact() -> None:
    """The row rules reject it: `fact_dates_possible`, `fact_ended_before_filed`."""
    rows = read(facts(ROW, {**ROW, "start": "0201-10-01"}, {**ROW, "end": "2924-09-28"})).facts
    assert [str(day) for day in rows["start"].drop_nulls()] == ["0201-10-01"]
    assert [str(day) for day in rows["end"]] == [ROW["end"], ROW["end"], "2924-09-28"]


def test_facts_have_the_declared_columns_and_their_filings() -> None:
    duration = {**ROW, "start": "2023-10-01", "val": 1.5, "fy": None, "fp": None, "form": "8-K"}
    frames = read(facts(ROW, duration, ROW))
    assert dict(frames.facts.schema) == VENDOR_FACTS
    assert dict(frames.filings.schema) == VENDOR_FILINGS
    assert dict(frames.filers.schema) == VENDOR_FILERS
    assert frames.drift == ()
    assert frames.facts.select("cik", "taxonomy", "tag", "unit", "start", "end", "value", "fy", "fp").rows() == [
        (320193, "us-gaap", "Assets", "USD", None, date(2024, 9, 28), 364980000000.0, 2024, "FY"),
        (320193, "us-gaap", "Assets", "USD", date(2023, 10, 1), date(2024, 9, 28), 1.5, None, None),
    ]


def test_a_cik_may_be_a_number_or_a_text() -> None:
    assert read(facts(ROW, cik="0000320193")).facts.equals(read(facts(ROW)).facts)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(facts({**ROW, "val": "364980000000"}), id="a number as text"),
        pytest.param(facts({**ROW, "val": True}), id="a flag"),
        pytest.param(facts({**ROW, "end": "2024-9-28"}), id="another day"),
        pytest.param(facts({**ROW, "end": "2024-02-30"}), id="no day"),
        pytest.param(facts({**ROW, "accn": "1"}), id="another accession"),
        pytest.param(facts({**ROW, "fy": "2024"}), id="a year as text"),
        pytest.param(facts({k: v for k, v in ROW.items() if k != "filed"}), id="no day of filing"),
        pytest.param(facts(ROW, cik=789019), id="another filer"),
        pytest.param(facts(ROW, cik=True), id="a flag as CIK"),
        pytest.param(facts(ROW, facts=[]), id="no object"),
        pytest.param(json.dumps(facts(ROW)).encode()[:-20], id="cut"),
        pytest.param(b"<html>", id="a page"),
        pytest.param({}, id="empty"),
        pytest.param(json.dumps(facts(ROW)).replace("364980000000", "1e999").encode(), id="without limit"),
    ],
)
def test_facts_of_another_form_are_malformed(document: object) -> None:
    with pytest.raises(MalformedPayload) as caught:
        read(document)
    assert FILER in str(caught.value)


def test_a_fact_without_a_value_is_none() -> None:
    assert read(facts({**ROW, "val": None})).facts.is_empty()


def test_submissions_have_filings_and_the_filer() -> None:
    frames = read(submissions(), f"submissions/{FILER}.json")
    assert frames.drift == ()
    assert frames.filers.row(0) == (
        320193, "Apple Inc.", "operating", "3571", "Electronic Computers", "0926", "AAPL,BRK.B,EP.PRC",
    )  # fmt: skip
    assert frames.filings.select("form", "items", "report_end", "filed", "description", "url").rows() == [
        ("10-K", None, date(2024, 9, 28), date(2024, 11, 1), "10-K",
         "https://www.sec.gov/Archives/edgar/data/320193/000032019324000123/aapl-20240928.htm"),
        ("8-K", "2.02,9.01", None, date(2024, 10, 31), None,
         "https://www.sec.gov/Archives/edgar/data/320193/000032019324000120/0000320193-24-000120-index.htm"),
    ]  # fmt: skip


def test_an_older_page_is_the_bare_lists() -> None:
    assert read(PAGE, f"submissions/{FILER}-submissions-001.json").filings.height == 2


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"form": ["10-K"]}, id="lists of different lengths"),
        pytest.param({"filingDate": ["2024-11-01", ""]}, id="no day of filing"),
        pytest.param({"acceptanceDateTime": ["2024-11-01 06:01:36", ""]}, id="another time"),
        pytest.param({"accessionNumber": [1, 2]}, id="numbers"),
        pytest.param({"form": "10-K"}, id="a text"),
    ],
)
def test_filings_of_another_form_are_malformed(changed: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        read({**PAGE, **changed}, f"submissions/{FILER}-submissions-001.json")


def test_what_the_vendor_changes_is_drift() -> None:
    changes = read(facts({**ROW, "segment": "x"}), f"api/xbrl/companyfacts/{FILER}.json").drift
    assert [(change.path, change.kind) for change in changes] == [("facts.*.*.units.*[].segment", "added")]


@recorded
@pytest.mark.parametrize(
    ("name", "number"),
    [("CIK0000320193", 24_579), ("CIK0001045810", 26_903), ("CIK0001997711_LPA_ifrs", 768)],
)
def test_recorded_facts_are_all_read(name: str, number: int) -> None:
    body = gzip.decompress((FOLDER / "wire_sec_edgar" / "companyfacts" / f"{name}.json.gz").read_bytes())
    reply = Payload(
        name[:13], f"https://data.sec.gov/api/xbrl/companyfacts/{name[:13]}.json", 200, NOW, content_type="", body=body
    )
    frames = Sec(None, None, StoppedClock()).normalize_facts(reply)
    assert frames.facts.height == number
    assert frames.drift == ()
    assert Sec(None, None, StoppedClock()).drift(reply) == ()


@recorded
def test_recorded_submissions_have_the_declared_form() -> None:
    for path in sorted((FOLDER / "wire_sec_edgar" / "submissions").iterdir()):
        body = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        url = f"https://data.sec.gov/submissions/{path.name.removesuffix('.gz')}"
        reply = Payload(path.name[:13], url, 200, NOW, content_type="", body=body)
        frames = Sec(None, None, StoppedClock()).normalize_facts(reply)
        assert frames.drift == Sec(None, None, StoppedClock()).drift(reply) == ()


# ------------------------------------------------------------------------------------------------------------- fetching


@contextmanager
def fetching(answer: Callable[[Question], Answer]) -> Iterator[tuple[Sec, StubVendor]]:
    with stub_vendor(answer) as vendor:
        settings = load_settings(sec_base_url=vendor.url, contact="me@example.org")
        provider = open_providers(settings, StoppedClock())["sec"]
        assert isinstance(provider, Sec)
        yield provider, vendor


def answers(**by_path: Answer | dict[str, Any]) -> Callable[[Question], Answer]:
    def answer(question: Question) -> Answer:
        name = "facts" if "companyfacts" in question.path else "older" if "-submissions-" in question.path else "main"
        found = by_path.get(name, MISSING)
        return found if isinstance(found, Answer) else Answer(json.dumps(found).encode())

    return answer


def fetch(provider: Sec) -> list[Payload]:
    day = date(2024, 11, 1)
    return [page.payload for page in provider.fetch(Request("fundamentals", "filing", (FILER,), Window(day, day)))]


def test_a_filer_is_its_submissions_all_older_pages_and_its_facts() -> None:
    files = (f"{FILER}-submissions-001.json", f"{FILER}-submissions-002.json")
    with fetching(answers(main=submissions(files), older=PAGE, facts=facts(ROW))) as (sec, vendor):
        pages = fetch(sec)
    assert [asked.path for asked in vendor.asked] == [
        f"/submissions/{FILER}.json",
        *(f"/submissions/{name}" for name in files),
        f"/api/xbrl/companyfacts/{FILER}.json",
    ]
    assert [bool(sec.normalize_facts(page).has_rows) for page in pages] == [True] * 4


def test_a_filer_without_facts_still_has_filings() -> None:
    with fetching(answers(main=submissions())) as (sec, _):
        pages = fetch(sec)
    assert [sec.normalize_facts(page).has_rows for page in pages] == [True, False]


@pytest.mark.parametrize("error", [MISSING, DENIED])
def test_the_store_s_error_means_an_unknown_filer(error: Answer) -> None:
    with fetching(answers(main=error)) as (sec, _), pytest.raises(UnknownSymbol, match=FILER):
        fetch(sec)


@pytest.mark.parametrize(
    "block", [Answer(BLOCKED.encode(), 403), Answer(BLOCKED.encode(), 200), Answer(b"", 429)], ids=["403", "200", "429"]
)
def test_a_block_closes_the_vendor_for_ten_minutes(block: Answer) -> None:
    with fetching(answers(main=block)) as (sec, _), pytest.raises(RateLimited) as caught:
        fetch(sec)
    assert caught.value.retry_after == 600


def test_the_page_for_undeclared_tools_names_the_contact() -> None:
    page = Answer(b"<title>Your Request Originates from an Undeclared Automated Tool</title>", 403)
    with fetching(answers(main=page)) as (sec, _), pytest.raises(NotEntitled, match="QUANTX_CONTACT"):
        fetch(sec)


@pytest.mark.parametrize(
    "wrong",
    [
        answers(main=submissions((f"{FILER}-submissions-001.json",))),
        answers(main=submissions(("../../etc/passwd",))),
        answers(main=submissions(cik="0000000001")),
        answers(main=Answer(b"<html>", 403)),
    ],
    ids=["an older page is missing", "a name that is none", "another filer", "a page"],
)
def test_a_reply_that_does_not_fit_is_malformed(wrong: Callable[[Question], Answer]) -> None:
    with fetching(wrong) as (sec, _), pytest.raises(MalformedPayload):
        fetch(sec)


def test_a_symbol_of_a_share_is_no_filer() -> None:
    day = date(2024, 11, 1)
    with fetching(answers()) as (sec, vendor), pytest.raises(UnknownSymbol):
        list(sec.fetch(Request("fundamentals", "filing", ("AAPL",), Window(day, day))))
    assert vendor.asked == []


def test_without_a_contact_nothing_is_fetched_and_replies_are_read() -> None:
    assert "sec" not in open_providers(Settings(), StoppedClock())
    assert "QUANTX_CONTACT" in why_absent("sec", Settings(), {})
    reader = VENDORS["sec"].open(Settings(), StoppedClock())
    assert isinstance(reader, Sec)
    assert reader.normalize_facts(payload(facts(ROW))).facts.height == 1
    with pytest.raises(ConfigError, match="QUANTX_CONTACT"):
        fetch(reader)
    with pytest.raises(MalformedPayload):
        reader.normalize(payload(facts(ROW)))


def test_the_contact_is_the_setting_of_all_lists_or_its_own() -> None:
    assert load_settings(contact="a@b.c").sec.contact == "a@b.c"
    assert load_settings(contact="a@b.c", sec_contact="d@e.f").sec.contact == "d@e.f"


# ---------------------------------------------------------------------------------------------------------------- lists


def listed(*rows: tuple[int, str]) -> Payload:
    return payload({str(n): {"cik_str": cik, "ticker": t, "title": "X"} for n, (cik, t) in enumerate(rows)}, "files/x")


def test_tickers_are_canonical_and_those_without_a_symbol_are_left_out() -> None:
    rows = read_tickers(listed((1067983, "BRK-B"), (1067983, "BRK-A"), (1506307, "EP-PC"), (1, "VAL-WT")))
    assert [(row.filer, row.symbol) for row in rows] == [
        ("CIK0001067983", "BRK.B"),
        ("CIK0001067983", "BRK.A"),
        ("CIK0001506307", "EP.PRC"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [listed((1, "A"), (2, "A")), listed(), payload(b"<html>", "files/x"), payload([1], "files/x")],
    ids=["one ticker of two", "empty", "a page", "another form"],
)
def test_a_list_of_another_form_is_refused(wrong: Payload) -> None:
    with pytest.raises(ProviderError):
        read_tickers(wrong)


INDEX = (
    b"Description:           Daily Index of EDGAR Dissemination Feed\n\n"
    b"CIK|Company Name|Form Type|Date Filed|File Name\n--------\n"
    b"320193|Apple Inc.|4|20261127|edgar/data/320193/0001.txt\n"
    b"19617|JPMORGAN & CO|424B2|20261127|edgar/data/1.txt\n"
)


def test_an_index_names_the_filers_of_a_day() -> None:
    assert read_index(payload(INDEX, "x.idx")) == {"CIK0000320193", "CIK0000019617"}


@pytest.mark.parametrize("cut", [INDEX[:-20], INDEX[:60], b"<html></html>"])
def test_an_index_of_another_form_is_malformed(cut: bytes) -> None:
    with pytest.raises(MalformedPayload):
        read_index(payload(cut, "x.idx"))


def test_every_value_is_compared_for_drift() -> None:
    rows = [ROW] * 40 + [{**ROW, "odd": 1}] + [ROW] * 40
    sec = Sec(None, None, StoppedClock())
    assert [change.path for change in sec.drift(payload(facts(*rows)))] == ["facts.*.*.units.*[].odd"]
    assert isinstance(sec.normalize_facts(payload(facts(*rows))).facts, pl.DataFrame)
