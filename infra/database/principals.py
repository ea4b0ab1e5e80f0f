"""Make the principals in PRINCIPALS ("name=object-id[=group] …") known to the PostgreSQL of PGHOST, PGUSER…, once.

Runs in the image as the migrator, the database's administrator, before `quantx migrate`; STATEMENT is principal.sql.
"""

from __future__ import annotations

import os

import certifi
import psycopg
from azure.identity import ManagedIdentityCredential

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"

with ManagedIdentityCredential(client_id=os.environ["AZURE_CLIENT_ID"]) as identity:
    token = identity.get_token(SCOPE).token
# The authorities of Azure's certificates: a token must reach the real server only.
with psycopg.connect(password=token, sslrootcert=certifi.where(), connect_timeout=30) as database:
    for principal in os.environ["PRINCIPALS"].split():
        name, object_id, *group = principal.split("=")
        values = {"name": name, "object_id": object_id, "kind": "group" if group else "service"}
        made = database.execute(os.environ["STATEMENT"], values).rowcount
        print(f"principal {name}: {'made' if made else 'known already'}", flush=True)  # noqa: T201
