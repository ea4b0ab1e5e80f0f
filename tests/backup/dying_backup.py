"""Create or restore backups in processes that kill themselves with -9: python dying_backup.py, one order per line.

An order is JSON: {"verb", "phase", "at", "url", "lake", "state"}. Each is carried out in a forked process, so that the
imports are paid once; the reply is the exit code, negative for a signal. At the `at`-th step of the phase it dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from quantx.backup.create import create_backup
from quantx.backup.restore import restore_backup
from quantx.backup.retention import Keep, delete_old_backups
from quantx.backup.store import open_backups
from quantx.lake.store import open_location
from quantx.settings import load_settings
from quantx.state.database import Database
from quantx.state.postgres import open_state


def carry_out(order: dict[str, Any]) -> None:
    left = int(order["at"])

    def on_step(phase: str, done: int, total: int | None) -> None:
        nonlocal left
        if phase == order["phase"]:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    settings = load_settings()
    store, location = open_backups(order["url"], settings, create=True), open_location(order["lake"])
    if order["verb"] == "restore":
        restore_backup(
            store, store.manifest(), location, lambda: Database(order["state"], migrated=False), on_step=on_step
        )
        return
    state = open_state(order["state"])
    create_backup(location, state, store, settings={}, files={}, program="0", on_step=on_step)
    if order["phase"] == "retention":
        store.location.delete([min(store.manifests().values())])  # as retention begins
        os.kill(os.getpid(), signal.SIGKILL)
    delete_old_backups(store, state, Keep(newest=1))
    state.close()


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        carry_out(json.loads(line))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
