"""The coverage page: its facts; it is self-contained, harmless, and readable in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.evidence import agreement_by_month, disagreements, proofs_by_source, proofs_by_symbol
from quantx.core.gap_schedule import Explanation, Gap
from quantx.core.model import Finding, Series
from quantx.core.quality.vendor_verdicts import vendor_scores
from quantx.core.tables import BARS_1D, DECISIONS, QUARANTINE, SYMBOL_HISTORY, TABLES, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, LakeError
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, Tables
from quantx.lake.store import open_location
from quantx.pipeline.reporting.coverage import read_view, store_coverage, write_coverage
from quantx.pipeline.reporting.coverage_facts import CoverageFacts, coverage_facts
from quantx.pipeline.reporting.coverage_page import coverage_page, page_of
from quantx.pipeline.runtime.platform import Platform
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState
from quantx.state.values import Universe

NOW = datetime(2024, 1, 12, 23, tzinfo=UTC)
SESSIONS = calendar("XNYS").sessions(date(2023, 11, 1), date(2024, 1, 12))
HOSTILE = "<script>alert('x')</script>\"&'"


def facts_of(platform: Platform, universe: str | None = None, *, tables: Tables | None = None) -> CoverageFacts:
    stored = platform.tables if tables is None else tables
    return coverage_facts(stored, platform.state, platform.location.url, platform.clock.now(), universe)


def write(platform: Platform, universe: str | None = None) -> str:
    return write_coverage(platform.location, platform.tables, platform.state, platform.clock.now(), universe)


class At:
    """A clock that a test sets."""

    at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> At:
    return At()


@pytest.fixture
def platform(clock: At) -> Platform:
    """A lake in memory: AAA is whole, BBB lacks two sessions and is behind, CCC has no bar, DDD is in no universe."""
    tables = {name: MemoryTable(table) for name, table in TABLES.items()}
    held = {"AAA": SESSIONS, "BBB": [*SESSIONS[:5], *SESSIONS[7:-1]], "DDD": SESSIONS[-3:]}
    rows = [("yahoo", d.year, s, d, 1.0, 1.0, 1.0, 1.0, 1, "USD", "raw", NOW) for s, days in held.items() for d in days]
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row"))
    members = [("mine", "phase_1", s, "us", HOSTILE, None, None, NOW) for s in ("AAA", "BBB", "CCC")]
    members.append(("old", "phase_1", "AAA", "us", None, None, date(2023, 11, 10), NOW))
    tables["universe_members"].commit(
        CommitContext(1), pl.DataFrame(members, schema=dict(UNIVERSE_MEMBERS.schema), orient="row")
    )
    broken = ("source", "dataset", "symbol", "date", "rules", "row", "known_from")
    rejected = [
        ("yahoo", "bars_1d", "BBB", SESSIONS[5], "prices_present,volume_valid", HOSTILE, NOW),
        ("yahoo", "bars_1d", "BBB", SESSIONS[6], "prices_present", "{}", NOW),
        ("yahoo", "bars_1d", "CCC", None, "payload_readable", "an error page", NOW),
    ]
    quarantined = [dict(zip(broken, row, strict=True)) for row in rejected]
    tables["quarantine"].commit(CommitContext(1), pl.DataFrame(quarantined, schema=dict(QUARANTINE.schema)))
    state = MemoryState(clock)
    state.universes.put(
        Universe(
            "mine",
            phase="phase_1",
            market="us",
            source_type="static",
            refreshed_at=NOW,
            members=[(s, "us", None, None, None) for s in held],
        )
    )
    return Platform(
        settings=load_settings(),
        clock=clock,
        location=open_location("memory://"),
        tables=tables,
        state=state,
        queue=MemoryQueue(clock),
        providers={},
        quotas={},
    )


# ---------------------------------------------------------------------------------------------------------------- facts


def test_completeness_and_freshness_are_of_each_universe(platform: Platform) -> None:
    facts = facts_of(platform)
    summed = (
        facts.months.group_by("universe").agg(pl.col("expected", "present").sum()).sort("universe", nulls_last=True)
    )
    whole, november = len(SESSIONS), sum(d <= date(2023, 11, 10) for d in SESSIONS)
    assert summed.rows() == [("mine", 2 * whole, 2 * whole - 3), ("old", november, november), (None, 3, 3)]
    columns = ["universe", "updated", "members", "up_to_date", "behind", "without_bars"]
    assert facts.freshness.select(columns).rows() == [("mine", True, 3, 1, 1, 1), (None, None, 1, 1, 0, 0)]
    assert facts.behind.rows() == [("mine", "BBB", SESSIONS[-2], SESSIONS[-1])]


def test_a_member_that_is_delisted_is_not_behind(platform: Platform) -> None:
    ended = SESSIONS[-4]  # its bars go on for two sessions, as vendors' do at times
    naming = ("us.BBB", "BBB", None, ended, "a file", NOW)
    platform.tables["symbol_history"].commit(
        CommitContext(1), pl.DataFrame([naming], schema=dict(SYMBOL_HISTORY.schema), orient="row")
    )
    facts = facts_of(platform)
    columns = ["members", "up_to_date", "behind", "delisted", "without_bars"]
    assert facts.freshness.filter(universe="mine").select(columns).rows() == [(3, 1, 0, 1, 1)]
    assert facts.behind.is_empty()
    assert facts.delisted.rows() == [("mine", "BBB", SESSIONS[-2], ended)]
    page = coverage_page(facts)
    assert "delisted on" in page
    assert f"<td>{ended}</td>" in page


def test_the_symbols_that_lack_most_come_first_with_what_was_rejected(platform: Platform) -> None:
    first = facts_of(platform).symbols.row(0, named=True)
    assert (first["symbol"], first["expected"] - first["present"], first["rejected"]) == ("BBB", 3, 2)
    assert (first["lacks_from"], first["lacks_to"], first["newest"]) == (202311, 202401, SESSIONS[-2])


def test_missing_sessions_that_are_explained_stand_apart(platform: Platform) -> None:
    """BBB misses the sixth, the seventh and the last session; an explanation of a present bar does not count."""

    def gap(source: str, session: date, explanation: Explanation) -> Gap:
        return Gap(
            Series(source, "bars", "1d", "BBB"), session, status="explained", explanation=explanation, reason="so it is"
        )

    platform.state.gaps.put(
        [
            gap("yahoo", SESSIONS[5], "rejected"),
            gap("yahoo", SESSIONS[6], "rejected"),
            gap("other", SESSIONS[6], "vendor_has_nothing"),
            gap("other", SESSIONS[0], "vendor_has_nothing"),
            Gap(Series("yahoo", "bars", "1d", "BBB"), SESSIONS[-1]),
        ]
    )
    facts = facts_of(platform)
    assert facts.symbols.select("symbol", "explained", "explanation").row(0) == ("BBB", 2, "rejected")
    assert facts.symbols["explained"].sum() == 2
    page = Read(coverage_page(facts)).text
    assert "Missing sessions, and how many of them are explained" in page


def test_rejected_rows_are_counted_by_rule_vendor_and_month(platform: Platform) -> None:
    facts = facts_of(platform)
    assert facts.rejected_rows == 3
    assert facts.rejects.rows() == [
        ("payload_readable", "yahoo", 202401, 1, 1),  # of a whole reply: when it came
        ("prices_present", "yahoo", 202311, 2, 1),
        ("volume_valid", "yahoo", 202311, 1, 1),
    ]


def test_an_accepted_row_is_not_rejected_and_one_quoted_under_two_policies_counts_once(platform: Platform) -> None:
    decision = {"source": "yahoo", "dataset": "bars_1d", "symbol": "BBB", "date": SESSIONS[6], "row": "{}", "by": "ops"}
    platform.tables["decisions"].commit(
        CommitContext(1), pl.DataFrame([decision | {"known_from": NOW}], schema=dict(DECISIONS.schema))
    )
    again = platform.tables["quarantine"].read(pl.col("date") == SESSIONS[5])
    newer = again.with_columns(pl.lit("volume_valid").alias("rules"), policy=pl.lit(9, pl.Int32))
    platform.tables["quarantine"].commit(CommitContext(2), newer.with_columns(known_from=NOW + timedelta(days=1)))
    facts = facts_of(platform)
    assert facts.rejected_rows == 2
    assert [row[0] for row in facts.rejects.rows()] == ["payload_readable", "volume_valid"]
    assert facts.symbols.row(0, named=True)["rejected"] == 1


def test_findings_have_an_age_and_the_acknowledged_ones_stand_apart(platform: Platform, clock: At) -> None:
    clock.at = NOW - timedelta(days=9)
    platform.state.findings.note(
        [Finding("gap", "warn", "AAA", "three are missing"), Finding("jump", "error", "BBB", "?")]
    )
    clock.at = NOW
    (jump,) = platform.state.findings.listed(1, rule="jump")
    platform.state.findings.close(jump["id"], "acknowledged", "ops", HOSTILE)
    facts = facts_of(platform)
    assert [(row["rule"], row["age_days"]) for row in facts.findings] == [("gap", 9)]
    assert [(row["rule"], row["reason"]) for row in facts.acknowledged] == [("jump", HOSTILE)]
    page = coverage_page(facts)
    assert page.index("three are missing") < page.index("Acknowledged") < page.index("by ops")


def test_what_was_not_checked_says_so(platform: Platform) -> None:
    facts = facts_of(platform)
    assert (facts.proofs, facts.agreement) == (None, None)
    assert coverage_page(facts).count("Not checked yet") == 2


def test_proofs_and_agreement_are_read_where_checks_have_filled_them(platform: Platform) -> None:
    tables = {**platform.tables, "adjustment_proofs": Filled(PROOFS), "agreements": Filled(AGREEMENTS)}
    facts = facts_of(platform, tables=tables)
    assert facts.proofs is not None
    assert facts.proofs.rows() == [("yahoo", 3, 1, 1, 1)]
    verdicts = [(row["symbol"], row["verdict"]) for row in facts.as_json()["proofs_by_symbol"]]
    assert verdicts == [("AAA", "proven"), ("BBB", "disagrees"), ("DDD", "nothing to prove")]
    assert facts.scores is not None
    assert facts.scores.select("source", "wrong").rows() == [("alpaca", 0), ("yahoo", 1)]
    page = coverage_page(facts)
    assert "missing dividend" in page
    series = page[page.index("Series that disagree") : page.index("Steps that disagree")]
    assert "<td>BBB</td>" in series
    assert "<td>AAA</td>" not in series
    assert "19 of 20 sessions agree, largest close difference 0.50%" in page
    assert "close, open, high, low and volume all agree" in page


def test_one_universe_alone_has_a_page_of_its_own(platform: Platform) -> None:
    assert write(platform, "old") == "reports/coverage/universes/old.html"
    facts = facts_of(platform, "old")
    assert facts.months["universe"].unique().to_list() == ["old"]
    assert facts.rejected_rows == 0
    with pytest.raises(ConfigError, match="no universe 'none'; it has mine, old"):
        facts_of(platform, "none")


def test_page_and_json_lie_in_the_lake_and_say_the_same(platform: Platform) -> None:
    assert write(platform) == "reports/coverage/coverage.html"
    document = json.loads(platform.location.get("reports/coverage/coverage.json"))
    assert document["made_at"] == NOW.isoformat()
    assert document["proofs"] is None
    assert sum(row["present"] for row in document["months"]) == 2 * len(SESSIONS) - 3 + 8 + 3
    assert Read(platform.location.get("reports/coverage/coverage.html").decode()).title == "Coverage"


def test_an_empty_lake_has_a_page(platform: Platform) -> None:
    empty = replace(platform, tables={name: MemoryTable(table) for name, table in TABLES.items()})
    page = Read(coverage_page(facts_of(empty)))
    assert page.problems == []
    assert "none" in page.text


# ------------------------------------------------------------------------------------------------------------- the page


class Filled(MemoryTable):
    """A table that a check has filled."""

    def __init__(self, rows: pl.DataFrame) -> None:
        super().__init__(QUARANTINE)
        self._rows = rows

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        return self._rows if where is None else self._rows.filter(where)


PROOFS = pl.DataFrame(
    [("yahoo", "AAA", SESSIONS[9], 0.99, 0.99, "agree"), ("yahoo", "BBB", SESSIONS[9], 1.0, 0.97, "missing_dividend")],
    schema=["source", "symbol", "ex_date", "ours", "vendors", "verdict"],
    orient="row",
)
AGREEMENTS = pl.DataFrame(
    [("AAA", "alpaca", "yahoo", 202312, "us", 20, 19, 0.005, "b_wrong")],
    schema=["symbol", "source_a", "source_b", "month", "market", "sessions", "agreed", "worst", "verdict"],
    orient="row",
).with_columns(
    pl.when(pl.col("verdict") == f"{side}_wrong")
    .then(pl.col("sessions") - pl.col("agreed"))
    .otherwise(0)
    .alias(f"wrong_{side}")
    for side in "ab"
)

_VOID = {"meta", "br", "link", "img", "input", "hr"}


class Read(HTMLParser):
    """A page as a strict parser reads it; `problems` are those of a screen reader or a locked-down browser."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.open: list[str] = []
        self.heads: list[int] = []
        self.tags: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.text = self.title = ""
        self.feed(page)
        self.close()
        self.problems += [f"{tag} is never closed" for tag in self.open]
        self.problems += [f"{link} leads nowhere" for link in self.links if link.removeprefix("#") not in self.ids]
        self.problems += [f"h{b} after h{a}" for a, b in zip([0, *self.heads], self.heads, strict=False) if b > a + 1]
        if re.search(r"@import|url\(|https?://", page):
            self.problems.append("something is loaded from elsewhere")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "object", "link", "base", "form"):
            self.problems.append(f"there is a {tag}")
        self.problems += [f"{tag} has {name}" for name in given if name.startswith("on") or name in ("src", "style")]
        if tag not in _VOID:
            self.open.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.heads.append(int(tag[1]))
        if given.get("id"):
            self.ids.add(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        if tag == "th" and given.get("scope") not in ("col", "row"):
            self.problems.append("a heading of a table has no scope")
        if tag == "table":
            self.problems.append("a table has no caption")
        if tag == "caption":
            self.problems.remove("a table has no caption")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"{tag} is closed and was not open")

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["title"]:
            self.title += data
        self.text += data


