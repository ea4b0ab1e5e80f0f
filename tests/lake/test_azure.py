"""A lake in Azure, with an account key and with the managed identity: objects, tables, and a token that runs out."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from quantx.core.tables import BARS_1D
from quantx.errors import LakeError
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import CommitContext, LakeTable
from quantx.settings import load_settings

from ..azurite import Azurite, SecureAzurite, StandInIdentity


def bar(day: int, close: float = 100.0) -> pl.DataFrame:
    row = {"source": "yahoo", "year": 2024, "symbol": "AAPL", "date": date(2024, 1, day), "volume": 1}
    row |= dict.fromkeys(("open", "high", "low", "close"), close)
    row |= {"currency": "USD", "raw": "01HKZ", "known_from": datetime(2024, 2, 1, tzinfo=UTC)}
    return pl.DataFrame([row], schema=dict(BARS_1D.schema))


@pytest.fixture
def with_key(azurite: Azurite) -> LakeLocation:
    settings = load_settings(azure_storage_connection_string=azurite.connection_string)
    return open_location(f"az://{azurite.new_container()}/some/prefix", settings)


@pytest.fixture
def with_identity(azurite_https: SecureAzurite, monkeypatch: pytest.MonkeyPatch) -> LakeLocation:
    for name, value in azurite_https.environment.items():
        monkeypatch.setenv(name, value)
    return open_location(f"az://{azurite_https.azurite.new_container()}/some/prefix", load_settings())


@pytest.mark.parametrize("way", ["with_key", "with_identity"])
def test_objects_and_tables_come_back_as_they_were_written(way: str, request: pytest.FixtureRequest) -> None:
    location: LakeLocation = request.getfixturevalue(way)
    location.put_new("raw/a.parquet", b"reply")
    assert (location.get("raw/a.parquet"), location.has("raw/b.parquet")) == (b"reply", False)
    writer = LakeTable(location, BARS_1D)
    for number in (1, 2, 3):
        assert writer.commit(CommitContext(number), bar(number + 1))
    assert not writer.commit(CommitContext(3), bar(9))  # the round was committed before
    writer.commit(CommitContext(4), BARS_1D.empty(), changed=bar(3, close=101.0))
    reader = LakeTable(location, BARS_1D)
    assert reader.read().sort("date")["close"].to_list() == [100.0, 101.0, 100.0]
    assert reader.version() == writer.version() == 4
    assert writer.fold(CommitContext(5), most_files=1) == 1
    assert reader.read().height == 3


def test_who_works_longer_than_a_token_lasts_gets_a_new_one(
    with_identity: LakeLocation, azurite_https: SecureAzurite
) -> None:
    identity = azurite_https.identity
    table = LakeTable(with_identity, BARS_1D)
    table.commit(CommitContext(1), bar(2))
    identity.lifetime = 1.0  # from now on each token is about to end when it comes
    try:
        fresh = LakeTable(with_identity, BARS_1D)
        fresh.commit(CommitContext(2), bar(3))
        before = len(identity.issued)
        fresh.commit(CommitContext(3), bar(4))
        assert fresh.read().height == 3
        assert len(identity.issued) > before
    finally:
        identity.lifetime = 3600.0
    assert set(identity.issued) <= {"https://storage.azure.com", "https://storage.azure.com/"}


def test_who_may_not_is_told_so(azurite_https: SecureAzurite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azurite_https.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    assert StandInIdentity.SECRET != "another"
    location = open_location("az://box", load_settings())
    with pytest.raises(LakeError, match="cannot write az://box/a"):
        location.put("a", b"1")
