"""Actions of operators: one service for all of them, with a reason, an audit row, and no second run of one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from quantx.dashboard.filters import number_of
from quantx.dashboard.sign_in import Refused, User, UserRole
from quantx.errors import ConfigError, QuantxError
from quantx.state.audit.port import Audit, AuditEntry

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

DONE = "did"  # the parameter of the address that shows the outcome of an action
_OWN = ("form_token", "request_id", "back", "reason")
_LONGEST_REASON = 2_000


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form that a user has sent: the values of the fields that its action declares, and the reason."""

    request_id: str
    reason: str
    actor: str
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """Return the only value of a field; ConfigError without one."""
        values = self.values.get(name, ())
        if len(values) != 1 or not values[0].strip():
            raise ConfigError(f"the form has no {name.replace('_', ' ')}; load the page again")
        return values[0].strip()

    def many(self, name: str) -> list[str]:
        """Return the values of a field, as of check boxes with one name; ConfigError where nothing is chosen."""
        values = [value.strip() for value in self.values.get(name, ()) if value.strip()]
        if not values:
            raise ConfigError(f"no {name.replace('_', ' ')} was chosen; choose at least one")
        return values

    def numbers(self, name: str) -> list[int]:
        """Return the values of a field as whole numbers; ConfigError as `many`, and for any other text."""
        found = [number_of(text) for text in self.many(name)]
        numbers = [number for number in found if number is not None]
        if len(numbers) < len(found):
            raise ConfigError(f"a {name.replace('_', ' ')} of the form is not a number; load the page again")
        return numbers


Run = Callable[["Platform", Form], str]


@dataclass(frozen=True, kw_only=True)
class Action:
    """What an operator can do on a page. `run` calls the service of the command, and returns the outcome as a sentence.

    A page module lists its actions in `ACTIONS`; a template shows the form with `action_form(name, values)` of
    `actions.html`. The form is sent to /actions/<name>.
    """

    name: str  # as in tasks.retry: the noun and the verb of the command
    label: str  # of the button, as in "Retry"
    run: Run
    fields: tuple[str, ...] = ()  # the fields that the form may have besides the reason
    role: UserRole = "operator"


def parse_form(body: bytes, action: Action, user: User, token: str) -> tuple[Form, str]:
    """Return the form in a body, and the address to which to return; raise Refused for one of another page or session.

    Raises ConfigError for a form without a reason, or with a field that the action does not declare.
    """
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=10_000, errors="strict")
    except ValueError:
        raise Refused("The form can't be read. Load the page again.", 400) from None
    values: dict[str, list[str]] = {}
    for name, text in pairs:
        values.setdefault(name, []).append(text)
    if any("\0" in text for texts in values.values() for text in texts):
        raise Refused("The form has a NUL character, which can't be recorded. Remove it.", 400)
    own = {name: values.pop(name, [""])[-1] for name in _OWN}
    if not compare_digest(own["form_token"].encode(), token.encode()):
        raise Refused("The form belongs to another session. Load the page again, and send it once more.")
    if action.role == "operator" and not user.may_act:
        raise Refused(f"{user.name} may read, but not act: that needs a group of the setting dashboard_operators.")
    if unknown := sorted(values.keys() - set(action.fields)):
        raise ConfigError(f"the form has an unknown field {unknown[0]!r}; load the page again")
    reason, request_id = own["reason"].strip(), own["request_id"]
    if not any(map(str.isalnum, reason)) or len(reason) > _LONGEST_REASON:
        raise ConfigError(f"give a reason of up to {_LONGEST_REASON:,} characters; it goes on record")
    if not is_request_id(request_id):
        raise ConfigError("the form has no request id; load the page again")
    return Form(request_id=request_id, reason=reason, actor=user.name, values=values), return_address(own["back"])


def is_request_id(text: str) -> bool:
    """Return whether a text may be the request id of a form."""
    return text.isascii() and text.isalnum() and 20 <= len(text) <= 40


def run_action(action: Action, form: Form, platform: Platform) -> None:
    """Run an action once, and record it with its outcome; a form that was sent before changes nothing.

    A QuantxError of the action is its outcome. Where the state stops answering, a StateError is raised, and the audit
    has the action as begun.
    """
    audit: Audit = platform.state.audit
    subject = "; ".join(f"{name.replace('_', ' ')} {', '.join(texts)}" for name, texts in form.values.items())
    entry = AuditEntry(
        request_id=form.request_id,
        actor=form.actor,
        place="dashboard",
        action=action.name,
        subject=subject[:_LONGEST_REASON],
        reason=form.reason,
        facts=form.values,
    )
    if not audit.begin(entry):
        return
    try:
        outcome = action.run(platform, form)
    except QuantxError as error:
        audit.end(form.request_id, "failed", str(error))
    else:
        audit.end(form.request_id, "done", outcome)


def return_address(text: str) -> str:
    """Return an address on this host as it is, and the overview for any other.

    >>> return_address("/tasks?state=failed"), return_address("//evil.example"), return_address("https://evil.example")
    ('/tasks?state=failed', '/', '/')
    """
    try:
        parts = urlsplit(text if text.isprintable() and "\\" not in text else "")
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith("//"):
        return "/"
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != DONE]
    return f"{parts.path}?{urlencode(query)}" if query else parts.path


def with_outcome(address: str, request_id: str) -> str:
    """Return an address that shows the outcome of an action."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({DONE: request_id})}"
