"""Backups in Azure and in S3: stored, verified, restored from there; and a lake restored into a container."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import Any

import pytest

from quantx.backup.restore import restore_backup
from quantx.backup.store import open_backups
from quantx.backup.verify import verify_backup
from quantx.errors import ConfigError
from quantx.lake.store import open_location
from quantx.settings import load_settings
from quantx.state.database import Database

from ..azurite import Azurite
from ..databases import Databases
from .conftest import Site, lake_rows

pytestmark = pytest.mark.slow


@pytest.fixture(params=["azure", "s3"])
def place(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """The URL of a place for backups, and the settings that reach it."""
    if request.param == "s3":
        return request.getfixturevalue("s3_lake") + "/backups", load_settings()
    azurite: Azurite = request.getfixturevalue("azurite")
    settings = load_settings(azure_storage_connection_string=azurite.connection_string)
    return f"az://c{uuid.uuid4().hex}/backups", settings


def test_a_backup_goes_to_a_container_and_comes_back(
    site: Site, place: tuple[str, Any], tmp_path: Path, databases: Databases
) -> None:
    url, settings = place
    with contextlib.suppress(ConfigError):  # S3 has no containers to create
        open_backups(url, settings, create=False)
    site.store = open_backups(url, settings, create=True)
    made = site.back_up()
    assert site.back_up().copied == 0
    assert len(site.store.manifests()) == 2
    check = verify_backup(site.store, site.store.manifest())
    assert (check.damaged, check.read) == ({}, len({copy.sha256 for copy in made.manifest.copies()}))
    with databases.empty() as state:
        site.restore(tmp_path / "restored", state)
    rows = lake_rows(site.lake)
    assert {
        name: frame.equals(rows[name]) for name, frame in lake_rows(tmp_path / "restored").items()
    } == dict.fromkeys(rows, True)


def test_a_lake_is_restored_into_a_container(site: Site, azurite: Azurite, databases: Databases) -> None:
    site.back_up()
    settings = load_settings(azure_storage_connection_string=azurite.connection_string)
    location = open_location(f"az://c{uuid.uuid4().hex}", settings)
    with databases.empty() as state:
        manifest = site.store.manifest()
        restore_backup(site.store, manifest, location, lambda: Database(state, migrated=False))
    for path in ("raw", "curated", "quarantine"):
        assert location.sizes(path) == {p: c.size for p, c in manifest.objects.items() if p.startswith(f"{path}/")}
