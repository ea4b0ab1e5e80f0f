"""The schedule of a machine: shown first, readable by systemd and cron whatever the folder's name, removed exactly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quantx.cli import main
from quantx.cli.schedule.cron import CronLines, cron_fields
from quantx.cli.schedule.jobs import Installation, ScheduledJob, jobs_of
from quantx.cli.schedule.systemd import SystemdTimers, on_calendar
from quantx.core.schedule import parse_schedule
from quantx.errors import ConfigError

HARD = """my "data" 100% $HOME it's \\ & #1"""

_CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then
  [ -f "$TABLE" ] || { echo "no crontab for me" >&2; exit 1; }
  cat "$TABLE"
else
  cat > "$TABLE.new"
  [ -n "$REFUSE" ] && exit 1
  mv "$TABLE.new" "$TABLE"
fi
"""
_SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
exit ${STATUS:-0}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation in a folder with a hard name; systemctl and crontab are programs of the test."""
    made = tmp_path / HARD
    made.mkdir()
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("crontab", _CRONTAB), ("systemctl", _SYSTEMCTL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.chdir(made)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("TABLE", str(tmp_path / "table"))
    return made


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def running(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["schedule", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return running


def units(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "config" / "systemd" / "user").glob("*"))


class TestSystemd:
    def test_it_installs_a_timer_per_job_and_removes_exactly_those(
        self, run: Callable[..., tuple[int, str]], tmp_path: Path
    ) -> None:
        other = tmp_path / "config" / "systemd" / "user" / "mine.timer"
        other.parent.mkdir(parents=True)
        other.write_text("[Timer]\n")
        code, text = run("install", "--backup", "/mnt/my backups", "--yes")
        assert code == 0
        assert [path.name.split("-")[-1] for path in units(tmp_path) if path != other] == [
            *("backup.service", "backup.timer", "sweep.service", "sweep.timer", "update.service", "update.timer")
        ]
        assert text.index("OnCalendar=") < text.index("installed;")
        reload, enable = (tmp_path / "calls").read_text().splitlines()[-2:]
        assert reload == "--user daemon-reload"
        assert enable.startswith("--user enable --now quantx-")
        assert str(units(tmp_path)[-1]) in run("show")[1]
        assert run("remove", "--yes")[0] == 0
        assert units(tmp_path) == [other]
        assert "nothing is installed" in run("show")[1]
        assert "nothing is installed" in run("remove", "--yes")[1]

    def test_a_job_that_is_no_longer_wanted_goes(self, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
        run("install", "--backup", "/mnt/b", "--yes")
        run("install", "--yes")
        assert not [path for path in units(tmp_path) if "backup" in path.name]
        assert "disable --now" in (tmp_path / "calls").read_text()

    def test_two_folders_of_one_name_have_their_own_timers(self) -> None:
        first, second = Installation(Path("/a/data")), Installation(Path("/b/data"))
        assert first.id != second.id

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
    @pytest.mark.parametrize("name", ["python 3", "../a path 100%/python"])
    def test_systemd_reads_the_units_as_meant(self, folder: Path, tmp_path: Path, name: str) -> None:
        program = (folder / name).resolve()
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        job = ScheduledJob(
            name="update",
            meaning="daily update",
            schedule=parse_schedule("0 0 6 * * 1-5"),
            commands=[[str(program), "-m", "quantx", "100%", "$HOME", 'a "b"', "c\\d"]],
        )
        SystemdTimers(Installation(folder)).install([job])
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--user", *map(str, units(tmp_path))],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        ours = [line for line in checked.stderr.splitlines() if "quantx-" in line]
        assert (checked.returncode, ours) == (0, [])

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
    @pytest.mark.parametrize("text", ["0 0 6 * * 1-5", "0 */15 * * * *", "0 30 4 1,15 1-3 *", "5 0 6,18 * * 0"])
    def test_systemd_fires_when_we_do(self, text: str) -> None:
        schedule, begin = parse_schedule(text), datetime(2024, 1, 31, 23, 50, tzinfo=UTC)
        done = subprocess.run(
            [
                *("systemd-analyze", "calendar", "--iterations=5", f"--base-time={begin:%Y-%m-%d %H:%M:%S} UTC"),
                on_calendar(schedule),
            ],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        )
        fired = [line.split(": ")[1] for line in done.stdout.splitlines() if " UTC" in line and ": " in line]
        expected, moment = [], begin
        for _ in range(5):
            moment = schedule.first_after(moment)
            expected.append(f"{moment:%a %Y-%m-%d %H:%M:%S} UTC")
        assert [each for each in fired if each in expected] == expected

    def test_without_a_user_manager_nothing_is_written_and_old_files_can_be_removed(
        self, run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STATUS", "1")
        assert run("install", "--with", "systemd", "--yes")[0] == 2
        assert units(tmp_path) == []
        monkeypatch.setenv("STATUS", "0")
        assert run("install", "--with", "systemd", "--yes")[0] == 0
        monkeypatch.setenv("STATUS", "1")
        assert run("remove", "--yes")[0] == 0
        assert units(tmp_path) == []

    def test_a_machine_without_a_user_manager_and_cron_is_named(
        self, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("STATUS", "1")
        assert "lines of cron" in run("install", "--yes")[1]
        (tmp_path / "bin" / "crontab").unlink()
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        code, text = run("install", "--yes")
        assert (code, "neither systemd" in text) == (2, True)


class TestCron:
    def test_other_lines_stay_byte_for_byte(self, run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
        table = tmp_path / "table"
        before = "SHELL=/bin/fish\nCRON_TZ=Asia/Tokyo\n\n0 1 * * * echo 50\\% # no newline at the end"
        table.write_text(before)
        assert run("install", "--with", "cron", "--yes")[0] == 0
        once = table.read_text()
        assert once.startswith("# quantx schedule begin: ")  # what other lines set does not apply to ours
        assert once.endswith(f"\n{before}")
        assert run("install", "--with", "cron", "--yes")[0] == 0
        assert table.read_text() == once
        table.write_text(once + "\n0 2 * * * echo later\n")
        assert "quantx" in run("show")[1]
        assert run("remove", "--yes")[0] == 0
        assert table.read_text() == f"{before}\n0 2 * * * echo later\n"

    def test_lines_in_another_encoding_or_with_other_ends_stay(
        self, run: Callable[..., tuple[int, str]], tmp_path: Path
    ) -> None:
        before = "# Zürich\r\n0 1 * * * echo\r\n".encode("latin-1") + b"# \x0c\xc2\x85 \r x\n"
        (tmp_path / "table").write_bytes(before)
        assert run("install", "--with", "cron", "--yes")[0] == 0
        assert (tmp_path / "table").read_bytes().endswith(before)
        assert run("remove", "--yes")[0] == 0
        assert (tmp_path / "table").read_bytes() == before

    def test_a_crontab_that_refuses_is_not_changed(
        self, run: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "table").write_text("0 1 * * * echo\n")
        monkeypatch.setenv("REFUSE", "1")
        code, text = run("install", "--with", "cron", "--yes")
        assert (code, "nothing was changed" in text) == (2, True)
        assert (tmp_path / "table").read_text() == "0 1 * * * echo\n"

    def test_a_block_without_its_end_is_not_touched(
        self, run: Callable[..., tuple[int, str]], folder: Path, tmp_path: Path
    ) -> None:
        broken = f"# quantx schedule begin: {folder}\n0 1 * * * echo mine\n"
        (tmp_path / "table").write_text(broken)
        assert run("remove", "--yes")[0] == 2
        assert (tmp_path / "table").read_text() == broken

    def test_the_shell_gets_each_word_as_it_is(self, folder: Path, tmp_path: Path) -> None:
        program = folder / "python 3"
        program.write_text(f'#!/bin/sh\npwd > "{tmp_path}/where"\nprintf "%s\\n" "$@" > "{tmp_path}/words"\n')
        program.chmod(0o755)
        words = ["100%", "$HOME", 'a "b"', "it's", "c\\d"]
        job = ScheduledJob(
            name="x", meaning="x", schedule=parse_schedule("0 0 6 * * *"), commands=[[str(program), *words]]
        )
        preview = CronLines(Installation(folder), timedelta(0)).preview([job])
        (line,) = [line for line in preview.splitlines() if line.startswith("0 6 ")]
        command = line.split(" ", 5)[5].replace("\\%", "%")  # as cron passes it on
        subprocess.run(["/bin/sh", "-c", command], check=True)
        assert (tmp_path / "words").read_text().splitlines() == words
        assert (tmp_path / "where").read_text().strip() == str(folder)

    @pytest.mark.parametrize(
        ("text", "hours", "fields"),
        [
            ("0 0 6 * * 1-5", 0, ["0 6 * * 1,2,3,4,5"]),
            ("0 0 6 * * 1-5", 5.5, ["30 11 * * 1,2,3,4,5"]),
            ("0 0 6 * * 1-5", -8, ["0 22 * * 0,1,2,3,4"]),
            ("0 0 20 * * 5", 9, ["0 5 * * 6"]),
            ("0 */15 * * * *", 5.75, ["0,15,30,45 * * * *"]),
            ("0 0 6,23 * * 1", 2, ["0 8 * * 1", "0 1 * * 2"]),
            ("0 30 4 1 * *", 2, ["30 6 1 * *"]),
        ],
    )
    def test_local_times_are_those_of_the_schedule(self, text: str, hours: float, fields: list[str]) -> None:
        assert cron_fields(parse_schedule(text), timedelta(hours=hours)) == fields

    def test_days_of_the_month_that_would_shift_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="falls on other days"):
            cron_fields(parse_schedule("0 30 4 1 * *"), timedelta(hours=-8))


class TestInstall:
    def test_without_a_terminal_nothing_is_installed_unless_it_is_agreed(
        self, run: Callable[..., tuple[int, str]], tmp_path: Path
    ) -> None:
        code, text = run("install")
        assert (code, "OnCalendar" in text, "--yes" in text) == (2, True, True)
        assert units(tmp_path) == []

    def test_variables_that_a_scheduled_command_lacks_are_named_without_values(
        self, run: Callable[..., tuple[int, str]], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QUANTX_MAX_WORKERS", "7")
        monkeypatch.setenv("QUANTX_ALERTS_SLACK_URL", "https://x/c4n4ry")
        (folder / ".env").write_text("QUANTX_MAX_WORKERS=7\n")
        text = run("install", "--yes")[1]
        assert "QUANTX_ALERTS_SLACK_URL" in text
        assert "QUANTX_MAX_WORKERS" not in text
        assert "c4n4ry" not in text

    def test_the_jobs_follow_the_settings(self) -> None:
        jobs = jobs_of("0 0 7 * * *", backup_url="s3://b", backup_keep_days=9, use_local=True)
        assert [job.name for job in jobs] == ["update", "sweep", "backup"]
        assert jobs[0].schedule.text == "0 0 7 * * *"
        assert list(jobs[2].commands[0][3:]) == ["backup", "create", "s3://b", "--keep-days", "9", "--use-local"]
