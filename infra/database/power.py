"""Start or stop the database that SERVER_ID names: `python power.py start|stop`. A repeated call changes nothing.

`start` waits until the server is ready, at most ten minutes. `stop` leaves a server running that is in use: by a
deployment, by an execution of a job, by tasks in QUEUE_URL, or by leases and new tasks in the state (STATEMENT).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import certifi
import httpx
import psycopg
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

SERVERS, JOBS, GROUPS = "2025-08-01", "2026-01-01", "2021-04-01"  # API versions
# States of a server that another operation has begun; in the others but Ready and Stopped nothing can be started.
PASSING = {"Starting", "Stopping", "Updating", "Restarting", "Provisioning"}
LONGEST_DEPLOYMENT = timedelta(hours=3)  # the tag of a deployment that was killed ends by itself
CONFLICT = 409  # another operation on the server is in progress


class Azure:
    """Requests to Azure's management API and to a queue, signed by the identity of this job."""

    def __init__(self, identity: ManagedIdentityCredential, web: httpx.Client) -> None:
        self._identity, self._web = identity, web
        self._management = os.environ["MANAGEMENT_URL"].rstrip("/")

    def token(self, scope: str) -> str:
        """Return a token for a service."""
        return self._identity.get_token(scope).token

    def resource(self, id_: str, api: str) -> dict[str, Any]:
        """Return a resource by its id."""
        return self._send("GET", self._management + id_, api).json()  # type: ignore[no-any-return]

    def resources(self, id_: str, api: str) -> Iterator[dict[str, Any]]:
        """Yield the resources of a list, all pages of it."""
        url: str | None = f"{self._management}{id_}?api-version={api}"
        while url:
            page = self._send("GET", url).json()
            yield from page["value"]
            url = page.get("nextLink")

    def act(self, id_: str, verb: str) -> bool:
        """Begin an operation on the server; return False where another one is in progress."""
        return self._send("POST", f"{self._management}{id_}/{verb}", SERVERS).status_code != CONFLICT

    def queued(self, queue: str) -> int:
        """Return how many messages a storage queue has, hidden ones included."""
        headers = {"Authorization": f"Bearer {self.token('https://storage.azure.com/.default')}"}
        seen = self._web.get(queue, params={"comp": "metadata"}, headers={**headers, "x-ms-version": "2024-11-04"})
        return int(self._checked(seen).headers["x-ms-approximate-messages-count"])

    def _send(self, method: str, url: str, api: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token(f'{self._management}/.default')}"}
        params = {"api-version": api} if api else None
        return self._checked(self._web.request(method, url, params=params, headers=headers))

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_error and not (response.status_code == CONFLICT and response.request.method == "POST"):
            request = f"{response.request.method} {response.request.url.path}"
            sys.exit(f"database: {request} was answered with {response.status_code}: {response.text[:300]}")
        return response


def state_of(azure: Azure, server: str) -> str:
    """Return the server's state as Azure reports it."""
    return str(azure.resource(server, SERVERS)["properties"]["state"])


def start(azure: Azure, server: str) -> None:
    """Start the server and wait until it is ready."""
    seconds = int(os.environ.get("WAIT_SECONDS", "600"))
    latest = time.monotonic() + seconds
    while (state := state_of(azure, server)) != "Ready":
        if state == "Stopped":
            say(f"database {state}: start" if azure.act(server, "start") else f"database {state}: busy, trying again")
        elif state not in PASSING:
            sys.exit(f"database {state}: it can't be started from this state; see the server in the portal")
        if time.monotonic() > latest:
            sys.exit(f"database {state}: not ready after {seconds} seconds; see the server's activity log")
        time.sleep(float(os.environ.get("POLL_SECONDS", "10")))
    say("database Ready")


def stop(azure: Azure, server: str) -> None:
    """Stop the server where it runs and nothing uses it."""
    state = state_of(azure, server)
    use = used_by(azure, server.split("/providers/", maxsplit=1)[0]) if state == "Ready" else "not running"
    if use:
        say(f"database {state}, {use}: unchanged")
    else:
        say(f"database {state}: " + ("stop" if azure.act(server, "stop") else "busy, unchanged"))


def used_by(azure: Azure, group: str) -> str:
    """Return what uses the database, empty where nothing does."""
    if since := deploying_since(azure.resource(group, GROUPS).get("tags") or {}):
        return f"a deployment since {since:%H:%M} UTC"
    for job in azure.resources(f"{group}/providers/Microsoft.App/jobs", JOBS):
        if not job["name"].endswith(("-db-start", "-db-stop")):
            for execution in azure.resources(f"{job['id']}/executions", JOBS):
                if execution["properties"]["status"] in {"Running", "Processing"}:
                    return f"the execution {execution['name']}"
    if queued := azure.queued(os.environ["QUEUE_URL"]):
        return f"{queued} tasks queued"
    held, recent = tasks_in_progress(azure)
    return f"{held} tasks held by workers, {recent} changed in the last two hours" if held or recent else ""


def deploying_since(tags: dict[str, str]) -> datetime | None:
    """Return when the deployment began that the tag of the resource group names, None without a current one."""
    try:
        since = datetime.fromisoformat(tags["quantx-deploying"])
        return since if datetime.now(UTC) - since < LONGEST_DEPLOYMENT else None
    except (KeyError, TypeError, ValueError):  # no tag, or not one of the script
        return None


def tasks_in_progress(azure: Azure) -> tuple[int, int]:
    """Return the number of leased tasks, and of unfinished ones that changed lately; PGHOST, PGUSER… name the state."""
    token = azure.token("https://ossrdbms-aad.database.windows.net/.default")
    # The authorities of Azure's certificates: a token must reach the real server only.
    with psycopg.connect(password=token, sslrootcert=certifi.where(), connect_timeout=30) as database:
        row = database.execute(os.environ["STATEMENT"].encode()).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def say(text: str) -> None:
    """Write a line to the job's log."""
    print(text, flush=True)  # noqa: T201


def main(verb: str) -> None:
    """Carry out `verb`; a failure ends with one line that names it."""
    try:
        with (
            ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]) as identity,
            httpx.Client(timeout=60) as web,
        ):
            {"start": start, "stop": stop}[verb](Azure(identity, web), os.environ["SERVER_ID"])
    except (httpx.HTTPError, ClientAuthenticationError, psycopg.Error) as error:
        sys.exit(f"database: {verb} failed: {str(error).splitlines()[0]}")


main(sys.argv[1])
