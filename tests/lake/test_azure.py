"""A lake in Azure, with an account key and with the managed identity: objects, tables, containers, and tokens.

Azurite is as it comes, but for the tests of the way in which the real service is used: it needs a listing that Azurite
does not have.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from azure.storage.blob import ContainerClient

from quantx.core.tables import BARS_1D
from quantx.errors import ConfigError, DamagedObject, LakeError
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import CommitContext, LakeTable
from quantx.queues.open import open_queue
from quantx.reader.lake import lake_of
from quantx.settings import Settings, load_settings

from ..azurite import ACCOUNT, KEY, Azurite, FakeIdentity, SecureAzurite, start_secure, why_missing

NOT_USED: Any = None  # the state's database, where the queue lies in Azure


def bar(day: int, close: float = 100.0) -> pl.DataFrame:
    row = {"source": "yahoo", "year": 2024, "symbol": "AAPL", "date": date(2024, 1, day), "volume": 1}
    row |= dict.fromkeys(("open", "high", "low", "close"), close)
    row |= {"currency": "USD", "raw": "01HKZ", "known_from": datetime(2024, 2, 1, tzinfo=UTC)}
    return pl.DataFrame([row], schema=dict(BARS_1D.schema))


def a_name() -> str:
    return f"c{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def azurite_like_azure(server_folder: Callable[[], Path]) -> Iterator[SecureAzurite]:
    if missing := why_missing():
        pytest.skip(missing)
    secure = start_secure(server_folder(), start_from=True)
    yield secure
    secure.azurite.stop(kill=True)
    secure.identity.stop()


@pytest.fixture
def with_key(azurite: Azurite) -> Settings:
    return load_settings(azure_storage_connection_string=azurite.connection_string)


@pytest.fixture
def with_identity(azurite_https: SecureAzurite, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return sign_in(azurite_https, monkeypatch)


@pytest.fixture
def as_in_azure(azurite_like_azure: SecureAzurite, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The managed identity, and nothing that tells this Azurite from the real service."""
    monkeypatch.setattr("quantx.lake.azure._LOOPBACK", ())
    return sign_in(azurite_like_azure, monkeypatch)


