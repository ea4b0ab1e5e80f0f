"""Start or stop the database that SERVER_ID names: `python power.py start|stop`. A repeated call changes nothing.

It is not stopped while tasks wait in QUEUE_URL: a backfill may go on through the night.
"""

from __future__ import annotations

import os
import sys

import httpx
from azure.identity import ManagedIdentityCredential

NEEDS = {"start": "Stopped", "stop": "Ready"}
API = {"api-version": "2025-08-01"}


def main(verb: str) -> None:
    """Carry out `verb` where the server's state calls for it."""
    management = os.environ["MANAGEMENT_URL"].rstrip("/")
    server = management + os.environ["SERVER_ID"]
    with (
        ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]) as identity,
        httpx.Client(timeout=60) as web,
    ):

        def signed(scope: str) -> dict[str, str]:
            return {"Authorization": f"Bearer {identity.get_token(scope).token}"}

        manager = signed(f"{management}/.default")
        state = web.get(server, params=API, headers=manager).raise_for_status().json()["properties"]["state"]
        waiting = 0
        if verb == "stop" and state == NEEDS[verb]:
            storage = {**signed("https://storage.azure.com/.default"), "x-ms-version": "2024-11-04"}
            seen = web.get(os.environ["QUEUE_URL"], params={"comp": "metadata"}, headers=storage).raise_for_status()
            waiting = int(seen.headers["x-ms-approximate-messages-count"])
        done = state == NEEDS[verb] and not waiting
        if done:
            web.post(f"{server}/{verb}", params=API, headers=manager).raise_for_status()
        print(f"database {state}, {waiting} tasks queued: {verb if done else 'unchanged'}", flush=True)  # noqa: T201


main(sys.argv[1])
