#!/usr/bin/env bash
# Start one execution of the backfill job with arguments of `quantx backfill`, and print how to follow it.
#   deploy/backfill.sh --start 2010-01-01 --phase phase_1
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

[ $# -gt 0 ] || fail "give the arguments of quantx backfill: --start 2010-01-01 --phase phase_1"
check_prerequisites az python3
start_stopped_database
start_command backfill "$@"
say "backfill: execution $execution started; follow it with:"
say "        az containerapp job execution show --resource-group $group --name $prefix-backfill --job-execution-name $execution"
