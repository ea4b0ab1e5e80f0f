"""Actions: a reason, an audit row, one run per form, and the outcome on the page from which they came."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from quantx.dashboard.actions import Action, Form
from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.pages import PAGES
from quantx.dashboard.sign_in import EasyAuth, TokenSignIn, WebSignIn, form_token
from quantx.errors import ConfigError, StateError
from quantx.pipeline.runtime.platform import Platform
from quantx.settings import Settings
from quantx.state.postgres import open_state
from quantx.state.values import Row

from .conftest import ADDRESS, COOKIE, PORT, TOKEN
from .test_security import HOST, OPERATORS, OURS, READERS, principal

RAN: list[Form] = []


def _halt(platform: Platform, form: Form) -> str:
    RAN.append(form)
    if form.text("vendor") == "none":
        raise ConfigError("there is no vendor <none>")
    if form.text("vendor") == "lost":
        platform.state.close()
        raise StateError("PostgreSQL: the server has closed the connection")
    return f"{form.text('vendor')} is halted"


HALT = Action(name="vendors.halt", label="Halt", run=_halt, fields=("vendor",))


def _show(request: Request, dashboard: Dashboard) -> Response:
    return rendered(request, "test_form.html", title="Vendors")


@pytest.fixture(autouse=True)
def _template(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the template of a page with a form."""
    from jinja2 import ChoiceLoader, DictLoader

    from quantx.pages.render import _environment

    RAN.clear()
    environment = _environment("quantx.dashboard")
    page = (
        '{% extends "layout.html" %}{% from "actions.html" import action_form with context %}'
        '{% block content %}{{ action_form("vendors.halt", {"vendor": "<yahoo>"}) }}{% endblock %}'
    )
    assert environment.loader is not None
    monkeypatch.setattr(environment, "loader", ChoiceLoader([DictLoader({"test_form.html": page}), environment.loader]))


def client_with(settings: Settings, sign_in: WebSignIn | None = None) -> TestClient:
    pages = (WebPage(path="/vendors", handler=_show, title="Vendors"), *PAGES)
    app = create_app(Dashboard(settings), sign_in or TokenSignIn(PORT, TOKEN), pages, [HALT])
    return TestClient(app, ADDRESS, follow_redirects=False, raise_server_exceptions=False)


@pytest.fixture
def browser(settings: Settings) -> Iterator[TestClient]:
    with client_with(settings) as client:
        client.cookies.set(COOKIE, TOKEN)
        yield client


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of the only form of a page."""
    assert page.count("<form") == 1
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    return {name: text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for name, text in fields.items()}


def send(client: TestClient, fields: dict[str, str]) -> Response:
    return client.post("/actions/vendors.halt", content=urlencode(fields), headers=OURS)


def audit_of(settings: Settings) -> list[Row]:
    with closing(open_state(settings.state_url, None)) as state:
        return state.audit.listed(10)


def test_a_form_runs_its_action_once_and_shows_the_outcome(browser: TestClient, settings: Settings) -> None:
    fields = hidden(browser.get("/vendors?page=2&did=before").text) | {"reason": "it sends <zeros>"}
    assert fields["back"] == "/vendors?page=2"
    first, second = send(browser, fields), send(browser, fields)  # a double click
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"] == f"/vendors?page=2&did={fields['request_id']}"
    assert [(form.text("vendor"), form.reason) for form in RAN] == [("<yahoo>", "it sends <zeros>")]
    page = browser.get(first.headers["location"]).text
    assert "Done: &lt;yahoo&gt; is halted" in page
    row = audit_of(settings)[0]
    assert (row["action"], row["place"], row["subject"], row["reason"], row["outcome"], row["message"]) == (
        *("vendors.halt", "dashboard", "vendor <yahoo>", "it sends <zeros>", "done", "<yahoo> is halted"),
    )
    audit = browser.get("/audit").text
    assert "it sends &lt;zeros&gt;" in audit
    assert row["actor"] in audit


def test_an_error_of_the_action_is_its_outcome(browser: TestClient, settings: Settings) -> None:
    fields = hidden(browser.get("/vendors").text) | {"reason": "a try", "vendor": "none"}
    page = browser.get(send(browser, fields).headers["location"]).text
    assert "Failed: there is no vendor &lt;none&gt;" in page
    assert audit_of(settings)[0]["outcome"] == "failed"


def test_a_database_that_stops_in_the_middle_is_said_and_opened_again(browser: TestClient, settings: Settings) -> None:
    fields = hidden(browser.get("/vendors").text) | {"reason": "a try", "vendor": "lost"}
    failed = send(browser, fields)
    assert failed.status_code == 503
    assert "PostgreSQL" in failed.text
    assert audit_of(settings)[0]["outcome"] == "begun"  # what it has changed is not known
    page = browser.get(send(browser, fields).headers["location"]).text  # the same form is not run again
    assert "Not finished" in page
    assert len(RAN) == 1


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"form_token": "x"}, 403, "another session"),
        ({"form_token": form_token("another session of thirty characters")}, 403, "another session"),
        ({"reason": "  "}, 400, "give a reason"),
        ({"reason": "x" * 2_001}, 400, "give a reason"),
        ({"reason": "\u200b .\u2060"}, 400, "give a reason"),
        ({"reason": "a\0b"}, 400, "a NUL character"),
        ({"vendor": "yahoo\0"}, 400, "a NUL character"),
        ({"request_id": ""}, 400, "no request id"),
        ({"request_id": "'; drop table audit; --"}, 400, "no request id"),
        ({"state": "done"}, 400, "an unknown field"),
    ],
)
def test_an_incomplete_or_foreign_form_changes_nothing(
    browser: TestClient, settings: Settings, change: dict[str, str], status: int, text: str
) -> None:
    refused = send(browser, hidden(browser.get("/vendors").text) | {"reason": "a try"} | change)
    assert refused.status_code == status
    assert text in refused.text
    assert (RAN, audit_of(settings)) == ([], [])


def test_an_action_returns_to_this_host(browser: TestClient) -> None:
    fields = hidden(browser.get("/vendors").text) | {"reason": "a try", "back": "//evil.example/x"}
    assert send(browser, fields).headers["location"] == f"/?did={fields['request_id']}"


def test_a_reader_sees_no_form_and_may_not_send_one(settings: Settings) -> None:
    with client_with(settings, EasyAuth([HOST], [READERS], [OPERATORS])) as client:
        client.base_url = f"https://{HOST}"
        operator = {"x-ms-client-principal": principal(OPERATORS)}
        reader = {"x-ms-client-principal": principal(READERS)}
        page = client.get("/vendors", headers=operator)
        fields = hidden(page.text) | {"reason": "a try"}
        assert "<form" not in client.get("/vendors", headers=reader).text
        body, ours = urlencode(fields), OURS | {"origin": f"https://{HOST}"}
        assert client.post("/actions/vendors.halt", content=body, headers=ours | reader).status_code == 403
        assert audit_of(settings) == []
        assert client.post("/actions/vendors.halt", content=body, headers=ours | operator).status_code == 303
        assert audit_of(settings)[0]["actor"] == "ann@example.net"


def test_the_ids_of_a_form_are_all_numbers_or_refused() -> None:
    def numbers(*texts: str) -> list[int]:
        return Form(request_id="r", reason="x", actor="a", values={"task": texts}).numbers("task")

    assert numbers("3", " 17 ") == [3, 17]
    with pytest.raises(ConfigError, match="no task was chosen"):
        numbers("", " ")
    with pytest.raises(ConfigError, match="is not a number"):  # never a part of what was chosen
        numbers("3", "17;--")