def hostile(platform: Platform) -> CoverageFacts:
    """Facts in which each text that comes from outside is markup."""
    finding = Finding(
        HOSTILE, "error", HOSTILE, HOSTILE, source=HOSTILE, dataset=HOSTILE, first_day=SESSIONS[0], last_day=SESSIONS[9]
    )
    platform.state.findings.note([finding, replace(finding, subject="AAA")])
    (row,) = platform.state.findings.listed(1, subject="AAA")
    platform.state.findings.close(row["id"], "acknowledged", HOSTILE, HOSTILE)
    facts = facts_of(platform)
    text = pl.lit(HOSTILE)
    proofs = PROOFS.with_columns(text.alias("symbol"), text.alias("source"), text.alias("verdict"))
    by_symbol = proofs_by_symbol(proofs, proofs)
    agreements = AGREEMENTS.with_columns(text.alias("source_a"), text.alias("market"))
    frames = {
        name: frame.with_columns(pl.lit(HOSTILE).alias(c) for c, t in frame.schema.items() if t == pl.String)
        for name, frame in vars(facts).items()
        if isinstance(frame, pl.DataFrame)
    }
    return replace(
        facts,
        lake=HOSTILE,
        universe=HOSTILE,
        proofs=proofs_by_source(by_symbol),
        proofs_by_symbol=by_symbol,
        disagreements=disagreements(proofs),
        agreement=agreement_by_month(agreements),
        scores=vendor_scores(agreements),
        **frames,
    )