def sign_in(secure: SecureAzurite, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in secure.environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture(params=["with_key", "with_identity", "as_in_azure"])
def settings(request: pytest.FixtureRequest) -> Settings:
    given: Settings = request.getfixturevalue(request.param)
    return given


@pytest.fixture
def location(settings: Settings) -> LakeLocation:
    return open_location(f"az://{a_name()}/some/prefix", settings)


def test_objects_and_tables_come_back_as_they_were_written(location: LakeLocation) -> None:
    location.put_new("raw/a.parquet", b"reply")
    assert (location.get("raw/a.parquet"), location.has("raw/a.parquet")) == (b"reply", True)
    assert not location.has("raw/b.parquet")
    writer = LakeTable(location, BARS_1D)
    for number in range(1, 7):
        assert writer.commit(CommitContext(number), bar(number + 1))
    assert not writer.commit(CommitContext(6), bar(9))  # the round was committed before
    writer.commit(CommitContext(7), BARS_1D.empty(), changed=bar(3, close=101.0))
    reader = LakeTable(location, BARS_1D)
    closes = [100.0, 101.0, 100.0, 100.0, 100.0, 100.0]
    assert reader.read().sort("date")["close"].to_list() == closes
    assert reader.version() == writer.version() == 7
    anybody = pl.scan_delta(reader.url, storage_options=location.delta_options)
    assert anybody.sort("date").collect()["close"].to_list() == closes
    assert writer.fold(CommitContext(8), most_files=1) == 1
    assert reader.read().height == 6


@pytest.mark.parametrize("way", ["with_identity", "as_in_azure"])
def test_no_place_holds_a_token(way: str, request: pytest.FixtureRequest) -> None:
    location = open_location(f"az://{a_name()}", request.getfixturevalue(way))
    assert not any("token" in name for name in location.options)
    assert location.delta_options["azure_storage_token"].count(".") == 2
    assert location.delta_options["azure_storage_token"] not in repr(location)


@pytest.mark.parametrize("way", ["with_identity", "as_in_azure"])
def test_what_was_opened_outlives_its_token(way: str, request: pytest.FixtureRequest) -> None:
    settings: Settings = request.getfixturevalue(way)
    secure: SecureAzurite = request.getfixturevalue("azurite_https" if way == "with_identity" else "azurite_like_azure")
    secure.identity.lifetime = 3.0
    try:
        location = open_location(f"az://{a_name()}/lake", settings)
        table, bystander = LakeTable(location, BARS_1D), LakeTable(location, BARS_1D)
        table.commit(CommitContext(1), bar(2))
        assert bystander.version() == 1
        old = location.delta_options
        queue = open_queue(load_settings(queue_url=f"{secure.azurite.queue_endpoint}/{a_name()}"), NOT_USED)
        queue.send(["before"])
        time.sleep(5)
        with pytest.raises(Exception, match=r"AuthenticationFailed|Lifetime validation"):
            pl.scan_delta(table.url, storage_options=old).collect()  # the token has ended indeed
        assert bystander.read().height == 1
        location.put_new("raw/a.parquet", b"reply")
        assert location.get("raw/a.parquet") == b"reply"
        assert table.commit(CommitContext(2), bar(3))
        assert bystander.version() == 2
        assert table.fold(CommitContext(3), most_files=1) == 1
        assert bystander.read().height == 2
        queue.send(["after"])
        assert sorted(message.body for message in queue.receive(32, 30)) == ["after", "before"]
        queue.close()
    finally:
        secure.identity.lifetime = 3600.0


def test_an_account_that_takes_no_key(
    server_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if missing := why_missing():
        pytest.skip(missing)
    secure = start_secure(server_folder(), keyless=True)
    try:
        by_identity = sign_in(secure, monkeypatch)
        end = f"BlobEndpoint={secure.azurite.blob_endpoint}"
        by_key = load_settings(
            azure_storage_connection_string=f"AccountName={ACCOUNT};AccountKey={KEY};{end}", use_managed_identity=False
        )
        url = f"az://{a_name()}/lake"
        with pytest.raises(LakeError, match="InvalidAuthenticationInfo"):
            open_location(url, by_key)
        location = open_location(url, by_identity)  # makes the container, too
        assert LakeTable(location, BARS_1D).commit(CommitContext(1), bar(2))
        assert LakeTable(location, BARS_1D).read().height == 1
    finally:
        secure.azurite.stop(kill=True)
        secure.identity.stop()


def test_who_comes_with_a_key_to_an_account_without_is_told_the_way() -> None:
    message = r"\(KeyBasedAuthenticationNotPermitted\); the account accepts no keys: set USE_MANAGED_IDENTITY=true"
    with Service((403, "KeyBasedAuthenticationNotPermitted")) as settings, pytest.raises(LakeError, match=message):
        open_location("az://box", settings)


def test_of_several_identities_the_named_one_signs_in(
    azurite_https: SecureAzurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "c0ffee00-0000-0000-0000-000000000001")
    settings, identity = sign_in(azurite_https, monkeypatch), azurite_https.identity
    identity.clients.clear()
    location = open_location(f"az://{a_name()}", settings)
    LakeTable(location, BARS_1D).commit(CommitContext(1), bar(2))
    open_queue(load_settings(queue_url=f"{azurite_https.azurite.queue_endpoint}/{a_name()}"), NOT_USED).send(["a"])
    assert identity.clients == {"c0ffee00-0000-0000-0000-000000000001"}


def test_a_missing_container_is_made_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ContainerClient] = []
    create = ContainerClient.create_container
    monkeypatch.setattr(ContainerClient, "create_container", lambda client: (asked.append(client), create(client))[1])
    url = f"az://{a_name()}"
    open_location(url, settings).put_new("a", b"1")
    assert open_location(url, settings).get("a") == b"1"  # who may not make any can work with the one that is there
    assert open_location(f"{url}/prefix", settings, create=False).has("a") is False
    assert len(asked) == 1


def test_of_many_who_find_no_container_each_gets_it(settings: Settings) -> None:
    url = f"az://{a_name()}"
    with ThreadPoolExecutor(6) as pool:
        for number, location in enumerate(pool.map(lambda _: open_location(url, settings), range(6))):
            location.put_new(str(number), b"1")
    assert all(open_location(url, settings, create=False).has(str(number)) for number in range(6))


def test_a_reader_makes_no_container(with_key: Settings, azurite: Azurite) -> None:
    name = a_name()
    with pytest.raises(ConfigError, match=f"there is no lake in az://{name}/a: the account .* has no container {name}"):
        open_location(f"az://{name}/a", with_key, create=False)
    with azurite.blobs() as service:
        assert not list(service.list_containers(name))


def test_a_prefix_without_a_lake_is_no_lake(with_key: Settings) -> None:
    url = f"az://{a_name()}/a/lake"
    location = open_location(url, with_key)
    with pytest.raises(ConfigError, match=f"there is no lake in {url}; `quantx backfill` creates one there"):
        lake_of(with_key.model_copy(update={"lake_url": url}))
    location.put("meta/lake_id", b"1")
    assert location.folders() == ["meta"]
    assert "no tables yet" in repr(lake_of(with_key.model_copy(update={"lake_url": url})))


def test_that_the_container_is_gone_is_not_the_loss_of_an_object(with_key: Settings, azurite: Azurite) -> None:
    name = a_name()
    location = open_location(f"az://{name}", with_key)
    with pytest.raises(DamagedObject, match=f"cannot read az://{name}/a: it is missing"):
        location.get("a")
    with azurite.blobs() as service:
        service.delete_container(name)
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: location.get("a"),
        "read ": lambda: location.has("a"),
        "write": lambda: location.put("a", b"1"),
        "write ": lambda: location.put_new("a", b"1"),
    }
    for verb, call in calls.items():
        with pytest.raises(LakeError, match=f"cannot {verb.strip()} az://{name}/a: there is no container {name}") as e:
            call()
        assert not isinstance(e.value, DamagedObject)


