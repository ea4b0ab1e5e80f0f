"""Archives in the lake's inbox: each member is a task, which one worker of the fleet imports."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quantx.cli.after_work import imported_from_inbox
from quantx.errors import QuantxError, QueueError, StateError
from quantx.pipeline.importing.inbox import import_inbox
from quantx.pipeline.options.inbox import import_task, plan_inbox
from quantx.pipeline.wiring import worker_of
from quantx.sandbox.option_archives import OptionSession, quotes_file, write_archive

from ..conftest import Desk

MAY = [date(2024, 5, day) for day in (1, 2, 3)]
ROWS = 2 * 2 * 5  # of a session


def session(day: date, spot: float = 100.0) -> OptionSession:
    return OptionSession(
        underlying="SPY", day=day, spot=spot, strikes=(95.0, 105.0), expirations=(date(2024, 6, 21),), minutes=5
    )


def put_archive(desk: Desk, folder: Path, name: str = "spy.zip") -> None:
    archive = write_archive(folder / name, [session(day) for day in MAY], modified=date(2024, 6, 1))
    desk.platform.location.put(f"inbox/options/{name}", archive.read_bytes())


def quotes(desk: Desk) -> pl.DataFrame:
    return desk.platform.tables["options_quotes_1m"].read()


def test_each_member_is_a_task_that_a_worker_imports_once(desk: Desk, tmp_path: Path) -> None:
    put_archive(desk, tmp_path)
    assert plan_inbox(desk.platform) == 3
    assert plan_inbox(desk.platform) == 3  # the same tasks
    worker_of(desk.platform).run()
    assert {row["state"] for row in desk.platform.state.tasks.listed(None, None, None)} == {"done"}
    assert quotes(desk).height == 3 * ROWS
    assert desk.platform.queue.depth().total == 0
    assert plan_inbox(desk.platform) == 0
    run = desk.platform.state.runs.recent(1)[0]
    assert (run["success"], run["rows_new"]) == (3, 3 * ROWS)


def test_a_file_is_read_with_the_lists_beside_it(desk: Desk) -> None:
    put = desk.platform.location.put
    put("inbox/options/job/a.dbn.zst", quotes_file(session(MAY[0])))
    put("inbox/options/job/condition.json", b'[{"date": "2024-05-01", "condition": "degraded"}]')
    assert plan_inbox(desk.platform) == 1
    worker_of(desk.platform).run()
    (member,) = desk.platform.state.option_members.listed(None)
    assert (member["state"], member["condition"], member["archive"]) == (
        "done",
        "degraded",
        "inbox/options/job/a.dbn.zst",
    )


def test_a_member_that_another_process_holds_is_left_to_it(desk: Desk, tmp_path: Path) -> None:
    put_archive(desk, tmp_path)
    plan_inbox(desk.platform)
    tasks = desk.platform.state.tasks
    (task,) = tasks.claim([tasks.listed(None, None, 1)[0]["id"]], "first", 60.0, 1).held
    with desk.platform.state.option_members.held(int(task.series.symbol.rpartition("#")[2])):
        assert import_task(desk.platform, task) is None
    tasks.release([task], 0.0)
    worker_of(desk.platform).run()
    assert quotes(desk).height == 3 * ROWS


def test_the_folder_names_the_source_of_a_csv(desk: Desk) -> None:
    text = "symbol,time,bid,ask\nSPY240621C00095000,2024-05-01T14:00:00Z,6.1,6.2\n"
    desk.platform.location.put("inbox/options/mydesk/quotes.csv", text.encode())
    assert plan_inbox(desk.platform) == 1
    worker_of(desk.platform).run()
    assert quotes(desk)["source"].to_list() == ["mydesk"]


def test_a_damaged_member_fails_its_task_and_is_tried_again_with_it(desk: Desk) -> None:
    body = quotes_file(session(MAY[0]))
    desk.platform.location.put("inbox/options/a.dbn.zst", body[: len(body) // 2])
    plan_inbox(desk.platform)
    assert worker_of(desk.platform).run().failed == 1
    (task,) = desk.platform.state.tasks.listed("failed", None, None)
    assert "download it again" in task["last_error"]
    assert desk.platform.queue.depth().total == 0
    desk.platform.location.put("inbox/options/a.dbn.zst", body)  # another version: planned as such
    assert plan_inbox(desk.platform) == 1
    worker_of(desk.platform).run()
    assert quotes(desk).height == ROWS


def test_an_archive_that_cannot_be_opened_is_a_finding(desk: Desk) -> None:
    desk.platform.location.put("inbox/options/a.zip", b"PK\x03\x04 and nothing else")
    assert plan_inbox(desk.platform) == 0
    (finding,) = desk.platform.state.findings.listed(10)
    assert (finding["rule"], finding["subject"]) == ("import_refused", "inbox/options/a.zip")


def test_bars_and_options_have_inboxes_of_their_own(desk: Desk, tmp_path: Path) -> None:
    put_archive(desk, tmp_path)
    assert import_inbox(desk.platform, worker_of).refused == 0
    assert desk.platform.location.has("inbox/options/spy.zip")


@pytest.mark.parametrize("error", [StateError("it is away"), QueueError("it is away")])
def test_an_outage_does_not_end_the_work_that_comes_after_the_inbox(
    desk: Desk, error: QuantxError, capsys: pytest.CaptureFixture[str]
) -> None:
    class Away:
        def open(self, *_: object) -> list[object]:
            raise error

    state = copy(desk.platform.state)
    state.findings = Away()  # type: ignore[assignment]
    assert imported_from_inbox(replace(desk.platform, state=state)) == 0
    assert "the inbox was not imported: it is away" in capsys.readouterr().err
