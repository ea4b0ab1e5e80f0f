"""Backups and data that was deleted for good: named, left out, and deleted again where an older one is restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from quantx.backup.places import backups_with, leave_tombstone
from quantx.core.tombstones import SymbolDays, Tombstone
from quantx.pipeline.wiring import deleter_of
from quantx.settings import load_settings

from ..databases import Databases
from ..pipeline.conftest import Desk
from .conftest import Site


def test_a_deletion_is_named_with_its_backups_and_applied_by_the_restore_of_an_older_one(
    own_site: Site, opens: Callable[[Path, str], Desk], databases: Databases, tmp_path: Path
) -> None:
    own_site.back_up()
    (older,) = own_site.store.manifests()
    desk, settings = own_site.desk, load_settings()
    stone = Tombstone(
        id="01M8QE8WHHFGRR9CTHKVCS0CP1",
        source="tape",
        at=desk.clock.now(),
        by="eve",
        reason="the licence ended",
        symbols=(SymbolDays("AAA"),),
        requested=("AAA",),
    )
    assert deleter_of(desk.platform).delete(stone).complete
    (note,) = leave_tombstone(desk.platform.location, stone, settings)
    assert (note.url, note.backups, note.problem) == (own_site.store.url, (older,), None)
    assert note.objects > 0

    own_site.back_up()
    newer = max(own_site.store.manifests())
    assert backups_with(desk.platform.location, stone, settings)[0].backups == (older,)
    assert not any("bars_1d/source=tape" in path for path in _paths_about(own_site, newer, "AAA"))

    with databases.empty() as url:
        own_site.restore(tmp_path / "restored", url, older)
        restored = opens(tmp_path / "restored", url)
        assert "AAA" in restored.rows()["symbol"]  # as the backup has it, until the restore is finished
        assert [done.complete for done in deleter_of(restored.platform).resume()] == [True]
        assert "AAA" not in restored.rows()["symbol"]
        assert restored.rows().equals(desk.rows())


def _paths_about(site: Site, backup_id: str, symbol: str) -> list[str]:
    """Return the data files of a backup whose rows name a symbol."""
    copies = site.store.manifest(backup_id).objects
    files = {path: pl.read_parquet(site.store.get(copy)) for path, copy in copies.items() if "/source=" in path
             and path.endswith(".parquet") and not path.startswith("raw/")}  # fmt: skip
    return [path for path, rows in files.items() if "symbol" in rows.columns and symbol in rows["symbol"]]