def test_the_page_is_whole_ordered_and_loads_nothing(platform: Platform) -> None:
    page = coverage_page(facts_of(platform))
    read = Read(page)
    assert read.problems == []
    assert "default-src 'none'" in page
    assert read.heads.count(1) == 1
    for said in ("Freshness", "Completeness", "Rejected rows", "Open findings", "Known limits", "in no universe"):
        assert said in read.text


def test_what_vendors_send_stays_text(platform: Platform) -> None:
    page = coverage_page(hostile(platform))
    read = Read(page)
    assert read.problems == []
    assert "<script" not in page
    assert read.text.count(HOSTILE) > 20


def test_five_thousand_symbols_make_no_large_page(platform: Platform) -> None:
    facts = facts_of(platform)
    months = [
        (f"u{u}", "us", y * 100 + m, 105_000, 104_990, 0.9999)
        for u in range(12)
        for y in range(2011, 2026)
        for m in range(1, 13)
    ]
    symbols = pl.concat([facts.symbols.head(1)] * 5000)
    findings = hostile(platform).findings * 5000
    rejects = pl.DataFrame(
        [(rule, "yahoo", y * 100 + m, 7, 3) for rule in ("a", "b") for y in range(2011, 2026) for m in range(1, 13)],
        schema=facts.rejects.schema,
        orient="row",
    )
    disagreeing = [("yahoo", f"S{i}", 40, 39, 0.0123, "disagrees", SESSIONS[0]) for i in range(15_000)]
    by_symbol = proofs_by_symbol(PROOFS, PROOFS)
    large = replace(
        facts,
        proofs=proofs_by_source(by_symbol),
        proofs_by_symbol=pl.DataFrame(disagreeing, schema=by_symbol.schema, orient="row"),
        disagreements=disagreements(PROOFS),
        months=pl.DataFrame(months, schema=facts.months.schema, orient="row"),
        symbols=symbols,
        findings=findings,
        rejects=rejects,
    )
    page = coverage_page(large)
    assert len(page.encode()) < 500_000
    assert "The worst and newest: the first 200 of 5,000" in page
    assert "Series that disagree: the first 1,000 of 15,000" in page


