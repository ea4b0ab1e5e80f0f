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

import polars as pl
import pytest
from azure.storage.blob import ContainerClient

from quantx.core.tables import BARS_1D
from quantx.errors import ConfigError, DamagedObject, LakeError
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import CommitContext, LakeTable
from quantx.settings import Settings, load_settings

from ..azurite import ACCOUNT, KEY, Azurite, SecureAzurite, StandInIdentity, start_secure, why_missing


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
    monkeypatch.setattr("quantx.lake.store._LOOPBACK", ())
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


def test_only_the_stand_in_is_given_a_token(with_identity: Settings) -> None:
    options = open_location(f"az://{a_name()}", with_identity).delta_options
    assert set(options) == {"azure_storage_account_name", "azure_storage_use_emulator", "azure_storage_token"}


def test_the_real_service_gives_none_away(as_in_azure: Settings) -> None:
    options = open_location(f"az://{a_name()}", as_in_azure).delta_options
    assert set(options) == {"azure_storage_account_name", "azure_storage_endpoint", "azure_msi_endpoint"}


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


def test_a_reader_makes_no_container(with_key: Settings, azurite: Azurite) -> None:
    name = a_name()
    with pytest.raises(ConfigError, match=f"there is no lake in az://{name}/a: the account .* has no container {name}"):
        open_location(f"az://{name}/a", with_key, create=False)
    with azurite.blobs() as service:
        assert not list(service.list_containers(name))


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
    with pytest.raises(ConfigError, match="the container 'Bad_Name'; Azure wants 3 to 63 lower-case letters"):
        open_location("az://Bad_Name/lake", with_key)


def test_who_works_longer_than_a_token_lasts_gets_a_new_one(
    as_in_azure: Settings, azurite_like_azure: SecureAzurite
) -> None:
    identity, location = azurite_like_azure.identity, open_location(f"az://{a_name()}", as_in_azure)
    LakeTable(location, BARS_1D).commit(CommitContext(1), bar(2))
    identity.lifetime = 1.0  # from now on each token is about to end when it comes
    try:
        fresh = LakeTable(location, BARS_1D)
        fresh.commit(CommitContext(2), bar(3))
        before = len(identity.issued)
        fresh.commit(CommitContext(3), bar(4))
        assert fresh.read().height == 3
        assert len(identity.issued) > before
    finally:
        identity.lifetime = 3600.0
    assert set(identity.issued) <= {"https://storage.azure.com", "https://storage.azure.com/"}


@pytest.mark.parametrize(
    ("way", "message"), [("with_identity", "no token for the lake: "), ("as_in_azure", "the lake's container https://")]
)
def test_who_gets_no_token_is_told_so(
    way: str, message: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: Settings = request.getfixturevalue(way)
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    assert StandInIdentity.SECRET != "another"
    with pytest.raises(LakeError, match=message) as refusal:
        open_location("az://box", settings)
    print(refusal.value)
