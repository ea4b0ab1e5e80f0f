"""The queue of an address, and the errors of a wrong one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from quantx.errors import ConfigError
from quantx.queues.open import open_queue
from quantx.queues.postgres import PostgresQueue
from quantx.settings import Settings
from quantx.state.database import Database

CANARY = "YzRuNHJ5"
KEY = f"AccountName=acc;AccountKey={CANARY}"
EMULATOR = f"AccountName=devstoreaccount1;AccountKey={CANARY};QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1"
AT_HOME = "https://acc.queue.core.windows.net"
NO_DATABASE: Any = None  # a queue in Azure needs none


def settings(url: str, connection: str | None = None, **more: Any) -> Settings:
    return Settings(queue_url=url, azure_storage_connection_string=connection, **more)


def test_by_default_the_queue_is_in_the_state_database(database: Database) -> None:
    assert isinstance(open_queue(Settings(), database), PostgresQueue)


FORMS = {
    "a URL and a key": (settings(f"{AT_HOME}/tasks", KEY), f"{AT_HOME}/tasks"),
    "a URL and the identity": (settings(f"{AT_HOME}/tasks/"), f"{AT_HOME}/tasks"),
    "a name and a key": (settings("az://tasks", KEY), f"{AT_HOME}/tasks"),
    "a bare name": (settings("quantx-tasks", KEY), f"{AT_HOME}/quantx-tasks"),
    "a name and an account": (settings("az://tasks", azure_storage_account="acc"), f"{AT_HOME}/tasks"),
    "the identity although there is a key": (
        settings("az://tasks", KEY, azure_storage_account="other", use_managed_identity=True),
        "https://other.queue.core.windows.net/tasks",
    ),
    "the emulator by its URL": (
        settings("http://127.0.0.1:10001/devstoreaccount1/tasks", EMULATOR),
        "http://127.0.0.1:10001/devstoreaccount1/tasks",
    ),
    "the emulator by its connection string": (
        settings("tasks", EMULATOR),
        "http://127.0.0.1:10001/devstoreaccount1/tasks",
    ),
    "the emulator and an identity": (
        settings("https://127.0.0.1:10001/devstoreaccount1/tasks"),
        "https://127.0.0.1:10001/devstoreaccount1/tasks",
    ),
    "a key and a host without https": (
        settings("tasks", f"{KEY};QueueEndpoint=queues.example.com"),
        "https://queues.example.com/tasks",
    ),
    "another cloud": (
        settings("tasks", f"{KEY};EndpointSuffix=core.chinacloudapi.cn"),
        "https://acc.queue.core.chinacloudapi.cn/tasks",
    ),
}


@pytest.mark.parametrize(("given", "address"), FORMS.values(), ids=FORMS)
def test_a_queue_in_azure_is_where_it_is_named(given: Settings, address: str) -> None:
    queue: Any = open_queue(given, NO_DATABASE)
    assert queue._url == address
    queue.close()


WRONG = {
    "no account": (settings("az://tasks"), r"none is named; set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACC"),
    "another kind": (settings("redis://host/tasks"), r"starts with redis://; use postgresql, az://<name>, or https://"),
    "a database": (settings("postgresql://host/tasks"), r"starts with postgresql://; use postgresql, az://"),
    "no queue": (settings(AT_HOME, KEY), r"names no queue of an account; use"),
    "an account of blobs": (settings("https://acc.blob.core.windows.net/tasks", KEY), r"names no queue of an account"),
    "a path too long": (settings(f"{AT_HOME}/a/b/c", KEY), r"names no queue of an account"),
    "capitals": (settings("az://Tasks", KEY), r"'Tasks'; Azure wants 3 to 56 lower-case letters"),
    "an underscore": (settings("my_tasks", KEY), r"'my_tasks'; Azure wants"),
    "two hyphens": (settings("my--tasks", KEY), r"Azure wants"),
    "a short name": (settings("az://ab", KEY), r"Azure wants"),
    "a name without room for -poison": (settings("a" * 57, KEY), r"Azure wants"),
    "the key of another account": (
        settings("https://other.queue.core.windows.net/tasks", KEY),
        r"of the account other, AZURE_STORAGE_CONNECTION_STRING of acc; name one account, or set USE_MANAGED_IDENTITY",
    ),
    "no encryption": (settings("http://acc.queue.core.windows.net/tasks", KEY), r"is not encrypted; use https://"),
    "a token without encryption": (
        settings("http://127.0.0.1:10001/devstoreaccount1/tasks"),
        r"only a key can be used, no identity; set AZURE_STORAGE_CONNECTION_STRING",
    ),
    "a signature": (settings(f"{AT_HOME}/tasks?sv=2024&sig={CANARY}"), r"signatures \(SAS\) are not used"),
    "a password": (settings(f"https://me:{CANARY}@acc.queue.core.windows.net/tasks"), r"more than an address"),
    "a part of a key": (settings("tasks", f"{KEY}x"), r"AccountKey that is not whole: copy it again"),
    "a connection string that is none": (settings("tasks", CANARY), r"must have the form AccountName=…;AccountKey=…"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_address_is_refused_with_the_next_step(given: Settings, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        open_queue(given, NO_DATABASE)
    assert CANARY not in str(refusal.value)


def test_without_azure_its_library_is_not_imported() -> None:
    code = "import sys, quantx.queues.open, quantx.pipeline.runtime.platform; print('azure' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
