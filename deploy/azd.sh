#!/usr/bin/env bash
# The hooks of azd (azure.yaml): deploy/azd.sh before|after its provisioning. azd hands over the variables of its environment;
# infra/main.parameters.json names those that are parameters.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export RESOURCE_GROUP="${AZURE_RESOURCE_GROUP:-${RESOURCE_GROUP:-}}"
export LOCATION="${AZURE_LOCATION:-${LOCATION:-westeurope}}"
# shellcheck source=deploy/azure.sh
. deploy/azure.sh
# shellcheck source=deploy/release.sh
. deploy/release.sh

# azd reads no .bicepparam: it would undo what is only there, and the script would set it again, at each provisioning.
refuse_second_source() {
    local names
    names="$(sed -n 's/^param \([A-Za-z]*\).*/\1/p' "infra/$environment.bicepparam" | grep -v '^environmentName$' | tr '\n' ' ')" || true
    [ -z "$names" ] ||
        fail "azd does not read infra/$environment.bicepparam, which sets ${names% }; use azd env set (variables: infra/main.parameters.json)"
}

# A stopped database refuses the provisioning, and jobs without an image would be another change: azd gets the one that runs.
before() {
    local image
    check_prerequisites az azd python3
    refuse_second_source
    [ "$(az group exists --name "$group")" = true ] || return 0
    start_stopped_database
    image="$(running_image)"
    [ -z "$image" ] || azd env set QUANTX_IMAGE "$image"
}

case "${1:-}" in
    before) before ;;
    after) exec bash deploy/deploy_hybrid.sh --apply ;;
    *) fail "give before or after" ;;
esac
