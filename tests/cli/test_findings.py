from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from tests.cli.conftest import Ran

from quantx.core.model import Finding
from quantx.state.audit.login import login_name
from quantx.state.postgres import open_state

Run = Callable[..., Ran]


@pytest.fixture
def noted(environment: dict[str, str]) -> Iterator[int]:
    """The id of an open finding about the market jp."""
    state = open_state(environment["QUANTX_STATE_URL"])
    try:
        state.findings.note([Finding("no_run", "error", "jp", "no run for 2016-12-29 by its deadline")])
        yield int(state.findings.listed(1, rule="no_run")[0]["id"])
    finally:
        state.close()


def test_a_finding_is_listed_acknowledged_and_then_not_open(quantx: Run, noted: int) -> None:
    shown = json.loads(quantx("findings", "list", "--status", "open", "--json").out)
    assert [(row["id"], row["subject"]) for row in shown] == [(noted, "jp")]
    assert json.loads(quantx("status", "--json").out)["findings"] == {"error": 1}
    assert json.loads(quantx("findings", "list", "--most", "1", "--json").out) == shown  # the earlier name of --limit
    settled = quantx("findings", "acknowledge", noted, "--by", "ops", "--reason", "the job was paused")
    assert (settled.code, str(noted) in settled.out) == (0, True)
    assert json.loads(quantx("status", "--json").out)["findings"] == {}
    (row,) = json.loads(quantx("findings", "list", "--rule", "no_run", "--json").out)
    assert (row["status"], row["settled_by"], row["reason"]) == ("acknowledged", "ops", "the job was paused")


def test_a_decision_by_a_command_is_in_the_audit(quantx: Run, environment: dict[str, str]) -> None:
    with closing(open_state(environment["QUANTX_STATE_URL"])) as state:
        state.findings.note([Finding("gap", "warn", "AAA", "a session is missing")])
        number = state.findings.listed(1, rule="gap")[0]["id"]
        quantx("findings", "acknowledge", number, "--by", "ops", "--reason", "a halt")
        quantx("findings", "acknowledge", number, "--by", "ann", "--reason", "again")
        again, first = state.audit.listed(2)
    assert (first["place"], first["action"], first["actor"]) == ("command", "findings.acknowledge", "ops")
    assert (first["subject"], first["reason"], first["outcome"]) == (f"finding {number}", "a halt", "done")
    assert (again["actor"], again["outcome"]) == ("ann", "failed")
    assert again["message"].startswith(f"no finding {number}")


@pytest.mark.parametrize(("group", "largest"), [("findings", 100_000), ("quarantine", 1_000_000), ("tasks", 100_000)])
def test_the_earlier_name_of_the_limit_has_its_bounds(quantx: Run, group: str, largest: int) -> None:
    codes = [quantx(group, "list", "--most", most, "--json").code for most in (0, 1, largest, largest + 1)]
    assert codes == [2, 0, 0, 2]


@pytest.mark.parametrize("arguments", [("999999", "--reason", "none"), ("1", "--reason", " ")])
def test_what_is_not_there_or_has_no_reason_is_refused(quantx: Run, arguments: tuple[str, ...]) -> None:
    ran = quantx("findings", "acknowledge", *arguments)
    assert (ran.code, ran.err.startswith("error:")) == (2, True)


def test_a_user_without_a_name_acts_as_local(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # as in a container
    assert login_name() == "local"
