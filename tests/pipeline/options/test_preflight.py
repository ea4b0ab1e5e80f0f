"""What an import checks before it reads anything, and the folder for its temporary files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from quantx.errors import ConfigError, LakeError
from quantx.lake.store import open_location
from quantx.pipeline.options.preflight import check_library, check_paths, check_rights, check_room, check_scratch
from quantx.pipeline.options.scratch import scratch_folder

_Usage = namedtuple("_Usage", "total used free")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with 100 MB left."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: _Usage(10**9, 9 * 10**8, 10**8))


def test_a_path_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        check_paths([tmp_path, tmp_path / "absent.zip"])


@pytest.mark.usefixtures("free")
def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path) -> None:
    location = open_location(str(tmp_path / "lake"))
    with pytest.raises(ConfigError, match=r"has 100 MB free, and an import needs 300 MB there .* set TMPDIR"):
        check_scratch()
    check_room(location, 150_000_000, keep=False)
    with pytest.raises(ConfigError, match=r"needs about 240 MB there; .*, set options_keep to hashes, or import fewer"):
        check_room(location, 150_000_000, keep=True)
    check_room(open_location("memory://"), 10**12, keep=True)  # what a store elsewhere has left is not known


def test_a_lake_that_may_not_be_written_to_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    location = open_location(str(tmp_path / "lake"))
    check_rights(location)
    assert location.paths("meta") == []
    shutil.rmtree(tmp_path / "lake" / "meta")
    (tmp_path / "lake" / "meta").write_text("a file in the place of the folder")
    with pytest.raises(LakeError):
        check_rights(location)


def test_the_library_is_needed_for_its_files_only() -> None:
    code = (
        "import sys; sys.modules['databento_dbn'] = None\n"
        "from quantx.pipeline.options.preflight import check_library\n"
        "check_library(['aapl_2014_quote_american.zip'])\n"
        "try: check_library(['a.dbn.zst'])\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs the library databento_dbn" in done.stdout
    assert "[options]" in done.stdout
    check_library(["a.dbn.zst"])


def test_the_folders_of_dead_processes_are_removed_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, signal\n"
        "from quantx.pipeline.options.scratch import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    (folder / 'rows').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], env={"TMPDIR": str(tmp_path)}, check=False)
    assert len(list(tmp_path.glob("quantx-options-*/files/rows"))) == 1
    notes = tmp_path / "quantx-options-notes"  # a folder of the user, which is named alike
    notes.mkdir()
    with scratch_folder() as living:
        assert list(tmp_path.glob("quantx-options-*/files")) == [living]
        assert list(notes.iterdir()) == []
        with scratch_folder() as other:
            assert living.is_dir()
            assert other != living
    assert list(tmp_path.glob("quantx-options-*/")) == [notes]
