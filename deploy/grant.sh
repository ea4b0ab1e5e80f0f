#!/usr/bin/env bash
# Let one principal delete objects of a container until an hour that Azure checks, or take that back.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

usage() {
    cat <<'TEXT'
deploy/grant.sh erase raw|lake OBJECT_ID [HOURS]   assign the role "quantx eraser" for the container, for HOURS (default 2, at most 24)
deploy/grant.sh list                               show who has it, and until when
deploy/grant.sh revoke OBJECT_ID                   remove the principal's assignments of it, also those that have ended

The role reads and deletes objects of that container; it neither changes nor creates one. Azure refuses it after the hour, by the
assignment's condition, also where nobody revokes it. A retention policy refuses deletes as well: docs/operations.md says how to
remove one that is not locked. Run this as an owner of the resource group.

QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh; PRINCIPAL_TYPE: User (default), Group or ServicePrincipal.
TEXT
}

find_role() {
    role="$(az role definition list --custom-role-only true --resource-group "$group" \
        --query "[?starts_with(roleName, 'quantx eraser')].id | [0]" --output tsv)"
    [ -n "$role" ] || fail "there is no role 'quantx eraser' in $group; deploy infra/main.bicep first"
}

grant() {
    local container="$1" principal="$2" hours="$3" until blobs when
    case "$container" in raw | lake) ;; *) fail "the container must be raw or lake, not $container" ;; esac
    [[ "$principal" =~ ^[0-9a-fA-F-]{36}$ ]] || fail "give the object id of the principal, not $principal: az ad user show --id … --query id"
    { [[ "$hours" =~ ^[0-9]{1,2}$ ]] && [ "$hours" -ge 1 ] && [ "$hours" -le 24 ]; } || fail "HOURS must be 1 to 24, not $hours"
    find_role
    until="$(python3 -c '
import datetime, sys
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=int(sys.argv[1]))
print(ends.strftime("%Y-%m-%dT%H:%M:%S.0Z"))' "$hours")"
    blobs=Microsoft.Storage/storageAccounts/blobServices/containers
    when="@Resource[$blobs:name] StringEquals '$container' AND @Environment[UtcNow] DateTimeLessThan '$until'"
    # At the group: the lock on the account keeps assignments below it from being deleted (azure-docs,
    # azure-resource-manager/management/lock-resources: "prevents the deletion of Azure RBAC assignments").
    az role assignment create --role "$role" --assignee-object-id "$principal" --assignee-principal-type "${PRINCIPAL_TYPE:-User}" \
        --scope "/subscriptions/$subscription/resourceGroups/$group" \
        --condition "((!(ActionMatches{'$blobs/blobs/read'}) AND !(ActionMatches{'$blobs/blobs/delete'})) OR ($when))" \
        --condition-version 2.0 --description "Deletes objects of $container until $until." --output none
    say "grant: $principal may delete objects of $container until $until; afterwards: deploy/grant.sh revoke $principal"
}

case "${1:-} $#" in
    "erase 3" | "erase 4")
        check_prerequisites az python3
        grant "$2" "$3" "${4:-2}"
        ;;
    "list 1")
        check_prerequisites az
        find_role
        az role assignment list --all --role "$role" --query "[].{principal:principalId, name:principalName, what:description}" --output table
        ;;
    "revoke 2")
        check_prerequisites az
        find_role
        assignments="$(az role assignment list --all --role "$role" --query "[?principalId=='$2'].id" --output tsv)"
        [ -n "$assignments" ] || fail "$2 has no assignment of the role 'quantx eraser'"
        # shellcheck disable=SC2086  # ids have no spaces
        az role assignment delete --ids $assignments
        say "grant: revoked"
        ;;
    "-h 1" | "--help 1") usage ;;
    *) usage >&2; exit 2 ;;
esac
