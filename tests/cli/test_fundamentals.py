"""`quantx fundamentals`: named filers, those of a universe that have filed, archives, and tickers that move."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest

from quantx.reader.lake import Lake, open_lake
from quantx.sandbox import Sandbox, running
from quantx.sandbox.filers import Download, Filer, Filers
from quantx.sandbox.market import Market

from ..databases import Databases
from ..providers.test_sec import PAGE, ROW, facts, submissions
from .conftest import Ran, runs_with

AAA, BBB, OLD = 9_000_000_001, 9_000_000_002, 9_000_000_003
LISTED = {AAA: ["AAA"], BBB: ["BBB", "BRK-B"]}


def filer(cik: int, days: list[date], tickers: list[str], form: str = "10-K") -> Filer:
    """A filer with a filing of one fact on each day, accepted at 16:30 in New York."""
    numbers = [f"{cik}-{day:%y}-{n:06}" for n, day in enumerate(days)]
    page = {name: ["" for _ in days] for name in PAGE} | {
        "accessionNumber": numbers[::-1],
        "filingDate": [str(day) for day in days[::-1]],
        "acceptanceDateTime": [f"{day}T16:30:00.000Z" for day in days[::-1]],
        "form": [form for _ in days],
    }
    about = submissions(cik=f"{cik}", name=f"Filer {cik}", tickers=tickers)
    about["filings"] = {"recent": page, "files": []}
    rows = [
        {**ROW, "end": "2019-12-31", "val": cik + n, "accn": a, "filed": str(d)}
        for n, (a, d) in enumerate(zip(numbers, days, strict=True))
    ]
    when = date(1970, 1, 1)
    return Filer(cik, submissions=[Download(when, about)], facts=[Download(when, facts(*rows, cik=cik))])


@dataclass
class Installation:
    """An installation of its own, and the sandbox that it fetches from."""

    run: Callable[..., Ran]
    filers: Filers
    url: str
    folder: Path

    @property
    def lake(self) -> Lake:
        return open_lake(str(self.folder / "lake"))

    def asked(self) -> dict[str, int]:
        counts: dict[str, int] = httpx.get(f"{self.url}/_sandbox/stats").json()["by_path"]
        return counts

    def rows(self, table: str) -> pl.DataFrame:
        return self.lake.sql(f"select * from {table}")


@pytest.fixture
def installed(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Installation]:
    today = datetime.now(UTC).date()
    filers = Filers()
    for cik, tickers in LISTED.items():
        filers.by_cik[cik] = filer(cik, [date(2020, 2, 3), date(2021, 2, 3)], tickers)
    market = Market("files", filers=filers)
    (tmp_path / "universes.yaml").write_text(
        "phases:\n  phase_1:\n    mine: {market: us, type: static, symbols: [AAA, BBB, CCC]}\n"
    )
    with running(Sandbox(market)) as url, databases.migrated() as state:
        settings = {
            "QUANTX_LAKE_URL": str(tmp_path / "lake"),
            "QUANTX_STATE_URL": state,
            "QUANTX_SEC_BASE_URL": url,
            "QUANTX_SEC_QUOTA": "100/s",
            "QUANTX_CONTACT": "me@example.org",
            "QUANTX_LEASE_SECONDS": "2",
            "QUANTX_INSPECT": "false",
            "QUANTX_MAX_ATTEMPTS": "1",
            "QUANTX_UNIVERSE_PATH": str(tmp_path / "universes.yaml"),
        }
        httpx.post(f"{url}/_sandbox/now", json={"now": f"{today}T12:00:00Z"})
        monkeypatch.chdir(tmp_path)
        yield Installation(runs_with(settings, monkeypatch, capsys), filers, url, tmp_path)


def test_named_symbols_are_fetched_with_their_filers_industries(installed: Installation) -> None:
    ran = installed.run("fundamentals", "update", "--symbols", "AAA,BRK.B,BBB")
    assert (ran.code, "2 done" in ran.out) == (0, True), ran.err
    filings = installed.rows("filings").sort("symbol", "filed")
    assert filings["symbol"].to_list() == ["CIK9000000001"] * 2 + ["CIK9000000002"] * 2
    assert str(filings["public_at"][0]) == "2020-02-03 21:30:00+00:00"
    assert installed.rows("fundamentals_facts").height == 4
    assert installed.rows("filer_symbols").select("filer", "symbol").sort("symbol").rows() == [
        ("CIK9000000001", "AAA"),
        ("CIK9000000002", "BBB"),
        ("CIK9000000002", "BRK.B"),
    ]
    described = installed.lake.instruments(["BRK.B"]).row(0, named=True)
    assert (described["instrument"], described["sic"], described["sector"]) == ("us.BRK.B", "3571", "Manufacturing")
    assert "Manufacturing" in installed.run("instruments", "show", "AAA", "--json").out
    assert "sec" in installed.run("show-manifest").out
    for command in (["status"], ["coverage"], ["tasks", "list"], ["reprocess", "--dry-run"], ["verify"]):
        assert installed.run(*command).code == 0
    assert installed.run("reprocess").out.endswith("nothing changes\n")


def test_unknown_names_are_errors_with_the_next_step(installed: Installation) -> None:
    for symbols, part in (("CCC", "CIK0000320193"), ("0700.HK", "no American symbol")):
        ran = installed.run("fundamentals", "update", "--symbols", symbols)
        assert (ran.code, part in ran.err) == (2, True), ran.err
    ran = installed.run("fundamentals", "update", "--symbols", ",".join(f"ZZ{n}" for n in range(1000, 3000)))
    assert "ZZ1009 and 1,990 more;" in ran.err
    assert len(ran.err) < 500
    link = ("fundamentals", "link", "AAA", "CIK9000000003", "--until", "2999-01-01", "--reason", "x")
    assert "is not before today" in installed.run(*link).err
    ran = installed.run("fundamentals", "update", "--symbols", "CIK0000000009")
    assert (ran.code, "has no filer CIK0000000009" in ran.err) == (1, True), ran.err


def test_a_universe_fetches_what_is_new_and_who_has_filed(installed: Installation) -> None:
    assert installed.run("refresh-universe", "--phase", "phase_1").code == 0
    assert "2 done" in installed.run("fundamentals", "update", "--universe", "mine").out
    assert "0 done, 0 failed, 2 up to date" in installed.run("fundamentals", "update").out
    before = installed.asked()
    day = _weekday(datetime.now(UTC).date())
    installed.filers.by_cik[BBB] = filer(BBB, [date(2020, 2, 3), date(2021, 2, 3), day], LISTED[BBB])
    _set_clock(installed, day - timedelta(days=3))  # their last replies were complete before that day
    for cik in (AAA, BBB):
        assert installed.run("fundamentals", "update", "--symbols", f"CIK{cik}").code == 0
    _set_clock(installed, day + timedelta(days=1))
    installed.run("fundamentals", "update")
    after = installed.asked()
    assert after["/submissions/CIK9000000001.json"] == before["/submissions/CIK9000000001.json"] + 1
    assert installed.rows("filings").filter(pl.col("symbol") == "CIK9000000001").height == 2


def _weekday(today: date) -> date:
    """Return a weekday some days ago."""
    day = today - timedelta(days=7)
    return day - timedelta(days=max(0, day.weekday() - 3))


def _set_clock(installed: Installation, day: date) -> None:
    httpx.post(f"{installed.url}/_sandbox/now", json={"now": f"{day}T23:00:00Z"}).raise_for_status()


def test_a_ticker_that_moves_keeps_both_filers(installed: Installation) -> None:
    assert installed.run("fundamentals", "update", "--symbols", "AAA").code == 0
    installed.filers.by_cik[AAA] = filer(AAA, [date(2020, 2, 3)], [])
    installed.filers.by_cik[OLD] = filer(OLD, [date(2024, 2, 5)], ["AAA"], form="8-K12B")
    written = json.loads((installed.folder / "lake/meta/sec/filers.json").read_text())
    (installed.folder / "lake/meta/sec/filers.json").write_text(json.dumps({**written, "listed_on": "2020-01-01"}))
    assert "2 done" in installed.run("fundamentals", "update", "--symbols", "AAA").out  # the union of both
    record = installed.rows("filer_symbols").filter(pl.col("symbol") == "AAA").sort("filer")
    assert record["filer"].to_list() == ["CIK9000000001", "CIK9000000003"]
    assert record["symbol_to"].is_null().to_list() == [False, True]
    assert "CIK9000000003 has it in the list of" in record["evidence"][0]


def test_a_successor_without_a_predecessor_is_a_finding_until_it_is_linked(installed: Installation) -> None:
    installed.filers.by_cik[OLD] = filer(OLD, [date(2024, 2, 5)], ["NEWCO"], form="8-K12B")
    assert installed.run("fundamentals", "update", "--symbols", "NEWCO").code == 0
    found = installed.run("findings", "list", "--rule", "predecessor_unknown").out
    assert "NEWCO" in found
    link = ("fundamentals", "link", "NEWCO", "CIK9000000001", "--until", "2024-02-04")
    assert installed.run(*link, "--reason", "holding company").code == 0
    assert (
        "findings: none" in installed.run("findings", "list", "--rule", "predecessor_unknown", "--status", "open").out
    )
    assert "2 done" in installed.run("fundamentals", "update", "--symbols", "NEWCO").out


def test_a_list_without_a_fifth_of_the_tickers_is_refused(installed: Installation) -> None:
    assert installed.run("fundamentals", "update", "--symbols", "AAA").code == 0
    installed.filers.by_cik[BBB] = filer(BBB, [date(2020, 2, 3)], [])
    ran = installed.run("fundamentals", "update", "--symbols", "QQQ")
    assert (ran.code, "lacks 2 of 3 tickers" in ran.err) == (2, True), ran.err
    assert installed.run("fundamentals", "update", "--symbols", "BBB").code == 0


def test_the_daily_update_fetches_filers_where_the_setting_says_so(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed.run("fundamentals", "update", "--symbols", "AAA").code == 0  # the first list
    monkeypatch.setenv("QUANTX_YFINANCE_BASE_URL", installed.url)
    installed.run("update-daily", "--symbols", "BBB", "--enqueue-only")
    assert "CIK9000000002" not in installed.run("tasks", "list", "--json").out
    monkeypatch.setenv("QUANTX_FUNDAMENTALS", "true")
    installed.run("update-daily", "--symbols", "BBB", "--enqueue-only")
    assert "CIK9000000002" in installed.run("tasks", "list", "--json").out
    monkeypatch.setenv("QUANTX_CONTACT", "")
    assert installed.run("update-daily", "--symbols", "AAA", "--enqueue-only").code == 0
    assert "QUANTX_CONTACT" in installed.run("findings", "list", "--rule", "fundamentals_not_planned").out


def archives(installed: Installation) -> list[str]:
    names = []
    for name in ("xbrl/companyfacts", "bulkdata/submissions"):
        path = installed.folder / f"{name.rpartition('/')[2]}.zip"
        url = f"{installed.url}/Archives/edgar/daily-index/{name}.zip"
        path.write_bytes(httpx.get(url, headers={"User-Agent": "me@example.org"}).content)
        names.append(str(path))
    return ["--bulk", names[0], "--bulk", names[1]]


def test_archives_are_read_once_and_a_damaged_member_fails_alone(installed: Installation) -> None:
    bulk = archives(installed)
    with zipfile.ZipFile(bulk[1], "a") as file:
        file.writestr("CIK0000000099.json", b"{}")
        file.writestr("../../escape.json", b"{}")
    before = installed.asked()
    ran = installed.run("fundamentals", "update", *bulk)
    assert (ran.code, "2 done, 1 failed" in ran.out) == (1, True), ran.out + ran.err
    assert "left out 'companyfacts.zip: ../../escape.json'" in ran.err
    assert installed.rows("filings").height == 4
    assert installed.rows("filer_symbols").height == 3  # by the tickers of the submissions
    assert "0 done, 1 failed, 2 up to date" in installed.run("fundamentals", "update", *bulk).out
    assert installed.asked() == before
    assert "nothing changes" in installed.run("reprocess").out


def test_facts_without_filings_leave_the_filer_due(installed: Installation) -> None:
    bulk = archives(installed)[:2]
    assert installed.run("refresh-universe", "--phase", "phase_1").code == 0
    assert "2 done" in installed.run("fundamentals", "update", *bulk).out
    assert set(installed.rows("fundamentals_facts")["public_how"]) == {"filed_day"}
    assert "2 done" in installed.run("fundamentals", "update").out
    assert set(installed.rows("fundamentals_facts")["public_how"]) == {"accepted_new_york"}


@pytest.mark.slow
def test_a_killed_import_of_archives_resumes(installed: Installation) -> None:
    for n in range(150):
        cik = AAA + 100 + n
        installed.filers.by_cik[cik] = filer(cik, [date(2020, 2, 3), date(2021, 2, 3)], [f"X{n}"])
    command = [sys.executable, "-m", "quantx", "fundamentals", "update", *archives(installed)]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        raw, until = installed.folder / "lake/raw/source=sec", time.monotonic() + 60
        while not any(raw.rglob("*.parquet")) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    again = installed.run("fundamentals", "update", *command[5:])
    assert again.code == 0, again.err
    assert installed.rows("fundamentals_facts").height == 2 * 152
    assert installed.rows("filings")["accession"].n_unique() == 2 * 152


def test_a_block_of_the_sec_stops_at_once_and_is_shown(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed.run("fundamentals", "update", "--symbols", "AAA").code == 0
    for _ in range(30):
        httpx.get(f"{installed.url}/files/company_tickers.json", headers={"User-Agent": "me@example.org"})
    blocked = installed.run("fundamentals", "update", "--symbols", "ZZZ")
    assert (blocked.code, "blocks requests for ten minutes" in blocked.err) == (1, True), blocked.err
    asked = sum(installed.asked().values())
    again = installed.run("fundamentals", "update", "--symbols", "ZZZ")
    assert (again.code, "back-off" in again.err) == (1, True), again.err
    assert sum(installed.asked().values()) == asked
    assert "sec" in installed.run("status").out
