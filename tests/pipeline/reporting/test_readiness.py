"""The readiness of an installation: each part broken in turn, and nothing created by the check."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from azure.storage.queue import QueueServiceClient

from quantx.cli import main
from quantx.lake.store import open_location
from quantx.pipeline.reporting.readiness import PartState, check_readiness, is_ready, readiness_facts
from quantx.pipeline.runtime.lake_ids import LAKE_ID
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.settings import Settings, load_settings
from quantx.state.postgres import open_state

from ...azurite import Azurite

CLOSED = "127.0.0.1:1"  # nothing listens there, as where a server is stopped


def queues_of(azurite: Azurite) -> QueueServiceClient:
    return QueueServiceClient.from_connection_string(azurite.connection_string)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def installation(azurite: Azurite, migrated_database_url: str) -> dict[str, Any]:
    """Settings of an installation with a container, a queue and a state that belong together."""
    name = azurite.new_container()
    with azurite.blobs() as blobs:
        blobs.create_container(f"{name}-other")
    settings = {
        "lake_url": f"az://{name}/lake",
        "queue_url": f"az://{name}",
        "state_url": migrated_database_url,
        "azure_storage_connection_string": azurite.connection_string,
    }
    opened = load_settings(**settings)
    with queues_of(azurite) as queues:
        queues.create_queue(name)
        queues.create_queue(f"{name}-poison")
    state = open_state(migrated_database_url)
    confirm_lake(open_location(opened.lake_url, opened), state)
    state.close()
    return settings


def states(parts: dict[str, PartState]) -> dict[str, str]:
    return {name: part["state"] for name, part in readiness_facts(parts, with_reasons=False)["parts"].items()}


def test_all_parts_are_ready(installation: dict[str, Any]) -> None:
    parts = check_readiness(load_settings(**installation))
    assert is_ready(parts)
    assert states(parts) == {"database": "ok", "queue": "ok", "lake": "ok"}
    assert parts["database"].facts["lake_id"] == parts["lake"].facts["lake_id"]
    assert parts["queue"].facts == {"messages": 0, "poisoned": 0}


def moved(installation: dict[str, Any], kinds: str, address: str) -> dict[str, Any]:
    """Return the account with its blobs or queues at another address."""
    account = installation["azure_storage_connection_string"]
    changed = re.sub(rf"({kinds})Endpoint=http://[^/]*", rf"\1Endpoint=http://{address}", account)
    return {"azure_storage_connection_string": changed}


BROKEN = {
    "a stopped server": ("database", "failed", "refused"),
    "a wrong database": ("database", "failed", "database"),
    "a wrong queue": ("queue", "failed", "no queue of that name"),
    "an unreachable queue": ("queue", "failed", "check the address"),
    "a wrong container": ("lake", "failed", "no container"),
    "another lake": ("lake", "failed", "not the lake that the state has recorded"),
}


def broken(case: str, installation: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that differ."""
    return {
        "a stopped server": {"state_url": f"postgresql://ops:secret@{CLOSED}/quantx"},
        "a wrong database": {"state_url": re.sub(r"/test_\w+", "/no_such_database", installation["state_url"])},
        "a wrong queue": {"queue_url": "az://no-such-queue"},
        "an unreachable queue": moved(installation, "Queue", CLOSED),
        "a wrong container": {"lake_url": "az://no-such-container/lake"},
        "another lake": {"lake_url": installation["lake_url"].replace("/lake", "-other/lake")},
    }[case]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_part_is_named_and_the_others_are_ready(
    installation: dict[str, Any], azurite: Azurite, case: str
) -> None:
    settings: Settings = load_settings(**installation | broken(case, installation))
    part, state, reason = BROKEN[case]
    parts = check_readiness(settings, limit=60)
    assert states(parts) == {"database": "ok", "queue": "ok", "lake": "ok"} | {part: state}
    assert reason in str(parts[part].error)
    shown = str(readiness_facts(parts, with_reasons=False))
    for secret in ("secret", CLOSED, "no-such", installation["state_url"]):
        assert secret not in shown
    with queues_of(azurite) as queues, azurite.blobs() as blobs:
        assert "no-such-queue" not in [queue.name for queue in queues.list_queues()]
        assert "no-such-container" not in [container.name for container in blobs.list_containers()]


def test_parts_that_do_not_answer_are_not_waited_for(installation: dict[str, Any], silent: str) -> None:
    slow = {"state_url": f"postgresql://ops:secret@{silent}/quantx"} | moved(installation, "Blob|Queue", silent)
    parts = check_readiness(load_settings(**installation | slow), limit=0.3)
    assert states(parts) == dict.fromkeys(("database", "queue", "lake"), "no answer")
    assert {str(part.error) for part in parts.values()} == {"no answer within 0.3 seconds"}


def test_the_command_reports_each_part_and_ends_with_1_where_one_is_not_ready(
    migrated_database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", migrated_database_url)
    monkeypatch.setenv("QUANTX_LAKE_URL", (tmp_path / "lake").as_uri())
    assert main(["ready"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("database ok in ")
    assert second.startswith("lake failed in ")
    assert "there is no lake in" in second
    (tmp_path / "lake").mkdir()
    assert main(["ready"]) == 0
    assert not (tmp_path / "lake" / LAKE_ID).exists()
