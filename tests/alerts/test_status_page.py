"""The status page: the answer first, its own age in words, readable on a phone, and no script."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantx.alerts.run import check_and_send
from quantx.alerts.status_page import StatusFacts, status_page, verdict_of, write_status_page
from quantx.core.model import Finding
from quantx.pipeline.reporting.freshness import UniverseFreshness, next_due
from quantx.settings import Settings

from .conftest import Lab

NOW = datetime(2024, 2, 1, 9, tzinfo=UTC)
CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<script>alert(1)</script> \u202e" + "x" * 10_000


def universe(name: str, current: int, members: int, silent: int = 0) -> UniverseFreshness:
    due = date(2024, 1, 31)
    return UniverseFreshness(
        universe=name,
        members=members,
        current=current,
        silent=silent,
        with_bars=members,
        due=due,
        newest=due - timedelta(days=1),
    )


def alert(severity: str = "error", message: str = "150 then 15") -> dict[str, Any]:
    return {
        "title": "Finding",
        "group": "close_jump",
        "subject": "AAPL",
        "severity": severity,
        "message": message,
        "next_step": "look",
        "since": NOW,
    }


def facts(*universes: UniverseFreshness, alerts: tuple[dict[str, Any], ...] = ()) -> StatusFacts:
    run = {"created_at": NOW, "kind": "daily", "tasks": 3, "success": 2, "failed": 1, "finished_at": None}
    return StatusFacts(
        name="lab",
        lake="file:///lake",
        written_at=NOW,
        fresh_until=NOW + timedelta(hours=23),
        limit=5,
        universes=universes,
        alerts=alerts,
        runs=[run],
        findings={"error": 1, "info": 12},
    )


@pytest.mark.parametrize(
    ("universes", "alerts", "level", "headline"),
    [
        ([universe("a", 500, 500)], (), "good", "Today's numbers can be used"),
        ([universe("a", 498, 500)], (), "good", "Today's numbers can be used"),
        ([universe("a", 500, 500)], (alert("warn"),), "good", "Today's numbers can be used"),
        ([universe("a", 500, 500)], (alert(),), "part", "Complete, with open errors"),
        ([universe("a", 400, 500)], (), "bad", "Today's numbers are not complete"),
        ([universe("a", 400, 500, silent=100)], (), "good", "Today's numbers can be used"),  # the reasons name them
        ([universe("a", 200, 500, silent=300)], (), "bad", "Today's numbers are not complete"),
        ([universe("a", 0, 500), universe("b", 9, 9)], (), "bad", "Some of today's numbers are not complete"),
        ([], (), "part", "No universe is updated daily"),
    ],
)
def test_the_headline_is_the_answer(universes: Any, alerts: Any, level: str, headline: str) -> None:
    verdict = verdict_of(facts(*universes, alerts=alerts))
    assert (verdict.level, verdict.headline) == (level, headline)


def test_what_is_missing_is_named() -> None:
    verdict = verdict_of(facts(universe("us_sp500", 400, 500)))
    assert verdict.reasons == ["us_sp500: 100 of 500 members lack the session of 2024-01-31."]


def test_the_page_states_its_age_and_its_end() -> None:
    page = status_page(facts(universe("a", 5, 5)))
    assert "Thu 01 Feb 2024, 09:00 UTC" in page
    assert "Fri 02 Feb 2024, 08:00 UTC" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http-equiv", "")
    assert "src=" not in page


def test_texts_of_vendors_are_escaped() -> None:
    assert "<script" not in status_page(facts(universe(HOSTILE, 5, 5), alerts=(alert(message=HOSTILE),)))


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2024-02-01T05:00", "2024-02-01T08:00"),
        ("2024-02-01T07:59", "2024-02-01T08:00"),
        ("2024-02-01T08:00", "2024-02-02T08:00"),
        ("2024-02-02T09:00", "2024-02-05T08:00"),  # Friday: nothing is due before Monday
    ],
)
def test_it_holds_until_a_further_session_is_due(now: str, until: str) -> None:
    settings = Settings()  # fires at 06:00 from Monday to Friday; two hours later a session is due
    assert next_due(settings, datetime.fromisoformat(f"{now}+00:00")) == datetime.fromisoformat(f"{until}+00:00")


def test_it_lies_in_the_reports_of_the_lake(lab: Lab) -> None:
    context = lab.context(alerts_name="lab & co")
    lab.state.findings.note([Finding("close_jump", "error", "AAPL", "150 then 15")])
    check_and_send(context, channels={})
    assert write_status_page(context) == "reports/status.html"
    page = (lab.folder / "lake" / "reports" / "status.html").read_text()
    assert "close_jump" in page
    assert "lab &amp; co" in page
    assert "Open findings: 1 error." in page


@pytest.fixture
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip("no Chromium in /usr/bin")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
def test_a_phone_shows_the_answer_and_the_age_without_scrolling(browser: Any, tmp_path: Path) -> None:
    many = [universe(f"universe_{n}", 5, 5) for n in range(20)]
    file = tmp_path / "status.html"
    file.write_text(status_page(facts(*many, alerts=(alert(message=HOSTILE), alert("warn")))))
    wrong: list[str] = []
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        for selector in ("h1", ".age"):
            box = page.locator(selector).bounding_box()
            assert box["y"] + box["height"] <= 844
        page.close()
    assert wrong == []
