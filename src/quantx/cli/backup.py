"""Commands that copy lake and state to another place, verify the copies, and restore them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantx import __version__
from quantx.cli.options import Json, UseLocal, exits, parse_share, settings_for
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.core.foreign_errors import file_fact
from quantx.errors import Busy, ConfigError, QuantxError, StateError
from quantx.settings import Settings, without_secrets

if TYPE_CHECKING:
    from quantx.backup.create import BackupResult, OnStep
    from quantx.state.postgres import PostgresState

backup = typer.Typer(
    help="Copy lake and state to another place, verify the copies, and restore them into an empty place.",
    no_args_is_help=True,
)
Url = Annotated[
    str,
    typer.Argument(
        help="Place of the backups: a folder, az://CONTAINER, https://ACCOUNT.blob.core.windows.net/CONTAINER,"
        " s3://BUCKET or gs://BUCKET, each with an optional prefix."
    ),
]
Id = Annotated[str | None, typer.Option("--backup", help="Id of the backup; by default the newest.")]
_PHASES = {
    "cut": "waiting for an instant without a commit",
    "state": "state",
    "objects": "lake",
    "manifest": "manifest",
    "begin": "beginning",
    "finish": "finishing",
    "open": "finishing",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (create, list_, verify, restore):
        backup.command(command.__name__.removesuffix("_"))(exits(command))
    app.add_typer(backup, name="backup")


def create(
    url: Url,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Keep the newest N backups, and delete others; by default all are kept.")
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=1, help="Keep the backups of the last N days, and delete others.")
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Copy lake and state to another place, as they are at one instant; only what is new there is copied.

    Workers may go on. A backup that was interrupted is continued by the next one. With --keep and --keep-days a backup
    is kept if either option covers it; no object that a kept backup names is deleted. The exit code is 1 if an object
    of the lake is damaged, or another backup is under way.

    Example: quantx backup create s3://my-backups/quantx --keep-days 90
    """
    from quantx.backup.create import create_backup
    from quantx.backup.retention import Keep, delete_old_backups
    from quantx.backup.store import open_backups
    from quantx.lake.store import open_location

    settings = settings_for(use_local)
    try:
        with _state(settings) as state, _recorded(state) as outcome, _steps() as on_step:
            location = open_location(settings.lake_url, settings, create=False)
            store = open_backups(url, settings, create=True)
            done = create_backup(
                location,
                state,
                store,
                settings=settings.redacted(),
                files=_files(settings),
                program=__version__,
                on_step=on_step,
            )
            old, deleted = delete_old_backups(store, state, Keep(keep, keep_days))
            outcome.damaged = len(done.damaged)
    except Busy as error:
        err.print(str(error))
        return 1
    facts = _facts(done) | {"url": store.url, "deleted_backups": old, "deleted_objects": deleted}
    print_json(facts) if json else _print_created(facts)
    return 1 if facts["damaged"] else 0


def list_(url: Url, json: Json = False, use_local: UseLocal = False) -> int:
    """List the backups in a place, the oldest first.

    Example: quantx backup list s3://my-backups/quantx
    """
    from quantx.backup.store import open_backups

    store = open_backups(url, settings_for(use_local), create=False)
    rows = []
    for each in store.manifests():
        manifest = store.manifest(each)
        copies = {copy.sha256: copy.size for copy in manifest.copies()}
        rows.append(
            {
                "id": each,
                "lake": manifest.lake_url,
                "tables": len(manifest.versions),
                "objects": len(manifest.objects),
                "megabytes": round(sum(copies.values()) / 1e6, 1),
            }
        )
    print_json(rows) if json else print_table(f"backups in {store.url}", rows)
    return 0


