"""The attack list: each request of a foreign page, a foreign name or a forged sender is refused."""

from __future__ import annotations

import base64
import json
from urllib.parse import urlencode

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from quantx.dashboard.actions import return_address
from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.guard import MOST_BODY
from quantx.dashboard.page import WebPage
from quantx.dashboard.sign_in import EasyAuth, TokenSignIn, form_token
from quantx.settings import Settings

from .conftest import ADDRESS, COOKIE, PORT, TOKEN, Client

HOST = "quantx.example.net"
READERS, OPERATORS = "11111111-aaaa", "22222222-bbbb"
OURS = {"sec-fetch-site": "same-origin", "origin": ADDRESS, "content-type": "application/x-www-form-urlencoded"}


def principal(*groups: str, name: str = "ann@example.net", auth: str = "aad") -> str:
    claims = [{"typ": "preferred_username", "val": name}, *({"typ": "groups", "val": group} for group in groups)]
    return base64.b64encode(json.dumps({"auth_typ": auth, "claims": claims}).encode()).decode()


@pytest.fixture
def stranger(settings: Settings, client_of: Client) -> TestClient:
    """A browser without the token."""
    return client_of(settings, entered=False)


@pytest.fixture
def azure(settings: Settings, client_of: Client) -> TestClient:
    """A client behind the sign-in of Azure."""
    client = client_of(settings, EasyAuth([HOST], [READERS], [OPERATORS]))
    client.base_url = f"https://{HOST}"
    return client


class TestEntrance:
    def test_the_address_with_the_token_sets_a_strict_cookie_and_hides_the_token(self, stranger: TestClient) -> None:
        entered = stranger.get(f"/audit?before=7&token={TOKEN}")
        assert (entered.status_code, entered.headers["location"]) == (303, "/audit?before=7")
        assert entered.headers["set-cookie"] == f"{COOKIE}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
        assert stranger.get("/audit").status_code == 200

    @pytest.mark.parametrize("path", ["/", "/audit", "/?token=wrong", "/?token=", "/actions/x", "/api/v1/bars"])
    def test_without_it_nothing_is_shown(self, stranger: TestClient, path: str) -> None:
        refused = stranger.get(path)
        assert refused.status_code == 403
        assert "<nav" not in refused.text
        assert "set-cookie" not in refused.headers

    def test_the_redirect_stays_on_this_host(self, stranger: TestClient) -> None:
        entered = stranger.get(f"{ADDRESS}//evil.example/%0d%0aX-Forged:1?token={TOKEN}")
        assert entered.headers["location"].startswith("/evil.example/")
        assert "x-forged" not in entered.headers

    def test_a_cookie_that_is_sent_twice_counts_nothing(self, stranger: TestClient) -> None:
        twice = {"cookie": f"{COOKIE}={TOKEN}; {COOKIE}=other"}
        assert stranger.get("/", headers=twice).status_code == 403

    def test_a_bearer_reads_and_never_acts(self, stranger: TestClient) -> None:
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert stranger.get("/audit", headers=bearer).status_code == 200
        assert stranger.get("/audit", headers={"authorization": "Bearer wrong"}).status_code == 403
        assert stranger.post("/actions/x", headers=bearer | OURS).status_code == 403

    def test_styles_are_public_and_nothing_beside_them(self, stranger: TestClient) -> None:
        assert stranger.get("/static/dashboard.css").status_code == 200
        for path in (
            "/static/../app.py",
            "/static/%2e%2e/app.py",
            "/static/..%2fapp.py",
            "/static//etc/passwd",
            "/static/",
        ):
            assert stranger.get(path).status_code in (403, 404)


class TestForeignNames:
    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8780", "127.0.0.1", "127.0.0.1:80", "127.0.0.1.evil.example:8780", ""]
    )
    def test_a_name_that_an_attacker_points_here_is_refused(self, client: TestClient, host: str) -> None:
        assert client.get("/", headers={"host": host}).status_code == 421

    def test_other_headers_do_not_replace_the_host(self, client: TestClient) -> None:
        page = client.get("/audit", headers={"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"})
        assert "evil.example" not in page.text

    def test_localhost_is_this_host(self, client: TestClient) -> None:
        assert client.get("/audit", headers={"host": "localhost:8780"}).status_code == 200


