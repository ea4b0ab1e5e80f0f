"""Keep the app's packages in the registry, one for each tag of the image, or fetch one.

    TOKEN=… packages.py keep SERVER NAME:TAG FILE
    TOKEN=… packages.py fetch SERVER NAME:TAG FILE   status 3: there is none

Each deployment overwrites the package in the app's own storage, and Azure keeps no former one
(https://learn.microsoft.com/azure/azure-functions/functions-rollback-deployments). The registry has what a return to
the last release needs: image and package under one tag, rights that the deployer has already, and no firewall.
TOKEN is that of `az acr login --expose-token`; the requests are those of the OCI distribution specification 1.1 and of
https://azure.github.io/acr/AAD-OAuth.html.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlencode, urljoin

from https import Reply, fail, send

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"


def keep(server: str, name: str, tag: str, content: bytes, token: str) -> None:
    """Store a package under its tag; the same package twice changes nothing."""
    access = access_token(server, name, token)
    for blob in (EMPTY, content):
        store(server, name, blob, access)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.quantx.functions",
        "config": described(EMPTY, "application/vnd.oci.empty.v1+json"),
        "layers": [described(content, "application/zip")],
    }
    url = f"https://{server}/v2/{name}/manifests/{tag}"
    body = json.dumps(manifest).encode()
    expect(send("PUT", url, body, Authorization=access, Content_Type=MANIFEST), 201, f"the manifest {name}:{tag}")


def store(server: str, name: str, blob: bytes, access: str) -> None:
    """Upload a blob that the registry does not have."""
    digest = digest_of(blob)
    if send("HEAD", f"https://{server}/v2/{name}/blobs/{digest}", Authorization=access).status == 200:
        return
    start = send("POST", f"https://{server}/v2/{name}/blobs/uploads/", b"", Authorization=access)
    expect(start, 202, "the upload")
    url = urljoin(f"https://{server}", start.headers["Location"])
    url += ("&" if "?" in url else "?") + urlencode({"digest": digest})
    done = send("PUT", url, blob, Authorization=access, Content_Type="application/octet-stream")
    expect(done, 201, f"the blob {digest}")


def fetch(server: str, name: str, tag: str, token: str) -> bytes | None:
    """Return the package of a tag, None where there is none."""
    access = access_token(server, name, token)
    reply = send("GET", f"https://{server}/v2/{name}/manifests/{tag}", Authorization=access, Accept=MANIFEST)
    if reply.status == 404:
        return None
    expect(reply, 200, f"the manifest {name}:{tag}")
    digest = json.loads(reply.body)["layers"][0]["digest"]
    blob = send("GET", f"https://{server}/v2/{name}/blobs/{digest}", Authorization=access)
    if blob.status in (302, 307):  # to a storage account, whose address is signed: it takes no token
        blob = send("GET", blob.headers["Location"])
    expect(blob, 200, f"the blob {digest}")
    if digest_of(blob.body) != digest:
        fail(f"packages: the content of {name}:{tag} does not match its digest {digest}")
    return blob.body


def access_token(server: str, name: str, refresh_token: str) -> str:
    """Exchange the token of the sign-in for one of this repository; return the header's value."""
    form = {
        "grant_type": "refresh_token",
        "service": server,
        "scope": f"repository:{name}:pull,push",
        "refresh_token": refresh_token,
    }
    url = f"https://{server}/oauth2/token"
    reply = send("POST", url, urlencode(form).encode(), Content_Type="application/x-www-form-urlencoded")
    expect(reply, 200, "the token")
    return f"Bearer {json.loads(reply.body)['access_token']}"


def expect(reply: Reply, status: int, what: str) -> None:
    """End with a message unless the registry answered with this status."""
    if reply.status != status:
        fail(f"packages: the registry answers {reply.status} to {what}: {reply.text or 'no text'}")


def described(blob: bytes, kind: str) -> dict[str, object]:
    """Return the descriptor of a blob."""
    return {"mediaType": kind, "digest": digest_of(blob), "size": len(blob)}


def digest_of(blob: bytes) -> str:
    """Return the digest of a blob, as registries write it."""
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def main(arguments: list[str], token: str) -> None:
    """Carry out the command line."""
    match arguments:
        case ["keep", server, reference, file]:
            name, _, tag = reference.partition(":")
            keep(server, name, tag, Path(file).read_bytes(), token)
        case ["fetch", server, reference, file]:
            name, _, tag = reference.partition(":")
            content = fetch(server, name, tag, token)
            if content is None:
                sys.exit(3)
            Path(file).write_bytes(content)
        case _:
            fail(f"{__doc__}", 2)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ["TOKEN"])
