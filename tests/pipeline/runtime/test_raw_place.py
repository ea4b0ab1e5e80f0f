"""Raw objects in a place of their own: the same results, a move that loses nothing, and wrong settings are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from quantx.core.tables import TABLES
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.runtime.raw_place import confirm_raw
from quantx.pipeline.verifying.verify import Verifier
from quantx.settings import Settings, load_settings
from quantx.state.database import Database

from ..conftest import Desk, reprocess


def moved_to(desk: Desk, raw_url: str | None, **more: Any) -> LakeLocation:
    """Return the desk's lake as a process with this setting sees it."""
    return open_location(desk.platform.location.url, Settings(raw_url=raw_url, **more))


def is_refused(desk: Desk, location: LakeLocation) -> bool:
    """Return whether a process with this location refuses to work."""
    try:
        confirm_raw(location, desk.platform.state.replies)
    except ConfigError:
        return True
    return False


def run(desk: Desk) -> None:
    desk.work(desk.backfill("AAA", "BBB"))


def test_a_move_is_a_copy_and_a_setting(desk: Desk, tmp_path: Path) -> None:
    run(desk)
    before, asked = desk.rows(), len(desk.tape.asked)
    objects = desk.platform.location.paths("raw")
    inside, outside = tmp_path / "lake" / "raw", tmp_path / "evidence"
    assert not is_refused(desk, moved_to(desk, None))
    assert is_refused(desk, moved_to(desk, str(outside)))  # set before the copy
    shutil.copytree(inside, outside, dirs_exist_ok=True)
    shutil.rmtree(inside)
    assert is_refused(desk, moved_to(desk, None))  # the setting is forgotten
    assert is_refused(desk, moved_to(desk, str(tmp_path / "another")))
    location = moved_to(desk, str(outside))
    assert not is_refused(desk, location)
    assert location.paths("raw") == objects
    assert not Verifier(location, TABLES, desk.platform.state.replies).verify().damages
    moved = desk.with_(location=location)
    reprocess(moved)
    assert desk.rows().equals(before)
    assert len(desk.tape.asked) == asked  # nothing was fetched again
    desk.platform = moved
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB"))
    assert not inside.exists()
    assert len(location.paths("raw")) > len(objects)


def test_single_missing_objects_are_damage_and_no_wrong_setting(desk: Desk) -> None:
    run(desk)
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB"))
    first, *_, last = desk.platform.state.replies.first_and_last_objects(1)
    assert first != last
    desk.platform.location.delete([last])
    assert not is_refused(desk, desk.platform.location)
    desk.platform.location.delete(desk.platform.location.paths("raw"))
    assert is_refused(desk, desk.platform.location)


def test_a_new_state_that_finds_tables_and_no_raw_objects_is_refused(
    desk: Desk, another_desk: Callable[..., Desk], fresh_database: Database, tmp_path: Path
) -> None:
    run(desk)
    newer = another_desk(fresh_database)
    elsewhere = newer.with_(location=moved_to(desk, str(tmp_path / "elsewhere")))
    with pytest.raises(ConfigError, match=r"has bars and no raw object is in .*elsewhere; set QUANTX_RAW_URL"):
        reprocess(elsewhere)
    assert reprocess(newer.platform).symbols == 2


def test_a_process_does_not_start_with_a_wrong_setting(desk: Desk, migrated_database_url: str, tmp_path: Path) -> None:
    run(desk)
    given = {"lake_url": str(tmp_path / "lake"), "state_url": migrated_database_url}
    with open_platform(load_settings(**given)):  # type: ignore[arg-type]
        pass
    wrong = load_settings(**given, raw_url=str(tmp_path / "elsewhere"))  # type: ignore[arg-type]
    message = r"are not in .*elsewhere.*; set QUANTX_RAW_URL to the place where they are"
    with pytest.raises(ConfigError, match=message), open_platform(wrong):
        pass
