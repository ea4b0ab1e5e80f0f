"""What every place for a lake promises: one class of tests, run against each store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantx.errors import ConfigError, LakeError
from quantx.lake.store import LakeLocation, open_location
from quantx.settings import Settings

from ..azurite import Azurite

PLACES = ("local disk", "memory", "azurite")
APART = (
    "local disk, raw in another folder",
    "memory, raw on local disk",
    "azurite, raw in another container",
    "azurite, raw on local disk",
)


def open_at(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> LakeLocation:
    """Open a new lake at a place, with the raw objects in it or in a place of their own."""
    place, _, raw = name.partition(", raw ")
    given: dict[str, Any] = {}
    url = {"local disk": str(tmp_path / "lake"), "memory": "memory://"}.get(place)
    if url is None:
        azurite: Azurite = request.getfixturevalue("azurite")
        given["azure_storage_connection_string"] = azurite.connection_string
        url = f"az://{azurite.new_container()}/a/prefix"
        given["raw_url"] = f"az://{azurite.new_container()}/raw" if raw == "in another container" else None
    if raw.endswith(("folder", "disk")):
        given["raw_url"] = str(tmp_path / "apart" / "raw")
    return open_location(url, Settings(**given))


@pytest.fixture(params=[*PLACES, *APART])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> LakeLocation:
    return open_at(request, tmp_path, request.param)


class TestLakeLocation:
    """The contract."""

    @pytest.mark.parametrize(
        "body", [b"", b"x", b"\x00\xff\xfe", b"q" * 3_000_000], ids=["empty", "a byte", "binary", "3 MB"]
    )
    def test_bytes_come_back_as_they_were(self, location: LakeLocation, body: bytes) -> None:
        location.put_new("raw/a/b.parquet", body)
        assert location.get("raw/a/b.parquet") == body

    def test_a_new_object_with_the_same_bytes_is_a_success(self, location: LakeLocation) -> None:
        location.put_new("raw/a", b"1")
        location.put_new("raw/a", b"1")
        assert location.get("raw/a") == b"1"

    def test_a_new_object_never_replaces_other_bytes(self, location: LakeLocation) -> None:
        location.put_new("raw/a", b"1")
        with pytest.raises(LakeError, match="raw/a exists with other bytes"):
            location.put_new("raw/a", b"2")
        assert location.get("raw/a") == b"1"

    def test_of_many_writers_one_wins_and_the_others_are_told(self, location: LakeLocation) -> None:
        together = threading.Barrier(6)
        won: list[bytes] = []
        refused: list[LakeError] = []

        def write(body: bytes) -> None:
            together.wait()
            try:
                location.put_new("raw/a", body)
                won.append(body)
            except LakeError as error:
                refused.append(error)

        threads = [threading.Thread(target=write, args=(bytes([n]) * 100_000,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(refused)) == (1, 5)
        assert location.get("raw/a") == won[0]

    def test_a_listing_or_a_report_may_be_replaced(self, location: LakeLocation) -> None:
        location.put("meta/universe_phase_1.csv", b"1")
        location.put("meta/universe_phase_1.csv", b"2")
        assert location.get("meta/universe_phase_1.csv") == b"2"

    def test_a_missing_object_is_an_error_of_the_lake(self, location: LakeLocation) -> None:
        with pytest.raises(LakeError, match=r"cannot read .*raw/missing"):
            location.get("raw/missing")

    def test_objects_are_listed_by_folder(self, location: LakeLocation) -> None:
        assert location.paths("raw") == []
        written = {f"raw/source=a/{n}.parquet" for n in range(60)} | {"raw/source=ab/x", "rawer/y"}
        for path in written:
            location.put(path, b"1")
        assert set(location.paths("raw")) == written - {"rawer/y"}
        assert len(location.paths("raw/source=a")) == 60  # more than a page, and not those of another folder
        assert location.get(location.paths("raw/source=ab")[0]) == b"1"

    @pytest.mark.parametrize("path", ["../outside", "raw/../../outside", "raw/./a"])
    def test_no_path_leads_out_of_the_lake(self, location: LakeLocation, path: str) -> None:
        for write in (location.put_new, location.put):
            with pytest.raises(ValueError, match="path"):
                write(path, b"x")
        with pytest.raises(ValueError, match="path"):
            location.get(path)


@pytest.mark.parametrize("name", APART)
class TestRawApart:
    """Raw objects in a place of their own have the same paths, and the lake has none of them."""

    @pytest.fixture
    def apart(self, request: pytest.FixtureRequest, tmp_path: Path, name: str) -> LakeLocation:
        return open_at(request, tmp_path, name)

    def test_the_path_decides_where_an_object_lies(self, apart: LakeLocation) -> None:
        for path in ("raw/source=a/x.parquet", "curated/t/x.parquet", "rawer/y"):
            apart.put_new(path, path.encode())
        assert apart.raw.sizes("") == {"source=a/x.parquet": 22}
        lake = replace(apart, raw_opener=None)
        assert set(lake.paths("")) == {"curated/t/x.parquet", "rawer/y"}
        assert apart.sizes("raw/source=a") == {"raw/source=a/x.parquet": 22}
        assert apart.get_range("raw/source=a/x.parquet", 4, 10) == b"source"
        assert apart.address("raw/source=a/x.parquet") == f"{apart.raw.url}/source=a/x.parquet"
        assert apart.address("rawer/y") == f"{apart.url}/rawer/y"

    def test_the_whole_lake_has_the_raw_objects_and_no_copies_that_a_move_has_left(self, apart: LakeLocation) -> None:
        replace(apart, raw_opener=None).put("raw/left.parquet", b"1")
        apart.put_new("raw/new.parquet", b"22")
        apart.put("meta/x", b"1")
        assert apart.sizes("") == {"raw/new.parquet": 2, "meta/x": 1}
        assert not apart.has("raw/left.parquet")

    def test_objects_of_both_places_are_deleted_together(self, apart: LakeLocation) -> None:
        for path in ("raw/a", "meta/a", "meta/b"):
            apart.put(path, b"1")
        apart.delete(["raw/a", "meta/a", "raw/missing"])
        assert apart.paths("") == ["meta/b"]


def test_raw_objects_in_the_usual_place_are_no_place_of_their_own(tmp_path: Path) -> None:
    for lake in (str(tmp_path / "lake"), (tmp_path / "lake").as_uri()):
        for raw in (None, "", str(tmp_path / "lake" / "raw"), (tmp_path / "lake" / "raw").as_uri() + "/"):
            location = open_location(lake, Settings(raw_url=raw))
            assert location.raw is location
    memory = open_location("memory://", Settings(raw_url="memory://"))  # each memory is a place of its own
    assert memory.raw is not memory


@pytest.mark.parametrize("raw", ["lake/curated", "lake", "lake/raw/more", "."])
def test_neither_place_lies_in_the_other(tmp_path: Path, raw: str) -> None:
    with pytest.raises(ConfigError, match="contain one another; set QUANTX_RAW_URL to a place of its own"):
        open_location(str(tmp_path / "lake"), Settings(raw_url=str(tmp_path / raw)))


def test_who_reads_tables_needs_no_raw_objects(tmp_path: Path) -> None:
    open_location(str(tmp_path / "lake")).put("curated/x", b"1")
    location = open_location(str(tmp_path / "lake"), Settings(raw_url=str(tmp_path / "missing")), create=False)
    assert location.get("curated/x") == b"1"
    with pytest.raises(ConfigError, match=r"there is no raw zone in .*missing; .* QUANTX_RAW_URL sets another"):
        location.get("raw/x")
    location.close()


FORMS: dict[str, Callable[[Path], str]] = {
    "a path": str,
    "a file URL": lambda folder: f"file://{folder}",
    "a file URL with a host of this machine": lambda folder: f"file://localhost{folder}",
    "a file URL as it should be written": lambda folder: folder.as_uri(),
    "with a slash behind": lambda folder: f"{folder}/",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_local_lake_is_made_where_it_is_named(tmp_path: Path, form: Callable[[Path], str]) -> None:
    folder = tmp_path / "deep" / "lake"
    location = open_location(form(folder))
    location.put_new("raw/a", b"1")
    assert (folder / "raw" / "a").read_bytes() == b"1"
    assert location.url == folder.as_uri()
    assert location.table_url("curated/bars_1d") == str(folder / "curated" / "bars_1d")


@pytest.mark.parametrize("name", ["a b", "a#b", "a?b", "a%20b", "ü", "a:b"])
def test_objects_and_tables_of_a_lake_lie_in_one_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    location = open_location(str(tmp_path / name))
    assert location.table_url("t") == str(tmp_path / name / "t")
    assert open_location(location.url).table_url("t") == str(tmp_path / name / "t")
    location.put_new("a", b"1")
    assert (tmp_path / name / "a").exists()


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_location("./data/lake").url == (tmp_path / "data" / "lake").as_uri()


def test_opening_leaves_nothing_behind(tmp_path: Path) -> None:
    open_location(str(tmp_path / "lake"))
    assert list((tmp_path / "lake").iterdir()) == []


def test_threads_of_one_process_open_a_folder_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: open_location(str(tmp_path / "lake")), range(400)))
    assert len(opened) == 400
    assert list((tmp_path / "lake").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "lake"):
        with pytest.raises(LakeError, match=r"can't be written: .*QUANTX_LAKE_URL"):
            open_location(str(folder))


def test_a_reader_does_not_make_a_lake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no lake in"):
        open_location(str(tmp_path / "lake"), create=False)
    assert list(tmp_path.iterdir()) == []
    open_location(str(tmp_path / "lake"))
    assert open_location(str(tmp_path / "lake"), create=False).url == (tmp_path / "lake").as_uri()


def azure(**flags: str) -> Settings:
    return Settings(**flags)  # type: ignore[arg-type]


BAD = {
    "an unknown scheme": ("ftp://host/lake", None, r"starts with ftp://; use file://, az://"),
    "http": ("https://account.blob.core.windows.net/lake", None, r"starts with https://"),
    "a host in a file URL": ("file://server/lake", None, r"has a host; a local path has three slashes"),
    "Azure without an account": ("az://lake", None, r"needs AZURE_STORAGE_CONNECTION_STRING"),
    "Azure without an account in the settings": ("az://lake", azure(), r"needs AZURE_STORAGE_CONNECTION_STRING"),
    "no container": ("az://", azure(azure_storage_account="acc"), r"must have the form az://container/prefix"),
    "an identity without encryption": (
        "az://lake",
        azure(azure_storage_account="acc", azure_storage_blob_endpoint="http://127.0.0.1:10000/acc"),
        r"is not encrypted, and an identity needs encryption",
    ),
    "a connection string that is none": (
        "az://lake",
        azure(azure_storage_connection_string="c4n4ry"),
        r"must have the form AccountName=…;AccountKey=…",
    ),
}


@pytest.mark.parametrize(("url", "settings", "message"), BAD.values(), ids=BAD)
def test_a_wrong_url_is_the_users_to_mend(url: str, settings: Settings | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refusal:
        open_location(url, settings)
    assert "c4n4ry" not in str(refusal.value)


@pytest.fixture
def without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no such account that could be asked for its container."""
    monkeypatch.setattr("quantx.lake.azure._has_container", lambda *_: True)


