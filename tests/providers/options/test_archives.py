"""Archives of options: safe names, sizes and hashes before decoding, and the vendor's lists."""

from __future__ import annotations

import hashlib
import json
import stat
import struct
import zipfile
from datetime import date
from pathlib import Path

import pytest

from quantx.errors import ConfigError, MalformedPayload
from quantx.providers.options.archives import OptionArchive, open_archive
from quantx.providers.options.batch_lists import DayCondition

CONTENT = b"quotes" * 1000
NAME = "opra-pillar-20230801.cbbo-1m.dbn.zst"


def packed(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def manifest(**files: object) -> bytes:
    return json.dumps({"job_id": "OPRA-1", "files": list(files.values())}).encode()


def listed(name: str, content: bytes, **changes: object) -> dict[str, object]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"filename": name, "size": len(content), "hash": f"sha256:{sha256}", "urls": {}} | changes


def refused(archive: OptionArchive) -> dict[str, str]:
    return {each.name: each.reason for each in archive.skipped if each.refused}


def test_a_zip_with_its_lists(tmp_path: Path) -> None:
    condition = [
        {"date": "2023-08-01", "condition": "degraded", "last_modified_date": "2023-08-03"},
        {"date": "2023-08-02", "condition": "available", "last_modified_date": None},
    ]
    members = {
        NAME: CONTENT,
        "manifest.json": manifest(a=listed(NAME, CONTENT)),
        "condition.json": json.dumps(condition).encode(),
        "metadata.json": b"{}",
    }
    with open_archive(packed(tmp_path / "OPRA-1.zip", members)) as archive:
        (member,) = archive.members
        assert (member.name, member.size, member.condition, member.modified) == (
            NAME,
            len(CONTENT),
            "degraded",
            date(2023, 8, 3),
        )
        assert archive.days[date(2023, 8, 2)] == DayCondition("available", None)
        assert archive.check(member) == member.sha256 == hashlib.sha256(CONTENT).hexdigest()
        assert archive.open(member).read() == CONTENT
        assert {each.name for each in archive.skipped} == {"manifest.json", "condition.json", "metadata.json"}
        assert not refused(archive)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"hash": f"sha256:{'0' * 64}"}, "another SHA-256"),
        ({"size": 17}, "17 are stated"),
    ],
)
@pytest.mark.parametrize("form", ["zip", "folder", "file"])
def test_size_and_hash_of_the_manifest_are_checked(
    tmp_path: Path, form: str, change: dict[str, object], fact: str
) -> None:
    members = {NAME: CONTENT, "manifest.json": manifest(a=listed(NAME, CONTENT, **change))}
    if form == "zip":
        path = packed(tmp_path / "OPRA-1.zip", members)
    else:
        for name, content in members.items():
            (tmp_path / name).write_bytes(content)
        path = tmp_path / NAME if form == "file" else tmp_path
    with open_archive(path) as archive:
        (member,) = archive.members
        with pytest.raises(MalformedPayload, match=fact):
            archive.check(member)


def test_a_listed_file_that_is_absent_is_a_failure(tmp_path: Path) -> None:
    members = {f"OPRA-1/{NAME}": CONTENT, "OPRA-1/manifest.json": manifest(a=listed("other.dbn", b""))}
    with open_archive(packed(tmp_path / "OPRA-1.zip", members)) as archive:
        assert refused(archive) == {"OPRA-1/other.dbn": "manifest.json lists it, but the archive does not have it"}


@pytest.mark.parametrize("damaged", [b"{", b"[]", b'{"files": 1}', b'{"files": [{}]}', b'{"files": [[]]}'])
def test_a_damaged_manifest_stops_the_import(tmp_path: Path, damaged: bytes) -> None:
    with pytest.raises(MalformedPayload, match=r"manifest\.json is damaged"):
        open_archive(packed(tmp_path / "a.zip", {NAME: CONTENT, "manifest.json": damaged}))


@pytest.mark.parametrize(
    "name", ["../x.dbn", "a/../../x.dbn", "/etc/x.dbn", "C:\\x.dbn", "..\\x.dbn", "\\\\host\\x.dbn"]
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with open_archive(packed(tmp_path / "a.zip", {name: CONTENT, NAME: CONTENT})) as archive:
        assert [each.name for each in archive.members] == [NAME]
        assert list(refused(archive).values()) == ["its name leads out of the archive"]


def test_a_name_that_can_not_be_printed_is_refused(tmp_path: Path) -> None:
    with open_archive(packed(tmp_path / "a.zip", {"\x1b[2Ja.dbn": CONTENT})) as archive:
        assert refused(archive) == {"\\x1b[2Ja.dbn": "its name has characters that can't be printed"}


def test_the_lists_are_those_of_the_manifest(tmp_path: Path) -> None:
    days = b'[{"date": "2023-08-01", "condition": "available"}]'
    members = {
        NAME: CONTENT,
        "condition.json": days,
        "manifest.json": manifest(a=listed("condition.json", days + b" ")),
    }
    with pytest.raises(MalformedPayload, match=r"condition\.json has another SHA-256"):
        open_archive(packed(tmp_path / "a.zip", members))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {NAME: CONTENT})
    content = bytearray(path.read_bytes())
    for head, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(head) + place] |= 1
    path.write_bytes(content)
    with open_archive(path) as archive:
        assert archive.members == []
        assert refused(archive) == {NAME: "it is encrypted; decrypt the archive first"}


