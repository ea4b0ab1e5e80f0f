#!/usr/bin/env bash
# Restore a backup into the empty lake and the empty database of this deployment, as the identity that owns the schema.
#   deploy/restore.sh https://ACCOUNT.blob.core.windows.net/backups [--backup ID]
# First docs/operations.md, "From a backup": it says how to empty both, and which rights the identity needs meanwhile.
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

[ $# -gt 0 ] || fail "give the place of the backups: https://ACCOUNT.blob.core.windows.net/backups"
check_prerequisites az python3
start_stopped_database
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
for job in migrate backfill; do
    az containerapp job show --resource-group "$group" --name "$prefix-$job" --query properties.template --output json >"$folder/$job"
done
# The job of the migrator knows the database, that of the worker the lake. Vendor keys are not needed.
python3 -c '
import json, sys
folder, *arguments = sys.argv[1:]
migrator, worker = (json.load(open(f"{folder}/{job}"))["containers"][0] for job in ("migrate", "backfill"))
known = {entry["name"] for entry in migrator["env"]}
others = (e for e in worker["env"] if e["name"] not in known and "value" in e and not e["name"].startswith("APPLICATIONINSIGHTS"))
container = {**migrator, "args": ["backup", "restore", *arguments], "env": [*migrator["env"], *others]}
json.dump({"containers": [container]}, open(f"{folder}/execution", "w"))' "$folder" "$@"
execution="$(az containerapp job start --resource-group "$group" --name "$prefix-migrate" --yaml "$folder/execution" --query name --output tsv)"
wait_for "$prefix-migrate" "$execution" 6 # replicaTimeout; a second restore beside a running one must not be started
run_job "$prefix-migrate" # the restored schema has no grants
say "restore: done; next: deploy/run.sh verify, deploy/run.sh status"
