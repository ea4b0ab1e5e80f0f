"""The SEC's nightly archives: member by member; a damaged one fails its filer and no other."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from quantx.core.model import Window
from quantx.errors import ConfigError, ProviderError, TerminalProviderError, UnknownSymbol
from quantx.providers import sec_archive
from quantx.providers.protocol import Page, Request
from quantx.providers.sec_archive import SecArchives, open_archives
from quantx.testing.stub_vendor import StoppedClock

from .test_sec import FILER, PAGE, ROW, facts, submissions

DAY = date(2026, 1, 15)
OTHER = "CIK0000789019"


def archive(path: Path, members: Mapping[str, object]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            file.writestr(zipfile.ZipInfo(name, (2026, 1, 15, 3, 0, 0)), body, zipfile.ZIP_DEFLATED)
    return path


def opened(stack: ExitStack, *paths: Path) -> SecArchives:
    return open_archives(stack, paths, StoppedClock())


def pages(archives: SecArchives, symbol: str = FILER) -> list[Page]:
    return list(archives.fetch(Request("fundamentals", "filing", (symbol,), Window(DAY, DAY))))


def both(tmp_path: Path) -> tuple[Path, Path]:
    older = f"{FILER}-submissions-001.json"
    filed = {older: PAGE, f"{FILER}.json": submissions((older,)), f"{OTHER}.json": submissions(cik="0000789019")}
    reported = {f"{FILER}.json": facts(ROW), f"{OTHER}.json": facts(ROW, cik=789019)}
    return archive(tmp_path / "f.zip", reported), archive(tmp_path / "s.zip", filed)


def test_the_pages_of_a_filer_are_those_of_the_network(tmp_path: Path) -> None:
    with ExitStack() as stack:
        archives = opened(stack, *both(tmp_path))
        read = pages(archives)
        assert [page.payload.request for page in read] == [
            f"archive:submissions/{FILER}.json?file=s.zip",
            f"archive:submissions/{FILER}-submissions-001.json?file=s.zip",
            f"archive:companyfacts/{FILER}.json?file=f.zip",
        ]
        assert [page.complete for page in read] == [frozenset(), frozenset(), frozenset([FILER])]
        assert all(archives.normalize_facts(page.payload).has_rows for page in read)
        assert archives.filers == [FILER, OTHER]
        assert archives.is_complete
        assert archives.made_at == datetime(2026, 1, 15, 3, tzinfo=UTC)


def test_one_archive_alone_is_not_complete(tmp_path: Path) -> None:
    reported, filed = both(tmp_path)
    with ExitStack() as stack:
        assert not opened(stack, reported).is_complete
        assert len(pages(opened(stack, filed))) == 2
        with pytest.raises(ConfigError, match="same kind"):
            opened(stack, reported, reported)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_a_cut_archive_is_refused(tmp_path: Path, share: float) -> None:
    whole, _ = both(tmp_path)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with ExitStack() as stack, pytest.raises(ConfigError, match="truncated or damaged"):
        opened(stack, cut)


def test_a_missing_file_and_another_archive_are_refused(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with pytest.raises(ConfigError, match="there is no file"):
            opened(stack, tmp_path / "none.zip")
        with pytest.raises(ConfigError, match="no archive of the SEC"):
            opened(stack, archive(tmp_path / "x.zip", {"a.json": {}}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_damaged_members_fail_their_filer_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sec_archive, "LARGEST_MEMBER", 100_000)
    good = facts(ROW)
    path = archive(
        tmp_path / "f.zip",
        {
            f"{FILER}.json": good,
            "CIK0000000002.json": b"",
            "CIK0000000003.json": b" " * 200_000,  # 200 bytes, packed
            "CIK0000000004.json": json.dumps(facts(ROW, cik=4)).encode()[:-9],
            "CIK0000000005.json": facts(ROW, cik=6),
            "../CIK0000000006.json": good,
            "/etc/passwd": b"x",
            "CIK1.json": good,
        },
    )
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("CIK0000000007.json", json.dumps(facts(ROW, cik=7)))
        file.writestr("CIK0000000007.json", json.dumps(facts(ROW, cik=7)))
        file.writestr("CIK0000000008.json", json.dumps(facts(ROW, cik=8)), zipfile.ZIP_STORED)
    body = path.read_bytes()
    place = body.rindex(b'"cik": 8,')
    path.write_bytes(body[:place] + b'"cik": 9,' + body[place + 9 :])
    with ExitStack() as stack:
        archives = opened(stack, path)
        assert archives.strange == ["f.zip: ../CIK0000000006.json", "f.zip: /etc/passwd", "f.zip: CIK1.json"]
        assert len(pages(archives)) == 1
        problems = {}
        for number in range(2, 9):
            with pytest.raises(ProviderError) as caught:
                pages(archives, f"CIK{number:010}")
            problems[number] = (type(caught.value), str(caught.value))
    assert problems[2] == (TerminalProviderError, "the member CIK0000000002.json of f.zip is empty")
    assert "200,000 bytes" in problems[3][1]
    assert "no JSON" in problems[4][1]
    assert "answers about CIK0000000006" in problems[5][1]
    assert problems[6] == (UnknownSymbol, "f.zip has no CIK0000000006")
    assert "twice" in problems[7][1]
    assert "is damaged; download" in problems[8][1]
