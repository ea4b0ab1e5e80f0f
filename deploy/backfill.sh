#!/usr/bin/env bash
# Start one execution of the backfill job with arguments of `quantx backfill`, and say how to follow it.
#   deploy/backfill.sh --start 2010-01-01 --phase phase_1
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

[ $# -gt 0 ] || fail "say what to fetch, as after quantx backfill: --start 2010-01-01 --phase phase_1"
check_prerequisites az python3
start_stopped_database

# An execution with other arguments needs the whole container (image, settings): what is not handed over is not kept.
wanted="$(mktemp)"
trap 'rm -f "$wanted"' EXIT
az containerapp job show --resource-group "$group" --name "$prefix-backfill" --query properties.template --output json |
    python3 -c '
import json, sys
template = json.load(sys.stdin)
template["containers"][0]["args"] = ["backfill", *sys.argv[1:]]
json.dump({"containers": template["containers"]}, sys.stdout)' "$@" >"$wanted"
execution="$(az containerapp job start --resource-group "$group" --name "$prefix-backfill" --yaml "$wanted" --query name --output tsv)"
say "backfill: runs as $execution; follow it with:"
say "        az containerapp job execution show --resource-group $group --name $prefix-backfill --job-execution-name $execution"
