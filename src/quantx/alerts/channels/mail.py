"""E-mail over SMTP, encrypted: STARTTLS before a login (smtp://), or TLS from the start (smtps://)."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from typing_extensions import override

from quantx.alerts.channels.channel import Channel, NotDelivered, PartlyDelivered
from quantx.alerts.channels.texts import plain
from quantx.core.alerts import AlertMessage
from quantx.core.foreign_errors import network_fact

_TIMEOUT = 10.0  # seconds for each answer
_NO_SMTP = "its reply breaks the SMTP protocol"
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, kw_only=True)
class Mail(Channel):
    """Sends plain text. A server that offers no STARTTLS gets a message, but never a password."""

    url: SecretStr
    sender: str
    recipients: tuple[str, ...]
    installation: str
    link: str | None = None
    name: str = "email"
    gap: float = 0.0

    @override
    def send(self, message: AlertMessage) -> None:
        failure: NotDelivered | None = None
        refused: Mapping[str, tuple[int, bytes]] = {}
        try:
            refused = self._send(message)
        except NotDelivered as error:
            failure = error
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            failure = NotDelivered(f"it refuses the recipients: SMTP {codes[0]}", rejected=codes[0] >= 500)
        except smtplib.SMTPAuthenticationError as error:
            failure = NotDelivered(f"it refuses user and password: SMTP {error.smtp_code}")
        except smtplib.SMTPResponseException as error:
            answer = f"it answers SMTP {error.smtp_code}" if error.smtp_code > 0 else _NO_SMTP
            failure = NotDelivered(answer, rejected=error.smtp_code in (552, 554))
        except smtplib.SMTPNotSupportedError:
            failure = NotDelivered("it takes no addresses with letters that are not ASCII, or offers no login")
        except smtplib.SMTPServerDisconnected:
            failure = NotDelivered("the connection was lost while it replied")
        except smtplib.SMTPException:
            failure = NotDelivered(_NO_SMTP)
        except OSError as error:
            failure = NotDelivered(network_fact(error))
        except ValueError:  # a host name that no name server can have, or letters that a login can't have
            failure = NotDelivered(
                "its host is not valid, or user or password has characters other than ASCII; use ASCII"
            )
        if failure is not None:  # raised here and not above: the caught error may contain the address
            raise failure
        if refused:
            some = f"{len(refused)} of {len(self.recipients)} recipients"
            answers = ", ".join(map(str, sorted({code for code, _ in refused.values()})))
            raise PartlyDelivered(f"it refuses {some}: SMTP {answers}; the others have the message")

    def _send(self, message: AlertMessage) -> Mapping[str, tuple[int, bytes]]:
        """Send a message; return the recipients that the server refused, with its answers."""
        parts = urlsplit(self.url.get_secret_value())
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        context = ssl.create_default_context()
        if parts.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=_TIMEOUT)
        try:
            server.ehlo_or_helo_if_needed()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif parts.scheme == "smtp" and parts.username:
                raise NotDelivered("it offers no STARTTLS, and a password is not sent in clear text; use smtps://")
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            return server.send_message(self._document(message), self.sender, list(self.recipients))
        finally:
            with suppress(smtplib.SMTPException, OSError):
                server.quit()

    def _document(self, message: AlertMessage) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = plain(f"[{self.installation}] {message.title}", 150)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = format_datetime(message.made_at)
        mail["Message-ID"] = f"<{message.id}@quantx.alerts>"  # of a repetition, the same
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-QuantX-Severity"] = message.severity
        lines = [plain(message.title), "", *(f"- {plain(line)}" for line in message.lines), ""]
        lines += [self.link] if self.link else []
        lines.append(f"{plain(self.installation)}, {message.made_at:%Y-%m-%d %H:%M} UTC, message {message.id}")
        mail.set_content("\n".join(lines) + "\n")
        return mail