# --------------------------------------------------------------------------------------------------------- in a browser


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def show(folder: Path, page: str, *how: str) -> str:
    """Open the page in a browser without a network, and return what it prints."""
    file = folder / "coverage.html"
    file.write_text(page, "utf-8")
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars")
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    command = [browser(), *quiet, offline, f"--user-data-dir={folder / 'profile'}", *how, file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


# Tells what the page does to a window as narrow as a phone's; it is no part of the page.
_RULER = """<!doctype html><title>?</title><iframe id=f style="width:390px;height:844px;border:0"></iframe><script>
const f = document.getElementById('f'), errors = [];
f.onload = () => { const d = f.contentDocument, e = d.documentElement;
  const wide = [...d.querySelectorAll('body *')]
    .filter(x => x.getBoundingClientRect().right > 391 && !x.closest('.scroll'));
  document.title = JSON.stringify({ width: e.scrollWidth, outside: wide.length, alerts: window.alerts || 0,
    months: d.querySelectorAll('.months td[title]').length, sections: d.querySelectorAll('main > section').length }); };
window.alert = () => { window.alerts = (window.alerts || 0) + 1; };
f.srcdoc = PAGE;
</script>"""


def test_a_phone_shows_it_without_scrolling_sideways_and_nothing_runs(platform: Platform, tmp_path: Path) -> None:
    facts = hostile(platform)
    page = coverage_page(facts)
    ruler = _RULER.replace("PAGE", json.dumps(page).replace("</", "<\\/"))
    shown = show(tmp_path, ruler, "--dump-dom", "--virtual-time-budget=5000")
    found = re.search(r"<title>(\{.*?\})</title>", shown)
    assert found is not None, shown[:500]
    measured: dict[str, Any] = json.loads(found[1].replace("&amp;", "&"))
    assert measured["width"] == 390
    assert (measured["outside"], measured["alerts"], measured["sections"]) == (0, 0, 10)
    assert measured["months"] > 0


def test_it_prints(platform: Platform, tmp_path: Path) -> None:
    paper = tmp_path / "coverage.pdf"
    show(tmp_path, coverage_page(facts_of(platform)), f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF")


def test_the_stored_values_are_those_of_the_page(platform: Platform) -> None:
    facts = hostile(platform)
    store_coverage(platform.location, facts)
    assert page_of(read_view(platform.location, facts.universe)) == coverage_page(facts)


@pytest.mark.parametrize("text", [b"[]", b"{}", b"not JSON"])
def test_values_of_another_form_are_an_error_with_the_next_step(platform: Platform, text: bytes) -> None:
    platform.location.put("reports/coverage/coverage.view.json", text)
    with pytest.raises(LakeError, match="quantx coverage"):
        read_view(platform.location, None)
