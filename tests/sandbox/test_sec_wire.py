"""The SEC in the sandbox: its documents at a moment, its lists and archives, its errors and its block."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.fundamentals.acceptance import public_times
from quantx.core.model import Payload
from quantx.providers.sec import Sec
from quantx.providers.sec_lists import index_path, read_index
from quantx.sandbox import load_market
from quantx.sandbox.app import Sandbox
from quantx.sandbox.filers import Filers, read_filer_file
from quantx.sandbox.market import Market
from quantx.sandbox.messages import WireReply, WireRequest
from quantx.sandbox.quota import BlockingQuota
from quantx.sandbox.sec_wire import SecWire
from quantx.sandbox.synthetic import SyntheticMarket
from quantx.sandbox.synthetic_filings import FIRST_CIK
from quantx.testing.stub_vendor import StoppedClock

from ..providers.test_sec import FILER, PAGE, ROW, facts, submissions

AGENT = {"user-agent": "tests (me@example.org)"}
LATER = {**ROW, "accn": "0000320193-25-000079", "filed": "2025-10-31", "frame": "CY2024Q3I", "val": 1}


def wire(market: Market, now: str) -> SecWire:
    found = next(each for each in Sandbox(market, now=now).wires if each.source == "sec")
    assert isinstance(found, SecWire)
    return found


def get(market: Market, now: str, path: str, agent: dict[str, str] = AGENT) -> WireReply:
    return wire(market, now).answer(WireRequest(path, {}, agent))


def document(market: Market, now: str, path: str) -> Any:
    reply = get(market, now, path)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Apple's submissions and facts as files; the facts of 2025 report a period of 2024 again."""
    both = {name: [*values, *values] for name, values in PAGE.items()}
    both["accessionNumber"] = ["0000320193-25-000079", "0000320193-25-000078", *PAGE["accessionNumber"]]
    both["acceptanceDateTime"] = ["2025-10-31T06:01:26.000Z", "2025-10-30T16:30:30.000Z", *PAGE["acceptanceDateTime"]]
    both["filingDate"] = ["2025-10-31", "2025-10-30", *PAGE["filingDate"]]
    sent = submissions((f"{FILER}-submissions-001.json", "CIK0000320193-submissions-009.json"))
    sent["filings"]["recent"] = both
    (tmp_path / f"{FILER}_AAPL_2026-07-09.json.gz").write_bytes(gzip.compress(json.dumps(sent).encode()))
    older = {**PAGE, "accessionNumber": ["0000320193-14-000001", "0000320193-14-000002"]}
    (tmp_path / f"{FILER}-submissions-001.json").write_text(json.dumps(older))
    below = tmp_path / "companyfacts"
    below.mkdir()
    (below / f"{FILER}.json").write_text(json.dumps(facts({**ROW, "frame": "CY2024Q3I"}, LATER)))
    return tmp_path


def test_a_folder_is_served_at_a_moment(folder: Path) -> None:
    market = load_market(folder)
    now = document(market, "2026-01-01", f"/submissions/{FILER}.json")
    assert [file["name"] for file in now["filings"]["files"]] == [f"{FILER}-submissions-001.json"]  # what is recorded
    assert len(now["filings"]["recent"]["form"]) == 4
    assert len(document(market, "2026-01-01", f"/submissions/{FILER}-submissions-001.json")["form"]) == 2
    then = document(market, "2024-11-01T10:00:00Z", f"/submissions/{FILER}.json")["filings"]["recent"]
    assert then["form"] == ["8-K"]
    later = document(market, "2024-11-01T10:02:00Z", f"/submissions/{FILER}.json")["filings"]["recent"]
    assert later["form"] == ["10-K", "8-K"]


def test_facts_appear_with_their_filing_and_the_frame_marks_the_latest(folder: Path) -> None:
    market, path = load_market(folder), f"/api/xbrl/companyfacts/{FILER}.json"
    assert get(market, "2024-10-31", path).status == 404
    rows = document(market, "2025-01-01", path)["facts"]["us-gaap"]["Assets"]["units"]["USD"]
    assert rows == [{**ROW, "frame": "CY2024Q3I"}]
    assert len(document(market, "2026-01-01", path)["facts"]["us-gaap"]["Assets"]["units"]["USD"]) == 2


def test_of_several_downloads_the_one_of_the_day_is_served(tmp_path: Path) -> None:
    filers = Filers()
    for day, name in (("2026-02-08", "Old"), ("2026-03-05", "New")):
        path = tmp_path / f"{FILER}_downloaded_{day}.json"
        path.write_text(json.dumps(submissions(name=name)))
        assert read_filer_file(path, filers)
    filer = filers.by_cik[320193]
    names = [(filer.submissions_at(datetime(2026, month, 20, tzinfo=UTC)) or {})["name"] for month in (1, 2, 3)]
    assert names == ["Old", "Old", "New"]


def test_facts_alone_bring_the_filings_that_they_name(tmp_path: Path) -> None:
    (tmp_path / f"{FILER}_AAPL_2026-07-09.json").write_text(json.dumps(facts(ROW, LATER)))
    market = load_market(tmp_path)
    then = document(market, "2025-01-01", f"/submissions/{FILER}.json")
    assert (then["tickers"], then["filings"]["recent"]["accessionNumber"]) == (["AAPL"], [ROW["accn"]])
    assert len(document(market, "2026-01-01", f"/submissions/{FILER}.json")["filings"]["recent"]["form"]) == 2


