#!/usr/bin/env bash
# Run a quantx command in Azure with the worker's identity, and wait for its end: the database accepts no outside connections.
#   deploy/run.sh status
#   deploy/run.sh tasks retry
# Its output is in Log Analytics a few minutes later; the script prints the query.
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

[ $# -gt 0 ] || fail "give a quantx command, as in: status"
check_prerequisites az python3
start_stopped_database
start_command "$@"
wait_for "$prefix-backfill" "$execution" 12 # backfillTimeout
say "run: query for the output:"
show_log "$execution"