def verify(
    url: Url,
    backup_id: Id = None,
    sample: Annotated[
        str | None,
        typer.Option(help="Read back only a random share of the objects, as in 5%; sizes are always compared."),
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Read the objects of a backup back, and compare them with their SHA-256. The exit code is 1 where one is damaged.

    Example: quantx backup verify s3://my-backups/quantx --sample 5%
    """
    from quantx.backup.store import open_backups
    from quantx.backup.verify import verify_backup

    share = parse_share(sample)
    store = open_backups(url, settings_for(use_local), create=False)
    with _steps() as on_step:
        found = verify_backup(
            store, store.manifest(backup_id), share, on_object=lambda done, total: on_step("objects", done, total)
        )
    if json:
        print_json({"url": store.url, **asdict(found)})
    else:
        out.print(
            f"backup {found.id}: {found.read:,} of {counted(found.objects, 'object')} read back,"
            f" {found.read_bytes / 1e6:,.1f} MB"
        )
        for path, what in found.damaged.items():
            out.print(f"{path} {what}", markup=False)
        if found.damaged:
            out.print("next: delete the damaged objects; the next backup stores what the lake still has again")
        else:
            out.print("nothing is damaged")
    return 1 if found.damaged else 0


def restore(url: Url, backup_id: Id = None, json: Json = False, use_local: UseLocal = False) -> int:
    """Restore a backup into an empty lake (QUANTX_LAKE_URL) and an empty state (QUANTX_STATE_URL).

    Places that are not empty are refused. A restore that was interrupted is finished by the same command. The restored
    lake gets a new id: the lake and the state from before can't be mixed with the restored ones.

    Example: quantx backup restore s3://my-backups/quantx --backup 20261130T020000.000Z
    """
    from quantx.backup.restore import restore_backup
    from quantx.backup.store import open_backups
    from quantx.lake.store import open_location
    from quantx.state.database import Database
    from quantx.state.entra import identity_of_state

    settings = settings_for(use_local)
    store = open_backups(url, settings, create=False)
    manifest = store.manifest(backup_id)
    location = open_location(settings.lake_url, settings)

    def open_database() -> Database:
        return Database(settings.state_url, identity=identity_of_state(settings), migrated=False)

    with _steps() as on_step:
        done = restore_backup(store, manifest, location, open_database, on_step)
    _delete_again(settings)
    if json:
        print_json({"url": store.url, "lake_url": location.url, **asdict(done)})
    else:
        out.print(
            f"backup {done.id} restored into {location.url}: {counted(done.objects, 'object')},"
            f" {done.bytes / 1e6:,.1f} MB, {counted(done.rows, 'row')} of the state"
        )
        out.print("next: `quantx verify`, then `quantx status`; the configuration is in the manifest")
    return 0


def _delete_again(settings: Settings) -> None:
    """Delete what the tombstones from after a restored backup name."""
    from quantx.lake.store import open_location
    from quantx.lake.tombstones import deleted_of
    from quantx.pipeline.runtime.platform import open_platform
    from quantx.pipeline.wiring import deleter_of

    location = open_location(settings.lake_url, settings)
    if not any(stone for stone in deleted_of(location).stones if not stone.done):
        return
    with open_platform(settings) as platform:
        for done in deleter_of(platform).resume():
            err.print(f"deleted again: tombstone {done.id}, {counted(sum(done.rows.values()), 'row')} of tables")


@dataclass
class _Outcome:
    """What a backup has found."""

    damaged: int = 0


@contextmanager
def _recorded(state: PostgresState) -> Iterator[_Outcome]:
    """Record how the backup ends, for alerts."""
    outcome = _Outcome()
    try:
        yield outcome
    except Busy:
        raise
    except (QuantxError, OSError) as error:
        fact = str(error) if isinstance(error, QuantxError) else file_fact(error)
        with suppress(StateError):  # the database may be the reason
            state.job_outcomes.record("backup", without_secrets(fact).encode(errors="backslashreplace").decode())
        raise
    damaged = f"{counted(outcome.damaged, 'object')} of the lake damaged" if outcome.damaged else None
    state.job_outcomes.record("backup", damaged)


@contextmanager
def _state(settings: Settings) -> Iterator[PostgresState]:
    from quantx.state.entra import identity_of_state
    from quantx.state.postgres import open_state

    state = open_state(settings.state_url, identity_of_state(settings))
    try:
        yield state
    finally:
        state.close()


@contextmanager
def _steps() -> Iterator[OnStep]:
    with work_progress() as display:
        bar = display.add_task("backup", total=None, note="")

        def on_step(phase: str, done: int, total: int | None) -> None:
            display.update(bar, description=_PHASES[phase], completed=done, total=total)

        yield on_step


def _files(settings: Settings) -> dict[str, str]:
    """Return the configuration's file without secrets: the declaration of universes."""
    path = settings.declaration_path
    try:
        return {path.name: path.read_text("utf-8")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise ConfigError(f"the file {path} can't be read") from None


def _facts(done: BackupResult) -> dict[str, Any]:
    manifest = done.manifest
    return {
        "id": manifest.id,
        "objects": len(manifest.objects),
        "bytes": sum(copy.size for copy in manifest.objects.values()),
        "copied": done.copied,
        "copied_bytes": done.copied_bytes,
        "tables": len(manifest.versions),
        "state_rows": sum(table.rows for table in manifest.state.tables.values()),
        "damaged": dict(done.damaged),
        "damaged_with_earlier_copy": done.replaced,
    }


def _print_created(facts: dict[str, Any]) -> None:
    out.print(
        f"backup {facts['id']} in {facts['url']}: {counted(facts['objects'], 'object')} of the lake,"
        f" {facts['bytes'] / 1e6:,.1f} MB, {counted(facts['tables'], 'table')}; {counted(facts['state_rows'], 'row')}"
        " of the state"
    )
    out.print(f"copied {counted(facts['copied'], 'object')}, {facts['copied_bytes'] / 1e6:,.1f} MB; the rest was there")
    if facts["deleted_backups"]:
        out.print(
            f"deleted {counted(len(facts['deleted_backups']), 'old backup')} with"
            f" {counted(facts['deleted_objects'], 'object')}"
        )
    for path, what in facts["damaged"].items():
        out.print(f"damaged in the lake: {path} {what}; `quantx verify --repair` repairs it where it can", markup=False)
    if facts["damaged_with_earlier_copy"]:
        out.print(f"of {counted(facts['damaged_with_earlier_copy'], 'damaged object')} an earlier intact copy is kept")
