"""Channels against real servers: what arrives, what a failure is called, and that no secret leaves in an error."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantx.alerts.channels.channel import Channel, NotDelivered, PartlyDelivered
from quantx.alerts.channels.mail import Mail
from quantx.alerts.channels.open import open_channels
from quantx.alerts.channels.slack import Slack
from quantx.alerts.channels.teams import Teams
from quantx.alerts.channels.webhook import Webhook
from quantx.core.alerts import AlertMessage
from quantx.settings import load_settings

from .servers import HttpReceiver, SmtpReceiver, certificate, listening

SECRET = "c4n4ry-S3cret"
HOSTILE = "<!channel> *bold* <http://evil|x> [click](http://evil) \u202e\nBcc: a@b"
MESSAGE = AlertMessage(
    id="01HNB5R3GZ4Y6J8K2M0P9Q7S1T",
    topic="finding/close_jump",
    transition="began",
    severity="error",
    title=f"Finding: close_jump, {HOSTILE}",
    lines=("AAPL: 150 then 15", HOSTILE, "x" * 10_000),
    made_at=datetime(2024, 2, 1, 6, tzinfo=UTC),
)


def webhook(url: str) -> Webhook:
    secret = SecretStr("signing key")
    return Webhook(
        url=SecretStr(url), secret=secret, installation="lab", link="https://d", clock=lambda: 1_706_767_200.9
    )


def slack(url: str) -> Slack:
    return Slack(url=SecretStr(url), installation="lab")


def teams(url: str) -> Teams:
    return Teams(url=SecretStr(url), installation="lab", link="https://d")


def refusal(channel: Channel) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        channel.send(MESSAGE)
    error: BaseException | None = caught.value
    while error is not None:  # nor may the log of a traceback have it
        assert SECRET not in str(error)
        error = error.__cause__ or error.__context__
    return caught.value


class TestHttp:
    def test_a_webhook_gets_signed_json(self) -> None:
        receiver = HttpReceiver()
        with listening(receiver) as port:
            webhook(f"http://127.0.0.1:{port}/alerts?key={SECRET}").send(MESSAGE)
        (request,) = receiver.requests
        signed = b"1706767200." + request.body
        digest = hmac.new(b"signing key", signed, hashlib.sha256).hexdigest()
        assert request.headers["x-quantx-signature"] == f"sha256={digest}"
        assert request.headers["x-quantx-timestamp"] == "1706767200"
        assert request.headers["x-quantx-id"] == request.json["id"] == MESSAGE.id
        assert (request.json["transition"], request.json["severity"]) == ("began", "error")
        assert request.json["topic"] == "finding/close_jump"
        assert [len(line) for line in request.json["lines"]][2] == 400

    def test_slack_gets_plain_texts_within_its_limits(self) -> None:
        receiver = HttpReceiver()
        with listening(receiver) as port:
            slack(f"http://127.0.0.1:{port}/services/{SECRET}").send(MESSAGE)
        document = receiver.requests[0].json
        assert "<!channel>" not in document["text"]
        header, section, _ = document["blocks"]
        assert {part["text"]["type"] for part in (header, section)} == {"plain_text"}
        assert len(header["text"]["text"]) <= 150
        assert len(section["text"]["text"]) <= 3000
        assert "\u202e" not in header["text"]["text"] + section["text"]["text"]

    def test_slack_gets_the_last_line_of_a_long_message(self) -> None:
        receiver = HttpReceiver()
        with listening(receiver) as port:
            lines = (*("x" * 1000,) * 22, "Next: read this.")
            slack(f"http://127.0.0.1:{port}/").send(replace(MESSAGE, lines=lines))
        text = receiver.requests[0].json["blocks"][1]["text"]["text"]
        assert text.endswith("• Next: read this.")
        assert len(text) <= 3000

    def test_teams_gets_a_card_whose_texts_are_no_markdown(self) -> None:
        receiver = HttpReceiver(answers=[(202, {})])
        with listening(receiver) as port:
            teams(f"http://127.0.0.1:{port}/workflows/{SECRET}").send(MESSAGE)
        (attachment,) = receiver.requests[0].json["attachments"]
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card = attachment["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
        assert card["actions"][0]["url"] == "https://d"

    def test_the_longest_digest_fits_into_a_request_to_teams(self) -> None:
        receiver = HttpReceiver(answers=[(202, {})])
        with listening(receiver) as port:
            lines = ("\U0001f534" * 10_000,) * 23
            teams(f"http://127.0.0.1:{port}/").send(replace(MESSAGE, title=lines[0], lines=lines))
        assert len(receiver.requests[0].body) < 28_000

    @pytest.mark.parametrize(
        ("status", "headers", "fact", "wait", "rejected"),
        [
            (429, {"Retry-After": "7"}, "HTTP 429", 7.0, False),
            (429, {}, "HTTP 429", None, False),
            (500, {"Retry-After": "7"}, "HTTP 500", None, False),
            (503, {"Retry-After": "9"}, "HTTP 503", 9.0, False),
            (404, {}, "HTTP 404", None, False),
            (400, {}, "HTTP 400", None, True),
            (302, {"Location": "http://127.0.0.1:1/"}, "HTTP 302", None, False),
            (0, {}, "its reply", None, False),
        ],
    )
    def test_what_is_not_accepted_has_a_fact_and_a_time(
        self, status: int, headers: dict[str, str], fact: str, wait: float | None, rejected: bool
    ) -> None:
        receiver = HttpReceiver(answers=[(status, headers)])
        with listening(receiver) as port:
            error = refusal(slack(f"http://127.0.0.1:{port}/services/{SECRET}"))
        assert fact in str(error)
        assert (error.retry_after, error.rejected) == (wait, rejected)
        assert len(receiver.requests) == 1

    def test_no_server_is_a_fact(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert str(refusal(slack(f"http://127.0.0.1:{port}/{SECRET}"))) == "no connection"

    def test_an_address_that_no_server_can_have_is_a_fact(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for host in ("a..b", "a" * 70 + ".example", "xn--a"):
            assert "not valid" in str(refusal(slack(f"http://{host}/{SECRET}")))
        monkeypatch.setenv("HTTP_PROXY", f"ftp://{SECRET}@127.0.0.1:1")
        assert "proxy" in str(refusal(slack(f"http://127.0.0.1:9/{SECRET}")))

    def test_a_certificate_that_is_not_trusted_is_a_fact(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        trusted, context = certificate(tmp_path)
        receiver = HttpReceiver(tls=context)
        with listening(receiver) as port:
            channel = slack(f"https://127.0.0.1:{port}/{SECRET}")
            assert "certificate" in str(refusal(channel))
            assert receiver.requests == []
            monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
            channel.send(MESSAGE)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("scheme", ["https", "smtp"])
def test_a_host_that_can_not_be_is_no_crash(scheme: str) -> None:
    url = SecretStr(f"{scheme}://ho..st/{SECRET}")
    mail = Mail(url=url, sender="q@firm", recipients=("a@firm",), installation="lab")
    channel = mail if scheme == "smtp" else Slack(url=url, installation="lab")
    assert "not" in str(refusal(channel))


class TestMail:
    @pytest.fixture
    def tls(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
        trusted, context = certificate(tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        return context

    def mail(self, port: int, scheme: str = "smtp", login: bool = True) -> Mail:
        user = f"me%40firm:{SECRET}%2F@" if login else ""
        url = SecretStr(f"{scheme}://{user}127.0.0.1:{port}")
        return Mail(url=url, sender="q@firm", recipients=("a@firm", "b@firm"), installation="lab")

    @pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "smtps"])
    def test_the_password_and_the_mail_are_encrypted(self, tls: ssl.SSLContext, implicit: bool) -> None:
        server = SmtpReceiver(tls=tls, implicit=implicit, user=("me@firm", f"{SECRET}/"))
        with listening(server) as port:
            self.mail(port, "smtps" if implicit else "smtp").send(MESSAGE)
        sent = email.message_from_string(server.mails[0], policy=email.policy.default)
        assert server.recipients == ["<a@firm>", "<b@firm>"]
        assert sent["Message-ID"] == f"<{MESSAGE.id}@quantx.alerts>"
        assert sent["Subject"].startswith("[lab] Finding: close_jump, <!channel>")
        assert sent["Bcc"] is None
        assert "AAPL: 150 then 15" in sent.get_content()
        secure = dict(zip(server.commands, server.encrypted, strict=True))
        assert secure["AUTH"]
        assert secure["MAIL"]

    def test_no_password_is_sent_in_clear_text(self) -> None:
        server = SmtpReceiver(user=("me@firm", f"{SECRET}/"))
        with listening(server) as port:
            assert "no STARTTLS" in str(refusal(self.mail(port)))
        assert "AUTH" not in server.commands

    def test_a_server_without_a_login_gets_the_mail(self) -> None:
        server = SmtpReceiver()
        with listening(server) as port:
            self.mail(port, login=False).send(MESSAGE)
        assert len(server.mails) == 1

    def test_a_password_that_smtp_does_not_take_is_no_crash(self, tls: ssl.SSLContext) -> None:
        with listening(SmtpReceiver(tls=tls, user=("me", "x"))) as port:
            mail = replace(self.mail(port), url=SecretStr(f"smtp://me:{SECRET}%C3%BC@127.0.0.1:{port}"))
            failure = refusal(mail)
        assert "other than ASCII" in str(failure)
        assert failure.__context__ is None  # the caught error has the password

    def test_an_untrusted_certificate_gets_no_password(self, tmp_path: Path) -> None:
        _, context = certificate(tmp_path)
        server = SmtpReceiver(tls=context, user=("me@firm", f"{SECRET}/"))
        with listening(server) as port:
            assert "certificate" in str(refusal(self.mail(port)))
        assert "AUTH" not in server.commands

    @pytest.mark.parametrize(
        ("refuse", "fact", "rejected"),
        [
            ({"AUTH": "535 5.7.8"}, "it refuses user and password: SMTP 535", False),
            ({"RCPT": "550 5.1.1"}, "it refuses the recipients: SMTP 550", True),
            ({"RCPT": "451 4.7.1"}, "it refuses the recipients: SMTP 451", False),
            ({"DATA": "554 5.7.1"}, "it answers SMTP 554", True),
            ({"MAIL": "421 4.3.2"}, "it answers SMTP 421", False),
        ],
    )
    def test_a_refusal_has_its_code(
        self, tls: ssl.SSLContext, refuse: dict[str, str], fact: str, rejected: bool
    ) -> None:
        server = SmtpReceiver(tls=tls, user=("me@firm", f"{SECRET}/"), refuse=refuse)
        with listening(server) as port:
            error = refusal(self.mail(port))
        assert (str(error), error.rejected) == (fact, rejected)

    def test_a_recipient_that_is_refused_is_named_by_number_and_the_others_get_the_mail(self) -> None:
        class OneRefused(SmtpReceiver):
            def _reply(self, verb: str, line: str, secure: bool) -> bytes:
                return b"550 5.1.1 no b@firm\r\n" if "b@firm" in line else super()._reply(verb, line, secure)

        server = OneRefused()
        with listening(server) as port, pytest.raises(PartlyDelivered) as caught:
            self.mail(port, login=False).send(MESSAGE)
        assert str(caught.value) == "it refuses 1 of 2 recipients: SMTP 550; the others have the message"
        assert len(server.mails) == 1

    def test_letters_that_a_login_or_a_server_does_not_take_are_a_fact(self, tls: ssl.SSLContext) -> None:
        server = SmtpReceiver(tls=tls, user=("me@firm", f"{SECRET}/"))
        with listening(server) as port:
            mail = self.mail(port)
            login = replace(mail, url=SecretStr(f"smtp://me:{SECRET}%C3%A4@127.0.0.1:{port}"))
            assert "use ASCII" in str(refusal(login))
            assert "not ASCII" in str(refusal(replace(mail, recipients=("jörg@firm",))))
        assert "use ASCII" in str(refusal(replace(mail, url=SecretStr(f"smtp://{'a' * 70}.example"))))

    def test_no_server_is_a_fact(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert str(refusal(self.mail(port))) == "no connection"


def test_the_settings_open_their_channels_and_show_no_secret() -> None:
    settings = load_settings(
        alerts_webhook_url=f"https://x/{SECRET}",
        alerts_webhook_secret=SECRET,
        alerts_slack_url=f"https://x/{SECRET}",
        alerts_teams_url=f"https://x/{SECRET}",
        alerts_smtp_url=f"smtp://a:{SECRET}@x",
        alerts_email_from="a@b",
        alerts_email_to="c@d, e@f",
    )
    channels = open_channels(settings)
    assert list(channels) == list(settings.alert_channels()) == ["webhook", "slack", "teams", "email"]
    assert SECRET not in repr(settings) + str(settings.redacted()) + repr(channels)
    assert (channels["slack"].gap, channels["email"].recipients) == (1.0, ("c@d", "e@f"))  # type: ignore[attr-defined]