CONNECTION = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=YzRuNHJ5;EndpointSuffix=core.windows.net"


@pytest.mark.usefixtures("without_asking")
def test_a_connection_string_opens_an_azure_lake_without_showing_its_key() -> None:
    location = open_location("az://box/some/prefix/", azure(azure_storage_connection_string=CONNECTION))
    assert location.url == "az://box/some/prefix"
    assert location.table_url("curated/bars_1d") == "az://box/some/prefix/curated/bars_1d"
    assert location.delta_options == {
        "azure_storage_account_name": "acc",
        "azure_storage_account_key": "YzRuNHJ5",
        "azure_storage_endpoint": "https://acc.blob.core.windows.net",
    }
    assert "YzRuNHJ5" not in repr(location)


@pytest.mark.usefixtures("without_asking")
def test_the_managed_identity_needs_only_the_account() -> None:
    location = open_location("az://box", azure(azure_storage_account="acc"))
    assert (location.url, location.options) == ("az://box", {"azure_storage_account_name": "acc"})


@pytest.mark.usefixtures("without_asking")
def test_the_managed_identity_can_be_chosen_although_there_is_a_key() -> None:
    settings = Settings(
        azure_storage_connection_string=CONNECTION,  # type: ignore[arg-type]
        azure_storage_account="acc",
        use_managed_identity=True,
    )
    assert open_location("az://box", settings).options == {"azure_storage_account_name": "acc"}


@pytest.mark.usefixtures("without_asking")
def test_every_reader_is_told_where_the_account_is() -> None:
    settings = azure(
        azure_storage_account="acc",
        azure_storage_blob_endpoint="https://acc.blob.core.chinacloudapi.cn/",
    )
    assert open_location("az://box", settings).options == {
        "azure_storage_account_name": "acc",
        "azure_storage_endpoint": "https://acc.blob.core.chinacloudapi.cn",
    }
