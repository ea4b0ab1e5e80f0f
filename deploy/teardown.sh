#!/usr/bin/env bash
# Delete everything that deploy_hybrid.sh created: the resource group with the lake, its state and its backups.
# It wants the group's name typed, or as an argument: deploy/teardown.sh --name GROUP
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh. Locks need the rights of an owner.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

usage="usage: deploy/teardown.sh [--name GROUP]"
typed=""
case "$#:${1:-}" in
    0:) ;;
    2:--name) typed="$2" ;;
    *) fail "unknown arguments; $usage" ;;
esac
check_prerequisites az
if [ "$(az group exists --name "$group")" != true ]; then
    say "teardown: no group $group; nothing to do"
    exit 0
fi
az resource list --resource-group "$group" --query "[].{type:type, location:location, name:name}" --output table >&2
locks="$(az lock list --resource-group "$group" --query "[].id" --output tsv)"
say "teardown: locks, which are removed first: $(printf '%s' "$locks" | grep -c . || true)"
[ -z "$locks" ] || printf '  %s\n' $locks >&2 # ids have no spaces
say "teardown: containers with a retention policy; while objects in one with a locked policy are retained, Azure deletes neither account nor group:"
for account in $(az storage account list --resource-group "$group" --query "[].name" --output tsv); do
    az storage container-rm list --resource-group "$group" --storage-account "$account" --query "[?hasImmutabilityPolicy].name" --output tsv |
        sed "s|^|  $account/|" >&2
done
cat >&2 <<TEXT
teardown: all of this will be deleted from the subscription $subscription: the lake with all raw objects, the state, and the
backups in this group. What was copied elsewhere stays (quantx backup create). Recoverable parts, and for how long:
  storage accounts   14 days, unless the name is taken (portal: Storage accounts, Restore deleted account); the soft delete of
                     objects ends with the account
  database           5 days, by restoring the dropped server from its backup
  vault              7 days; the next deployment recovers it, and it can't be purged earlier
  logs               14 days, by creating a workspace of the same name
  image, functions   not recoverable; they are built from the commit
TEXT
if [ -z "$typed" ]; then
    [ -t 0 ] || fail "no terminal to type the group's name; $usage"
    read -r -p "Type the group's name to delete it: " typed
fi
[ "$typed" = "$group" ] || fail "$typed is not $group; nothing was deleted, and no lock was removed"
roles="$(az role definition list --custom-role-only true --resource-group "$group" \
    --query "[?starts_with(roleName, 'quantx ')].name" --output tsv)"
# shellcheck disable=SC2086  # ids have no spaces
[ -z "$locks" ] || az lock delete --ids $locks
# The group's roles outlive it, and are useful only in it. They go first: a role in use can't be deleted, and one of a group is found
# at that group only (azure-cli, role/custom.py; "atScopeAndBelow" in azure-docs, role-definitions-list).
for role in $roles; do
    assignments="$(az role assignment list --all --query "[?ends_with(roleDefinitionId, '$role')].id" --output tsv)"
    # shellcheck disable=SC2086
    [ -z "$assignments" ] || az role assignment delete --ids $assignments
    az role definition delete --name "$role" --resource-group "$group"
done
az group delete --name "$group" --yes
say "teardown: $group is deleted"
