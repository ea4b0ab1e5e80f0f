#!/usr/bin/env bash
# Delete everything that deploy_hybrid.sh created: the resource group with the lake in it. Asks for the group's name, or needs --yes.
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

sure=false
for argument in "$@"; do
    case "$argument" in
        --yes) sure=true ;;
        *) fail "unknown argument $argument; usage: deploy/teardown.sh [--yes]" ;;
    esac
done
check_prerequisites az
if [ "$(az group exists --name "$group")" != true ]; then
    say "teardown: no group $group; nothing to do"
    exit 0
fi
az resource list --resource-group "$group" --query "[].{type:type, name:name}" --output table >&2
cat >&2 <<TEXT
teardown: all of this will be deleted from the subscription $subscription, the lake as well. Recoverable parts, and for how long:
  storage accounts   14 days, unless the name is taken (portal: Storage accounts, Restore deleted account)
  database           5 days, by restoring the dropped server from its backup
  vault              7 days; the next deployment recovers it, and it can't be purged earlier
  logs               14 days, by creating a workspace of the same name
  image, functions   not recoverable; they are built from the commit
TEXT
if [ "$sure" = false ]; then
    [ -t 0 ] || fail "no terminal to ask for confirmation; use --yes"
    read -r -p "Type the group's name to delete it: " typed
    [ "$typed" = "$group" ] || fail "that is not $group; nothing was deleted"
fi
roles="$(az role definition list --custom-role-only true --resource-group "$group" \
    --query "[?starts_with(roleName, 'quantx ')].name" --output tsv)"
az group delete --name "$group" --yes
for role in $roles; do # it would outlive the group, and is useful only in it
    az role definition delete --name "$role"
done
say "teardown: $group is deleted"
