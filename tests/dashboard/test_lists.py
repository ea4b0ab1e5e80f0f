"""The lists of the dashboard: filters in the address, pages, details, actions, and a database that is gone."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import Settings

from .conftest import Client, TestClient
from .hostile import RUN, fill
from .test_security import OURS


@pytest.fixture
def filled(settings: Settings) -> Settings:
    fill(settings)
    return settings


@pytest.fixture
def browser(filled: Settings, client_of: Client) -> TestClient:
    return client_of(filled)


def links(page: str, beginning: str) -> list[str]:
    return [unescape(href) for href in re.findall(r'href="([^"]+)"', page) if unescape(href).startswith(beginning)]


def send(browser: TestClient, page: str, action: str, reason: str = "it is known") -> str:
    """Send the form of an action as a browser does, and return the page after it."""
    (form,) = re.findall(rf'action="/actions/{re.escape(action)}">(.*?)</form>', page, re.DOTALL)
    fields = re.findall(r'<input type="(?:hidden|checkbox)" name="([^"]*)" value="([^"]*)"', form)
    body = urlencode([*((unescape(name), unescape(value)) for name, value in fields), ("reason", reason)])
    answer = browser.post(f"/actions/{action}", content=body, headers=OURS)
    assert answer.status_code == 303, answer.text
    return browser.get(answer.headers["location"]).text


def test_findings_come_in_pages_that_have_all_of_them_once(browser: TestClient) -> None:
    page, found = "/findings", []
    while page:
        text = browser.get(page).text
        found += links(text, "/findings/")
        page = next(iter(re.findall(r'href="([^"]+)" rel="next"', text)), "")
        page = unescape(page)
    assert len(found) == len(set(found)) == 62
    assert "1 to 50 of 62" in browser.get("/findings").text
    assert len(links(browser.get("/findings?severity=error").text, "/findings/")) == 1
    assert "51 to 60 of 60" in browser.get("/findings?rule=gap&page=2").text
    assert len(links(browser.get("/findings?subject=S7").text, "/findings/")) == 1


@pytest.mark.parametrize(
    "address",
    [
        *("/findings?severity=worst", "/findings?rule=a%00b", f"/findings?subject={'x' * 300}"),
        *("/tasks?state=%27%3B+drop+table+tasks", "/quarantine?rule=none", "/runs?kind=hourly"),
    ],
)
def test_a_filter_with_an_impossible_value_is_refused(browser: TestClient, address: str) -> None:
    assert browser.get(address).status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        *("/findings/999", "/findings/x", "/tasks/999", "/tasks/-1", "/runs/none", "/quarantine/ffff"),
        *("/findings/99999999999999999999", "/quarantine/%2E%2E%2Fetc", "/runs/%00"),
    ],
)
def test_what_does_not_exist_is_not_found(browser: TestClient, address: str) -> None:
    assert browser.get(address).status_code == 404


@pytest.mark.parametrize("number", ["-5", "abc", "99999999999999999999", "2"])
def test_a_page_number_that_is_none_shows_a_page(browser: TestClient, number: str) -> None:
    assert browser.get(f"/findings?page={number}").status_code == 200
    assert browser.get(f"/tasks?before={number}").status_code == 200


def test_a_finding_has_its_rule_its_facts_and_its_neighbours(browser: TestClient) -> None:
    (address,) = links(browser.get("/findings?severity=error").text, "/findings/")
    page = browser.get(address).text
    assert "<script>document" not in page
    assert page.count("<polyline") == 1
    assert "2024-01-12" in page


def test_findings_of_a_page_are_acknowledged_with_a_reason(browser: TestClient, filled: Settings) -> None:
    page = send(browser, browser.get("/findings?severity=error").text, "findings.acknowledge", "checked by hand")
    assert "Done: the finding is acknowledged" in page
    with open_platform(filled) as platform:
        (row,) = platform.state.findings.listed(9, severity="error")
        assert (row["status"], row["reason"]) == ("acknowledged", "checked by hand")
        published = platform.tables["findings"].read()
        assert published.filter(severity="error")["status"].to_list() == ["acknowledged"]


def test_dead_tasks_are_retried_in_a_run_of_their_own(browser: TestClient, filled: Settings) -> None:
    page = send(browser, browser.get("/tasks?state=dead").text, "tasks.retry")
    assert "has 2 of them" in page
    with open_platform(filled) as platform:
        assert platform.state.tasks.dead() == 0
        assert platform.state.tasks.count()["pending"] == 2
    (address, *_) = links(browser.get("/tasks?state=failed").text, "/tasks/")
    assert "retried by" in browser.get(address).text
    assert 'action="/actions/tasks.retry"' not in browser.get(address).text


def test_a_run_has_its_failures_by_error(browser: TestClient) -> None:
    page = browser.get(f"/runs/{RUN}").text
    assert page.count("TransientProviderError") == 1
    assert links(page, "/tasks?run=") == [f"/tasks?run={RUN}"]


def test_a_rejected_row_is_shown_between_its_neighbours(browser: TestClient) -> None:
    (address,) = links(browser.get("/quarantine?symbol=AAPL").text, "/quarantine/")
    page = browser.get(address).text
    assert "the point is the rejected row of 2024-01-09" in page
    assert page.count("<polyline") == 2
    assert "the raw zone does not have this reply any more" in page
    assert 'action="/actions/quarantine.accept"' in page


def test_a_whole_reply_can_be_validated_again_and_not_accepted(browser: TestClient) -> None:
    (address,) = [href for href in links(browser.get("/quarantine").text, "/quarantine/") if "AAPL" not in href]
    page = browser.get(address).text
    assert 'action="/actions/quarantine.accept"' not in page
    assert "Done: 0 pass the current rules" in send(browser, page, "quarantine.replay")


def test_without_a_database_lists_are_read_from_the_lake(filled: Settings, client_of: Client) -> None:
    with open_platform(filled) as platform:
        from quantx.pipeline.inspecting.published import publish_findings

        publish_findings(platform, platform.tables)
    without = client_of(filled.model_copy(update={"state_url": "postgresql://127.0.0.1:1/none"}))
    findings = without.get("/findings?rule=gap").text
    assert "as the lake publishes them" in findings
    assert "1 to 50 of 60" in findings
    assert '<form method="post"' not in findings
    assert "newest reports in the lake" in without.get("/runs").text
    assert "does not answer" in without.get("/tasks").text
    assert len(links(without.get("/quarantine").text, "/quarantine/")) == 2
    for address in ("/vendors", "/storage", "/research"):
        assert without.get(address).status_code == 200


def test_prices_that_can_not_be_read_cost_no_page(
    browser: TestClient, filled: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with open_platform(filled) as platform:
        for run in platform.state.runs.recent(10, kind="daily"):
            platform.state.runs.finish(run["id"], "")
    folder = tmp_path_factory.mktemp("own")
    (folder / "config").mkdir()
    (folder / "config" / "prices.yaml").write_text("prices: [")
    monkeypatch.chdir(folder)
    page = browser.get("/storage")
    assert page.status_code == 200
    assert "The cost can&#39;t be estimated: " in page.text