def test_a_bomb_and_a_link_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.dbn", bytes(70 << 20))
        link = zipfile.ZipInfo("link.dbn")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with open_archive(path) as opened:
        assert opened.members == []
        assert set(refused(opened)) == {"zeros.dbn", "link.dbn"}
        assert "expands more than 200-fold" in refused(opened)["zeros.dbn"]


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(NAME, CONTENT)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr(NAME, b"other")
    with open_archive(path) as opened:
        assert opened.members == []
        assert refused(opened) == {NAME: "the archive has several members of this name"}


def test_a_zip_that_is_cut_is_refused(tmp_path: Path) -> None:
    whole = packed(tmp_path / "a.zip", {NAME: CONTENT, "b.dbn": CONTENT[::-1]}).read_bytes()
    for tenth in range(10):
        path = tmp_path / f"cut{tenth}.zip"
        path.write_bytes(whole[: len(whole) * tenth // 10])
        with pytest.raises(MalformedPayload, match="download it again"):
            open_archive(path)


def test_a_flipped_bit_in_a_zip_is_found_before_decoding(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {NAME: CONTENT}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[content.index(CONTENT) + 1234] ^= 1
    path.write_bytes(content)
    with open_archive(path) as archive, pytest.raises(MalformedPayload, match="differ from their checksum"):
        archive.check(archive.members[0])


def test_an_empty_member_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", {NAME: b""})
    with open_archive(path) as archive, pytest.raises(MalformedPayload, match="is empty"):
        archive.check(archive.members[0])


def test_a_folder_with_zips_and_links(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    folder = tmp_path / "download"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / NAME).write_bytes(CONTENT)
    (folder / "out.dbn").symlink_to(tmp_path / "secret")
    packed(folder / "OPRA-1.zip", {NAME: CONTENT, "manifest.json": manifest(a=listed(NAME, CONTENT))})
    contract = "aapl_quote_american_call_10000000_20150117.csv"
    packed(folder / "aapl_2014_quote_american.zip", {contract: b"20140606 00:00,1,1,1,1,1,1,1,1,1,1"})
    with open_archive(folder) as archive:
        names = [each.name for each in archive.members]
        assert names == [f"OPRA-1.zip/{NAME}", "aapl_2014_quote_american.zip", f"inner/{NAME}"]
        assert archive.members[0].sha256 == archive.check(archive.members[0])
        assert refused(archive) == {"out.dbn": "it is a link to a place outside of the folder"}


def test_a_path_without_an_archive(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file and no folder"):
        open_archive(tmp_path / "absent.zip")


@pytest.mark.slow
def test_a_hundred_thousand_members(tmp_path: Path) -> None:
    path, count = tmp_path / "a.zip", 100_000
    one = packed(path, {"00000.dbn": b"x"}, zipfile.ZIP_STORED).read_bytes()
    central = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    name = [f"{number:05d}".encode() for number in range(count)]
    # Copies of one member with their places: zipfile would take seconds.
    local = b"".join(one[:central].replace(b"00000", each) for each in name)
    places = b"".join(
        one[central:end].replace(b"00000", each)[:42] + struct.pack("<L", number * central) + each + b".dbn"
        for number, each in enumerate(name)
    )
    zip64 = struct.pack("<4sQHHLLQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(places), len(local))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(places), 1)
    last = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(places), len(local), 0)
    path.write_bytes(local + places + zip64 + locator + last)
    with open_archive(path) as opened:
        assert len(opened.members) == count
        assert opened.members[-1].name == "99999.dbn"
        assert opened.head(opened.members[-1]) == b"x"


@pytest.mark.parametrize("kind", ["file", "folder", "zip"])
def test_a_member_whose_file_changes_after_it_was_opened_is_noticed(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = packed(folder / "a.zip", {NAME: CONTENT}) if kind == "zip" else folder / NAME
    if kind != "zip":
        file.write_bytes(CONTENT)
    with open_archive(folder if kind == "folder" else file) as archive:
        (member,) = archive.members
        archive.confirm(member)
        with file.open("r+b") as writing:
            writing.write(b"X")
        with pytest.raises(MalformedPayload, match="changed while it was read; import it again"):
            archive.confirm(member)
