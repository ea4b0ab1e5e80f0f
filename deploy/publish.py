"""Publish a package to a Functions app on Flex Consumption, or ask the app whether it is ready.

    TOKEN=… publish.py package HOST FILE   HOST: the app's deployment site; TOKEN: of Azure Resource Manager
    KEY=… publish.py ready HOST            HOST: the app; KEY: of its HTTP functions

Status 2: the package was refused, and the app is as before. Status 1: the deployment or the app failed.

Not `az functionapp deploy --type zip`: it sends application/octet-stream, which the site answers with 415
(Azure/azure-cli#33688). Not `az functionapp deployment source config-zip`: for Python on Flex Consumption it always
builds again in Azure (azure-cli 2.91), with another Python and without our wheel. The request is that of
hashicorp/terraform-provider-azurerm#31937, the answers are those that Azure/azure-dev reads in
cli/azd/pkg/azsdk/funcapp_host_client.go.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from https import Reply, fail, say, send, wait

TRIES = 120
# Numbers of the states of a deployment (azure-dev, PublishStatus).
SUCCESS = 4
FAILED = {
    -1: "was cancelled",
    3: "failed",
    5: "was cancelled, because another deployment is in progress",
    6: "succeeded only partly",
}
REFUSED = {
    0: "no connection to the site",
    401: "the token was refused; run az login again",
    403: "not allowed: it needs the right Microsoft.Web/sites/publish/Action (Contributor, Website Contributor), and "
    "an address that the app's access restrictions let in",
    404: "the site has no /api/publish; only an app on Flex Consumption has it",
    409: "another deployment is in progress; wait until it has ended, and run this again",
    415: "the site takes application/zip only",
}
# Answers of /api/ready that say nothing about the release, once the app has had the time to load.
UNASKED = {
    401: "the app's sign-in (Entra, or its access restrictions) refuses this user",
    403: "the app's sign-in (Entra, or its access restrictions) refuses this user",
    404: "this package has no /api/ready",
}
SURE = 3  # tries
BUSY = {0, 429, 500, 502, 503, 504}


def publish(host: str, package: Path, token: str) -> None:
    """Send the package, then wait until its deployment has ended."""
    identifier = send_package(host, package, token)
    state: dict[str, object] = {}  # the last answer
    for _ in range(TRIES):
        wait()
        reply = send("GET", f"https://{host}/api/deployments/{identifier}", Authorization=f"Bearer {token}")
        if reply.status == 404 and state:
            break  # the machine that deployed was recycled after its work (azure-dev does the same)
        found = document(reply)
        if not isinstance(found, dict):
            continue
        state = found
        status = int(str(state.get("status", 0)))
        if status == SUCCESS:
            break
        if status in FAILED:
            fail(f"publish: the deployment {FAILED[status]}: {state.get('status_text') or 'no reason given'}")
    else:
        fail(f"publish: the deployment {identifier} has not ended; read https://{host}/api/deployments/{identifier}")
    say(f"publish: the deployment {identifier} succeeded")


def send_package(host: str, package: Path, token: str) -> str:
    """Send the package; return the id of its deployment. A site that is just starting is asked again."""
    reply = Reply()
    for _ in range(5):
        with package.open("rb") as content:
            reply = send(
                "POST",
                f"https://{host}/api/publish?type=zip&RemoteBuild=false&Deployer=quantx",
                content,
                Authorization=f"Bearer {token}",
                Content_Type="application/zip",
                Content_Length=str(package.stat().st_size),
            )
        if reply.status not in BUSY:
            break
        wait()
    if reply.status not in (200, 202):
        reason = REFUSED.get(reply.status, "the site did not take the package")
        fail(f"publish: {host} answers {reply.status}: {reason} ({reply.text or 'no text'})", 2)
    identifier = document(reply)  # the id, and nothing else
    return identifier if isinstance(identifier, str) and identifier else "latest"


def document(reply: Reply) -> object:
    """Return the JSON of a good answer, None for any other: the site answers with pages of HTML while it restarts."""
    try:
        return json.loads(reply.body) if reply.status in (200, 202) else None
    except ValueError:
        return None


def ask_ready(host: str, key: str) -> None:
    """Wait until the app reports that it reaches database, queue and lake; the first request may be a cold start."""
    reply = Reply()
    for tries in range(TRIES // 4):
        reply = send("GET", f"https://{host}/api/ready", x_functions_key=key)
        if reply.status == 200:
            say(f"ready: {reply.text}")
            return
        unasked = UNASKED.get(reply.status) if tries >= SURE else None
        if unasked and send("GET", f"https://{host}/api/health").status == 200:
            say(f"ready: {unasked}; /api/health answers, which proves only that the app is loaded")
            return
        wait()
    fail(f"ready: https://{host}/api/ready answers {reply.status}: {reply.text or 'no text'}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["package", site, file]:
            publish(site, Path(file), os.environ["TOKEN"])
        case ["ready", app]:
            ask_ready(app, os.environ["KEY"])
        case _:
            fail(f"{__doc__}", 2)
