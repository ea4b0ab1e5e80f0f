"""What every place for a lake promises: one class of tests, run against each store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from quantx.errors import ConfigError, LakeError
from quantx.lake.store import LakeLocation, open_location
from quantx.settings import Settings

from ..azurite import Azurite


@pytest.fixture(params=["local disk", "memory", "azurite"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> LakeLocation:
    if request.param == "azurite":
        azurite: Azurite = request.getfixturevalue("azurite")
        settings = Settings(azure_storage_connection_string=azurite.connection_string)  # type: ignore[arg-type]
        return open_location(f"az://{azurite.new_container()}/a/prefix", settings)
    return open_location({"local disk": str(tmp_path / "lake"), "memory": "memory://"}[request.param])


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
    monkeypatch.setattr("quantx.lake.store._has_container", lambda *_: True)


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