def test_errors_are_those_of_the_store_behind_the_site(folder: Path) -> None:
    market = load_market(folder)
    for path in ("/submissions/CIK0000000001.json", "/submissions/CIK320193.json", "/files/company_tickers_mf.json"):
        reply = get(market, "2026-01-01", path)
        assert (reply.status, b"<Code>NoSuchKey</Code>" in reply.body) == (404, True)
    denied = get(market, "2026-01-01", index_path(date(2099, 1, 2)))
    assert (denied.status, b"<Code>AccessDenied</Code>" in denied.body) == (403, True)
    undeclared = get(market, "2026-01-01", f"/submissions/{FILER}.json", {"user-agent": "python-httpx/1"})
    assert (undeclared.status, b"Undeclared Automated Tool" in undeclared.body) == (403, True)


def test_lists_indexes_and_archives_are_made_of_the_documents(folder: Path) -> None:
    market = load_market(folder)
    assert [row["ticker"] for row in document(market, "2026-01-01", "/files/company_tickers.json").values()][:2] == [
        "AAPL",
        "BRK-B",
    ]
    exchange = document(market, "2026-01-01", "/files/company_tickers_exchange.json")
    assert exchange["data"][0] == [320193, "Apple Inc.", "AAPL", None]
    for day, status in ((date(2025, 10, 31), 200), (date(2025, 10, 29), 403)):
        reply = get(market, "2026-01-01", index_path(day))
        assert reply.status == status
    index = get(market, "2026-01-01", index_path(date(2025, 10, 31)))
    read = read_index(Payload("", "x", 200, datetime.now(UTC), content_type="", body=index.body))
    assert read == {FILER}
    assert get(market, "2025-10-31T20:00:00Z", index_path(date(2025, 10, 31))).status == 403  # the day has not ended
    form = get(market, "2026-01-01", "/Archives/edgar/daily-index/2025/QTR4/form.20251031.idx").body.decode()
    assert form.splitlines()[-1].split() == ["10-K", "Apple", "Inc.", "320193", "20251031",
                                            "edgar/data/320193/0000320193-25-000079.txt"]  # fmt: skip
    for name, members in (("xbrl/companyfacts", 1), ("bulkdata/submissions", 2)):
        body = get(market, "2026-01-01", f"/Archives/edgar/daily-index/{name}.zip").body
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            assert len(archive.namelist()) == members


def test_a_block_lasts_and_is_renewed_by_asking() -> None:
    clock = [0.0]
    quota = BlockingQuota("10/s", 600, lambda: clock[0])
    assert [quota.admits() for _ in range(11)] == [True] * 10 + [False]
    clock[0] = 599
    assert not quota.admits()
    clock[0] = 1198
    assert not quota.admits()
    clock[0] = 1799
    assert quota.admits()


@pytest.mark.parametrize(
    ("number", "clocks"),
    [(0, {"accepted_new_york"}), (1, {"accepted_utc"}), (2, {"accepted_new_york", "accepted_utc"})],
)
def test_invented_filers_have_all_forms_of_the_clock(synthetic: SyntheticMarket, number: int, clocks: set[str]) -> None:
    symbol = f"CIK{FIRST_CIK + number}"
    sent = get(synthetic, "2025-01-01", f"/submissions/{symbol}.json")
    url = f"https://data.sec.gov/submissions/{symbol}.json"
    payload = Payload(symbol, url, 200, datetime.now(UTC), content_type="", body=sent.body)
    filings = Sec(None, None, StoppedClock()).normalize_facts(payload).filings
    read = public_times(filings.with_columns(pl.lit(symbol).alias("symbol"), pl.lit(0).alias("page")))
    reports = read.filter(pl.col("form").str.starts_with("10-"))
    assert set(reports["public_how"]) == clocks
    true = synthetic.filers.by_cik[FIRST_CIK + number].accepted
    late = [
        (how, at - true[acc]) for acc, at, how in reports.select("accession", "public_at", "public_how").iter_rows()
    ]
    assert {lag for how, lag in late if how == "accepted_utc"} <= {timedelta()}
    assert {lag for _, lag in late} <= {timedelta(), timedelta(hours=4), timedelta(hours=5)}


def test_invented_statements_are_consistent(synthetic: SyntheticMarket) -> None:
    by_tag = synthetic.filers.by_cik[FIRST_CIK].facts[0].document["facts"]["us-gaap"]

    def last(tag: str) -> Any:
        return by_tag[tag]["units"]["USD"][-1]

    assert last("Assets")["val"] == last("Liabilities")["val"] + last("StockholdersEquity")["val"]
    assert last("AssetsCurrent")["val"] + last("AssetsNoncurrent")["val"] == last("Assets")["val"]
    sold, cost, gross = (last(tag)["val"] for tag in (
        "RevenueFromContractWithCustomerExcludingAssessedTax", "CostOfRevenue", "GrossProfit"))  # fmt: skip
    assert sold - cost == gross
    assert any(row["form"] == "10-K/A" for row in synthetic.filers.by_cik[FIRST_CIK + 2].facts[0].document["facts"]
               ["us-gaap"]["GrossProfit"]["units"]["USD"])  # fmt: skip