class Service:
    """Answers each request with the next of its answers (the last one for ever), and keeps what was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.asked: list[str] = []
        service, left = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                service.asked.append(self.command)
                status, code = left.pop(0) if len(left) > 1 else left[0]
                body = f'\ufeff<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'.encode()
                self.send_response(status)
                self.send_header("x-ms-error-code", code)
                self.send_header("ETag", '"0x1"')
                self.send_header("Last-Modified", "Mon, 02 Jan 2017 00:00:00 GMT")
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET  # noqa: N815 - the name that the server looks for

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Settings:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        end = f"BlobEndpoint=http://127.0.0.1:{self.server.server_port}/{ACCOUNT}"
        return load_settings(azure_storage_connection_string=f"AccountName={ACCOUNT};AccountKey={KEY};{end}")

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


GONE = (404, "ContainerNotFound")
REFUSALS: dict[str, tuple[tuple[int, str], type[Exception], str, int]] = {
    "may not": ((403, "AuthorizationPermissionMismatch"), ConfigError, "create it, or .*Storage Blob Data Contrib", 1),
    "still being deleted": ((409, "ContainerBeingDeleted"), LakeError, r"\(ContainerBeingDeleted\)", 1),
    "busy": ((503, "ServerBusy"), LakeError, r"\(ServerBusy\)", 4),
}


@pytest.mark.parametrize(("answer", "error", "message", "times"), REFUSALS.values(), ids=REFUSALS)
def test_why_a_container_cannot_be_made_is_told(
    answer: tuple[int, str], error: type[Exception], message: str, times: int
) -> None:
    service = Service(GONE, answer)
    with service as settings, pytest.raises(error, match=f"no container box in the .* can't be created: .*{message}"):
        open_location("az://box", settings)
    assert service.asked == ["GET", *["PUT"] * times]


@pytest.mark.parametrize("create", [True, False])
def test_to_open_what_is_there_takes_one_request(create: bool) -> None:
    for answer in ((404, "BlobNotFound"), (200, "")):
        service = Service(answer)
        with service as settings:
            open_location("az://box/lake", settings, create=create)
        assert service.asked == ["GET"]


def test_who_is_refused_is_told_the_role() -> None:
    message = r"\(AuthorizationFailure\); .*Storage Blob Data Contributor"
    with Service((403, "AuthorizationFailure")) as settings, pytest.raises(LakeError, match=message) as refusal:
        open_location("az://box", settings)
    assert "\n" not in str(refusal.value)


def test_an_account_that_does_not_answer_is_told_soon() -> None:
    service = Service((500, "InternalError"))
    begun = time.monotonic()
    with service as settings, pytest.raises(LakeError, match=r"\(InternalError\); check the address"):
        open_location("az://box", settings)
    assert (len(service.asked), time.monotonic() - begun < 10) == (4, True)


def test_a_name_that_no_container_may_have_is_the_users_to_mend(with_key: Settings) -> None:
    with pytest.raises(ConfigError, match="the invalid container name 'Bad_Name'; use 3 to 63 lower-case letters"):
        open_location("az://Bad_Name/lake", with_key)


@pytest.mark.parametrize("way", ["with_identity", "as_in_azure"])
def test_who_gets_no_token_is_told_so(
    way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = request.getfixturevalue(way)
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    assert FakeIdentity.SECRET != "another"
    message = "no token of the identity for https://storage.azure.com; check AZURE_CLIENT_ID"
    with pytest.raises(LakeError, match=message) as refusal:
        open_location("az://box", settings)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("way", ["with_identity", "as_in_azure"])
def test_an_identity_that_is_away_for_a_while_is_an_outage_of_the_lake(
    way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = request.getfixturevalue(way)
    secure: SecureAzurite = request.getfixturevalue("azurite_https" if way == "with_identity" else "azurite_like_azure")
    secure.identity.lifetime = 2.0
    try:
        location = open_location(f"az://{a_name()}", settings)
        table = LakeTable(location, BARS_1D)
        table.commit(CommitContext(1), bar(2))
        with pytest.MonkeyPatch.context() as away:
            away.setenv("IDENTITY_HEADER", "another")  # it refuses from now on
            time.sleep(4)
            for call in (lambda: location.get("a"), lambda: location.put_new("a", b"1"), table.version, table.read):
                with pytest.raises(LakeError, match=r"token|identity|credential") as outage:
                    call()  # type: ignore[operator]
                assert not isinstance(outage.value, DamagedObject)
        location.put_new("a", b"1")
        assert table.read().height == 1
    finally:
        secure.identity.lifetime = 3600.0
