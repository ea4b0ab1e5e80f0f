"""The calendars of files equal computed ones; a file that is missing, damaged or outdated is computed again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from quantx.calendar_files import ZONES, find_calendar, last_day, read_calendar, write_calendar
from quantx.core.calendars import a_year_from, calendar, compute_calendar

TODAY = datetime.now(UTC).date()


@pytest.mark.slow
def test_the_calendars_of_files_are_the_computed_ones() -> None:
    folder = Path(os.environ["QUANTX_CACHE_DIR"], "calendars")
    for code in ZONES:
        find_calendar(lambda: folder.parent, code)
        assert read_calendar(code, folder, TODAY) == compute_calendar(code, a_year_from(TODAY))


def test_a_file_serves_until_the_end_of_the_next_year(tmp_path: Path) -> None:
    end = last_day(date(2024, 3, 1))
    whole = compute_calendar("XHKG", end)
    write_calendar(whole, end, tmp_path)
    for day, last in (("2024-03-01", "2025-02-28"), ("2024-12-31", "2025-12-31"), ("2025-12-31", "2026-12-31")):
        found = read_calendar("XHKG", tmp_path, date.fromisoformat(day))
        assert found.days == whole.sessions(whole.days[0], date.fromisoformat(last))
        assert len(found.days) == len(found.opens) == len(found.closes) == len(found.break_ends)
    with pytest.raises(ValueError, match="outdated"):
        read_calendar("XHKG", tmp_path, date(2026, 1, 1))


@pytest.mark.parametrize(
    ("today", "last"), [("2024-02-29", "2025-02-28"), ("2023-02-28", "2024-02-28"), ("2024-12-31", "2025-12-31")]
)
def test_calendars_reach_a_year_from_today(today: str, last: str) -> None:
    assert a_year_from(date.fromisoformat(today)) == date.fromisoformat(last)


def flipped(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


def of_other_rules(file: Path) -> None:
    whole = calendar("XTKS")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ZONES, "XTKS", "Europe/London")
        write_calendar(whole, last_day(TODAY), file.parent)


FAULTS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-9]),
    "a flipped bit": flipped,
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "from two years ago": lambda file: write_calendar(
        calendar("XTKS"), a_year_from(TODAY) - timedelta(days=1), file.parent
    ),
    "of other rules of the time zone": of_other_rules,
}


@pytest.mark.parametrize("spoil", FAULTS.values(), ids=FAULTS)
def test_a_file_that_cannot_be_used_is_computed_again(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    right = calendar("XTKS")
    write_calendar(right, last_day(TODAY), tmp_path / "calendars")
    (file,) = (tmp_path / "calendars").iterdir()
    spoil(file)
    with pytest.raises((OSError, ValueError)):
        read_calendar("XTKS", tmp_path / "calendars", TODAY)
    assert find_calendar(lambda: tmp_path, "XTKS") == right
    assert list((tmp_path / "calendars").iterdir()) == [file]
    if file.is_file():
        assert read_calendar("XTKS", tmp_path / "calendars", TODAY) == right


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_without_a_folder_that_can_be_written_calendars_are_computed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert find_calendar(lambda: tmp_path / "file", "XTKS") == find_calendar(no_home, "XTKS") == calendar("XTKS")


PROCESS = """
import sys, zlib
from quantx.settings import load_settings
from quantx.core.calendars import calendar
load_settings(cache_dir=sys.argv[1])
found = calendar("XTKS")
print(zlib.crc32(repr(found).encode()), "pandas" in sys.modules)
"""


@pytest.mark.slow
def test_processes_share_a_folder_and_later_ones_load_no_pandas(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    first = {process.communicate(timeout=120)[0].split()[0] for process in running}
    later = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert (first, later[1]) == ({later[0]}, "False")
    assert len(list((tmp_path / "calendars").iterdir())) == 1
