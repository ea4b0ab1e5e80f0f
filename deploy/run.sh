#!/usr/bin/env bash
# Run a command of quantx in Azure, as the worker: the database lets nobody in from a desk. Waits for its end.
#   deploy/run.sh status
#   deploy/run.sh tasks retry
# What it prints is in Log Analytics a few minutes later; the script says how to read it there.
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

[ $# -gt 0 ] || fail "say which command, as after quantx: status"
check_prerequisites az python3
start_stopped_database
start_command "$@"
wait_for "$prefix-backfill" "$execution"
say "run: what it has printed:"
show_log "$execution"
