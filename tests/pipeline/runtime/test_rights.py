"""The roles as they are written suffice for worker and reader, and refuse what would change the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import obstore
import pytest

from quantx.core.tables import TABLES
from quantx.core.tombstones import SymbolDays, Tombstone
from quantx.errors import LakeError, RawNotReadable
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.raw_place import confirm_raw
from quantx.pipeline.verifying.verify import Verifier
from quantx.pipeline.wiring import deleter_of
from quantx.reader.lake import Lake
from quantx.settings import Settings

from ...azurite import Azurite
from ...rights import ADD, DELETE, MOVE, READ, WRITE, BlobRequest, Grant, Guard, allows, guarded, rights_of
from ..conftest import Desk, reprocess

REQUESTS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "read": ("GET", {}, {}),
    "put": ("PUT", {}, {}),
    "put blocks": ("PUT", {"comp": "blocklist"}, {}),
    "copy over": ("PUT", {}, {"x-ms-copy-source": "https://elsewhere/x"}),
    "set metadata": ("PUT", {"comp": "metadata"}, {}),
    "set tier": ("PUT", {"comp": "tier"}, {}),
    "undelete": ("PUT", {"comp": "undelete"}, {}),
    "delete": ("DELETE", {}, {}),
    "rename": ("PUT", {}, {"x-ms-rename-source": "/raw/x"}),
    "append by DFS": ("PATCH", {"action": "append"}, {}),
}
CONTAINER: dict[str, tuple[str, dict[str, str]]] = {
    "list": ("GET", {"restype": "container", "comp": "list"}),
    "delete": ("DELETE", {"restype": "container"}),
    "create": ("PUT", {"restype": "container"}),
}


def may(who: str, container: str, path: str, *, exists: bool) -> set[str]:
    """Return what an identity may do with an object."""
    grants = rights_of(who)
    return {
        name
        for name, (method, query, headers) in REQUESTS.items()
        if allows(grants, BlobRequest(method, container, path, query, headers), exists=exists)
    }


def may_with_container(who: str, container: str) -> set[str]:
    grants = rights_of(who)
    return {
        name
        for name, (method, query) in CONTAINER.items()
        if allows(grants, BlobRequest(method, container, "", query), exists=True)
    }


CREATE, CHANGE = {"put", "put blocks", "copy over"}, {"set metadata", "set tier", "undelete", "append by DFS"}


def test_the_worker_creates_raw_objects_and_changes_none() -> None:
    assert may("worker", "raw", "source=a/x.parquet", exists=False) == {"read"} | CREATE
    assert may("worker", "raw", "source=a/x.parquet", exists=True) == {"read"}
    assert may_with_container("worker", "raw") == {"list"}


def test_the_worker_changes_tables_and_not_the_lakes_container() -> None:
    assert may("worker", "lake", "curated/x", exists=True) == {"read", "delete"} | CREATE | CHANGE
    assert may_with_container("worker", "lake") == {"list"}


def test_inside_the_lake_raw_objects_can_be_replaced_and_not_deleted() -> None:
    """A condition on `delete` does not cover `write`: this is why they have a container of their own."""
    assert may("worker", "lake", "raw/source=a/x.parquet", exists=True) == {"read"} | CREATE | CHANGE


@pytest.mark.parametrize("who", ["readers", "functions"])
def test_readers_and_the_app_read_the_lake_and_nothing_else(who: str) -> None:
    assert may(who, "lake", "curated/x", exists=True) == {"read"}
    assert may(who, "lake", "curated/x", exists=False) == {"read"}
    assert may(who, "raw", "x", exists=True) == set()
    assert may_with_container(who, "lake") == {"list"}
    assert may_with_container(who, "raw") == set()


@pytest.fixture
def containers(azurite: Azurite) -> dict[str, str]:
    return {"lake": azurite.new_container(), "raw": azurite.new_container()}


@pytest.fixture
def guard(azurite: Azurite, containers: dict[str, str]) -> Iterator[Guard]:
    """The worker, with a retention policy on raw."""
    with guarded(azurite, rights_of("worker"), containers, retained=("raw",)) as one:
        yield one


def lake_behind(guard: Guard, containers: dict[str, str], *, create: bool = True) -> LakeLocation:
    given: Any = {"azure_storage_connection_string": guard.connection_string, "raw_url": f"az://{containers['raw']}"}
    return open_location(f"az://{containers['lake']}", Settings(**given), create=create)


@pytest.mark.slow
def test_a_worker_needs_no_more_than_its_rights(
    desk: Desk, guard: Guard, containers: dict[str, str], azurite: Azurite
) -> None:
    location = lake_behind(guard, containers)
    desk.platform = desk.with_(location=location, tables=open_tables(location, TABLES))
    desk.work(desk.backfill("AAA", "BBB"))
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB"))
    reprocess(desk.platform)
    confirm_raw(location, desk.platform.state.replies)
    assert not Verifier(location, TABLES, desk.platform.state.replies).verify().damages
    assert desk.rows().height == 20
    assert guard.refused == []
    changes = [r for r in guard.passed if r.container == "raw" and r.method not in ("GET", "HEAD")]
    assert len(changes) == 2  # an object for each run
    for request in changes:
        assert (request.method, request.query, request.headers["if-none-match"]) == ("PUT", {}, "*")
    with guarded(azurite, rights_of("readers"), containers) as reading:
        shared = lake_behind(reading, containers, create=False)
        assert Lake(shared).bars("AAA").height == 10
        assert Lake(shared).coverage(by="symbol", until="2024-01-16")["present"].sum() == 20
        assert {r.container for r in reading.passed} == {"lake"}
        with pytest.raises(RawNotReadable, match=r"AuthorizationPermissionMismatch.*Storage Blob Data Reader"):
            shared.get(location.paths("raw")[0])
        with pytest.raises(LakeError, match="cannot write"):
            shared.put("meta/x", b"1")


@pytest.mark.slow
def test_a_deletion_waits_for_the_right_and_the_end_of_retention(
    desk: Desk, guard: Guard, containers: dict[str, str]
) -> None:
    location = lake_behind(guard, containers)
    desk.platform = desk.with_(location=location, tables=open_tables(location, TABLES))
    desk.work(desk.backfill("AAA", "BBB"))
    stone = Tombstone(
        id="01M8QE8WHHFGRR9CTHKVCS0CP1",
        source="tape",
        at=desk.clock.now(),
        by="eve",
        reason="the licence ended",
        symbols=(SymbolDays("AAA"),),
    )
    (old,) = location.paths("raw")
    without_right = deleter_of(desk.platform).delete(stone)
    assert "AuthorizationPermissionMismatch" in without_right.pending[old]["why"]
    assert set(desk.rows()["symbol"]) == {"BBB"}
    assert len(location.paths("raw")) == 2  # the one that stands for it is created, the old one stays

    guard.grants.append(Grant("raw", frozenset({READ, DELETE}), ""))  # as deploy/grant.sh assigns it
    (retained,) = deleter_of(desk.platform).resume()
    assert "BlobImmutableDueToPolicy" in retained.pending[old]["why"]

    guard.forget_retention()
    assert [done.complete for done in deleter_of(desk.platform).resume()] == [True]
    assert [path.count("01M8QE8WHHFGRR9CTHKVCS0CP1") for path in location.paths("raw")] == [1]
    assert reprocess(desk.platform).commits == 0
    assert not Verifier(location, TABLES, desk.platform.state.replies).verify().damages


def test_a_worker_that_turns_bad_changes_no_evidence(
    guard: Guard, containers: dict[str, str], azurite: Azurite
) -> None:
    location = lake_behind(guard, containers)
    location.put_new("raw/a", b"evidence")
    location.put_new("raw/a", b"evidence")  # again after a lost reply
    with pytest.raises(LakeError, match="exists with other bytes"):
        location.put_new("raw/a", b"forged")
    for try_it in (
        lambda: location.put("raw/a", b"forged"),
        lambda: obstore.put(location.raw.store, "a", b"f" * 6_000_000),  # in blocks
        lambda: obstore.copy(location.raw.store, "a", "a", overwrite=True),
        lambda: obstore.rename(location.raw.store, "a", "b"),
        lambda: location.delete(["raw/a"]),
    ):
        with pytest.raises((LakeError, obstore.exceptions.BaseError, PermissionError)):
            try_it()
    assert location.get("raw/a") == b"evidence"
    assert all(r.container == "raw" for r in guard.refused)
    assert len(guard.refused) >= 5


def test_retention_keeps_raw_objects_from_who_may_do_everything(azurite: Azurite, containers: dict[str, str]) -> None:
    everything = frozenset({READ, WRITE, ADD, DELETE, MOVE})
    with guarded(azurite, [Grant(c, everything) for c in containers], containers, retained=("raw",)) as guard:
        location = lake_behind(guard, containers)
        location.put_new("raw/a", b"evidence")
        with pytest.raises(LakeError, match="BlobImmutableDueToPolicy"):
            location.put("raw/a", b"forged")
        with pytest.raises(LakeError, match="BlobImmutableDueToPolicy"):
            location.delete(["raw/a"])
        assert location.get("raw/a") == b"evidence"
