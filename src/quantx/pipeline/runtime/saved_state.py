"""Keep the embedded PostgreSQL's state as an object in the lake, for machines that do not outlive a run.

The object is a dump of the schema `quantx`. A run loads it into an empty folder, works, and saves it again. The save
replaces only the version that the run loaded: of two runs at the same time the second one fails to save.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import obstore
import psycopg

from quantx.errors import ConfigError, LakeError, StateError
from quantx.lake.replies import reply_reason
from quantx.lake.store import LakeLocation
from quantx.state.embedded import EmbeddedPostgres

SAVED_STATE = "state/quantx.dump"
_SCHEMA = "quantx"


def load_state(location: LakeLocation, folder: Path) -> int | None:
    """Load the saved state into a new folder; return its bytes, or None if none is saved.

    Raises ConfigError if the folder has a state, LakeError if the lake can't be read.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"the folder {folder} has a state; load into a new one (QUANTX_STATE_URL), or remove it")
    try:
        found = obstore.get(location.store, SAVED_STATE)
        version, body = found.meta["e_tag"] or "", bytes(found.bytes())
    except FileNotFoundError:
        return None
    except (obstore.exceptions.BaseError, OSError) as error:
        raise LakeError(f"cannot read {location.url}/{SAVED_STATE}: {reply_reason(error)}") from error
    with _server(folder) as (server, url):
        _run(server, ["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}"], body)
    _version_file(folder).write_text(version)
    return len(body)


def save_state(location: LakeLocation, folder: Path) -> int:
    """Save the state of a folder in the lake, and return its bytes.

    Raises ConfigError if the folder has no state, LakeError if another run has saved since this one loaded.
    """
    if not (folder / "PG_VERSION").is_file():
        raise ConfigError(f"the folder {folder} has no state; QUANTX_STATE_URL names the folder of an embedded one")
    with _server(folder) as (server, url):
        with psycopg.connect(url) as connection:
            found = connection.execute("select to_regnamespace(%s)", [_SCHEMA]).fetchone()
        if found is None or found[0] is None:
            raise ConfigError(f"the state in {folder} has no schema {_SCHEMA}; run `quantx backfill` first")
        body = _run(server, ["pg_dump", "--format=custom", "--no-owner", f"--schema={_SCHEMA}", url])
    loaded = _version_file(folder)
    try:
        if loaded.is_file():
            done = obstore.put(location.store, SAVED_STATE, body, mode={"e_tag": loaded.read_text()})
        else:
            done = obstore.put(location.store, SAVED_STATE, body, mode="create")
    except (obstore.exceptions.AlreadyExistsError, obstore.exceptions.PreconditionError) as error:
        raise LakeError(
            f"another run has saved its state in {location.url}/{SAVED_STATE} since this one began; this state is not"
            " saved: its runs are repeated by the next one"
        ) from error
    except (obstore.exceptions.BaseError, OSError) as error:
        raise LakeError(f"cannot write {location.url}/{SAVED_STATE}: {reply_reason(error)}") from error
    loaded.write_text(done["e_tag"] or "")
    return len(body)


@contextmanager
def _server(folder: Path) -> Iterator[tuple[EmbeddedPostgres, str]]:
    server = EmbeddedPostgres(folder)
    url = server.start()
    try:
        yield server, url
    finally:
        server.stop_if_unused()


def _run(server: EmbeddedPostgres, command: Sequence[str], given: bytes | None = None) -> bytes:
    try:
        done = subprocess.run([server.tool(command[0]), *command[1:]], input=given, capture_output=True, check=True)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise StateError(f"{command[0]} of the embedded PostgreSQL fails: {reason[0]}") from error
    return done.stdout


def _version_file(folder: Path) -> Path:
    """Return the file with the version of the object that the folder was loaded from, next to the folder."""
    return folder.with_name(f".{folder.name}.saved")