class TestForeignPages:
    @pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
    def test_a_form_of_another_page_is_refused(self, client: TestClient, site: str) -> None:
        body = urlencode({"form_token": form_token(TOKEN), "reason": "x"})
        assert client.post("/actions/x", content=body, headers=OURS | {"sec-fetch-site": site}).status_code == 403

    @pytest.mark.parametrize("origin", [{}, {"origin": "null"}, {"origin": "http://127.0.0.1:3000"}])
    def test_a_browser_without_fetch_metadata_must_send_our_origin(
        self, client: TestClient, origin: dict[str, str]
    ) -> None:
        kind = {"content-type": OURS["content-type"]}
        assert client.post("/actions/x", content="", headers=kind | origin).status_code == 403

    def test_parts_are_not_loaded_by_another_site_and_links_are(self, client: TestClient) -> None:
        foreign = {"sec-fetch-site": "cross-site"}
        for mode in ("no-cors", "cors", "websocket"):
            assert client.get("/audit", headers=foreign | {"sec-fetch-mode": mode}).status_code == 403
        assert client.get("/audit", headers=foreign | {"sec-fetch-mode": "navigate"}).status_code == 200

    def test_json_and_files_are_no_forms(self, client: TestClient) -> None:
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x", ""):
            assert client.post("/actions/x", content="", headers=OURS | {"content-type": kind}).status_code == 415

    def test_a_large_body_is_refused_with_and_without_its_length(self, client: TestClient) -> None:
        large = b"a" * (MOST_BODY + 1)
        assert client.post("/actions/x", content=large, headers=OURS).status_code == 413
        assert client.post("/actions/x", content=b"", headers=OURS | {"content-length": "-1"}).status_code == 413

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "POST"])
    def test_pages_are_read_only(self, client: TestClient, method: str) -> None:
        assert client.request(method, "/audit", headers=OURS).status_code == 405


class TestHeaders:
    @pytest.mark.parametrize(
        ("path", "status"), [("/audit", 200), ("/none", 404), ("/static/dashboard.js", 200), ("/static/none.js", 404)]
    )
    def test_each_answer_has_the_policy(self, client: TestClient, path: str, status: int) -> None:
        answer = client.get(path)
        assert answer.status_code == status
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        assert "strict-transport-security" not in answer.headers  # http on this machine

    def test_refusals_have_it_too(self, stranger: TestClient) -> None:
        assert "content-security-policy" in stranger.get("/").headers


def test_a_bug_shows_nothing_of_the_program(settings: Settings) -> None:
    def broken(request: Request, dashboard: Dashboard) -> Response:
        raise ZeroDivisionError("a secret of the program")

    app = create_app(Dashboard(settings), TokenSignIn(PORT, TOKEN), [WebPage(path="/broken", handler=broken)], [])
    with TestClient(app, ADDRESS, raise_server_exceptions=False, cookies={COOKIE: TOKEN}) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert "An error of this program" in answer.text
    assert "ZeroDivision" not in answer.text
    assert "secret" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


class TestAzure:
    @pytest.mark.parametrize(
        ("groups", "status"), [((), 403), (("other",), 403), ((READERS,), 200), ((OPERATORS,), 200)]
    )
    def test_the_groups_of_the_principal_decide(self, azure: TestClient, groups: tuple[str, ...], status: int) -> None:
        assert azure.get("/audit", headers={"x-ms-client-principal": principal(*groups)}).status_code == status

    @pytest.mark.parametrize(
        "value",
        [
            *(None, "", "not base64!", base64.b64encode(b"[]").decode(), base64.b64encode(b"{").decode()),
            *(principal(OPERATORS, auth="github"), principal(OPERATORS, name=" ")),
        ],
    )
    def test_without_a_readable_principal_nothing_is_shown(self, azure: TestClient, value: str | None) -> None:
        headers = {} if value is None else {"x-ms-client-principal": value}
        refused = azure.get("/", headers=headers)
        assert refused.status_code == 403
        assert "<nav" not in refused.text

    def test_two_principals_are_refused(self, azure: TestClient) -> None:
        both = [("x-ms-client-principal", principal(READERS)), ("x-ms-client-principal", principal(OPERATORS))]
        assert azure.get("/audit", headers=both).status_code == 403

    def test_the_token_of_a_machine_counts_nothing(self, azure: TestClient) -> None:
        assert azure.get(f"/?token={TOKEN}", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 403

    def test_a_session_is_secure_and_only_a_page_makes_one(self, azure: TestClient) -> None:
        reader = {"x-ms-client-principal": principal(READERS)}
        part = azure.get("/audit", headers=reader | {"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"})
        assert "set-cookie" not in part.headers
        page = azure.get("/audit", headers=reader)
        assert page.headers["set-cookie"].startswith("__Host-quantx=")
        assert page.headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
        assert page.headers["strict-transport-security"] == "max-age=31536000"

    def test_locally_the_headers_of_azure_count_nothing(self, stranger: TestClient) -> None:
        forged = {"x-ms-client-principal": principal(OPERATORS), "x-ms-client-principal-name": "ann@example.net"}
        assert stranger.get("/audit", headers=forged).status_code == 403


@pytest.mark.parametrize(
    "address",
    [
        *("//evil.example", "https://evil.example", "javascript:alert(1)", "\\\\evil.example", "/\\evil.example", ""),
        *("/a\r\nset-cookie: x=1", "evil.example", "/\t/evil.example", "//[", "?x=1"),
    ],
)
def test_an_action_returns_to_this_host_only(address: str) -> None:
    assert return_address(address) == "/"
