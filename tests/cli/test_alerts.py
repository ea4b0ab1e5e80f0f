from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..alerts.servers import HttpReceiver, listening
from .conftest import Ran, runs_with

SECRET = "c4n4ry-S3cret"
Run = Callable[..., Ran]


@pytest.fixture
def run(
    migrated_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Runs a command of an installation of its own."""
    monkeypatch.chdir(tmp_path)
    settings = {
        "QUANTX_LAKE_URL": str(tmp_path / "lake"),
        "QUANTX_STATE_URL": migrated_database_url,
        "QUANTX_ALERTS_RULES": '{"disk": {"send": "never"}}',
        "QUANTX_LOG_LEVEL": "DEBUG",
    }
    return runs_with(settings, monkeypatch, capsys)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    """A webhook that the settings name."""
    made = HttpReceiver()
    with listening(made) as port:
        monkeypatch.setenv("QUANTX_ALERTS_WEBHOOK_URL", f"http://127.0.0.1:{port}/{SECRET}")
        monkeypatch.setenv("QUANTX_ALERTS_WEBHOOK_SECRET", SECRET)
        yield made


def fail_backup(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert run("backup", "create", tmp_path / "file" / "below").code != 0


def test_a_condition_that_begins_and_ends_is_sent_twice(run: Run, receiver: HttpReceiver, tmp_path: Path) -> None:
    assert run("status").code == 0  # makes the lake
    assert run("alerts", "send").out.splitlines()[1] == "sent 0 messages; 0 waiting"
    fail_backup(run, tmp_path)
    first = run("alerts", "send")
    assert (first.code, first.out.splitlines()[1:]) == (
        0,
        ["Backup failed: last backup", "sent 1 message; 0 waiting"],
    )
    assert run("alerts", "send").out.splitlines()[1:] == ["sent 0 messages; 0 waiting"]
    listed = json.loads(run("alerts", "list", "--json").out)
    assert [(a["rule"], a["present"], a["announced"]) for a in listed["alerts"]] == [("backup_failed", True, True)]
    assert [(d["channel"], d["state"]) for d in listed["deliveries"]] == [("webhook", "sent")]
    assert run("backup", "create", tmp_path / "backups").code == 0
    assert run("sweep").code == 0  # sends, too
    assert [request.json["transition"] for request in receiver.requests] == ["began", "resolved"]
    shown = run("alerts", "list")
    assert "alerts: none" in shown.out
    assert "backup_failed" in shown.out


def test_a_message_that_is_not_accepted_waits_and_no_output_has_the_address(
    run: Run, receiver: HttpReceiver, tmp_path: Path
) -> None:
    receiver.answers = [(500, {})]
    assert run("status").code == 0
    fail_backup(run, tmp_path)
    sent = run("alerts", "send", "--wait", 0)
    assert (sent.code, "1 waiting" in sent.out) == (1, True)
    tested = run("alerts", "test")
    assert (tested.code, tested.out) == (1, "webhook: it answers HTTP 500\n")
    shown = [sent, tested, run("alerts", "list"), run("alerts", "list", "--json"), run("config"), run("sweep")]
    assert "it answers HTTP 500" in shown[2].out
    assert SECRET not in "".join(ran.out + ran.err for ran in shown)


def test_a_test_needs_a_channel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run("alerts", "test")
    assert (missing.code, "no channel is configured" in missing.err) == (2, True)
    monkeypatch.setenv("QUANTX_ALERTS_SLACK_URL", f"ftp://{SECRET}")
    wrong = run("alerts", "test")
    assert (wrong.code, SECRET in wrong.err) == (2, False)
