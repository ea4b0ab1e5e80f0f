#!/usr/bin/env bash
# Put the system into Azure: by default only shows what would change, --apply does it. Running it again changes nothing
# that is already so, and goes on where an earlier run was interrupted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

usage() {
    cat <<'TEXT'
deploy/deploy_hybrid.sh [--apply]

  (nothing)   check the prerequisites, compile the templates, show what would change (what-if)
  --apply     make the resource group, deploy infra/main.bicep, build the image in the registry, deploy the jobs, bring the
              database up to date, read the universes, publish the functions, run the sweeper once, print where everything is

Environment (all optional):
  QUANTX_ENVIRONMENT  dev (default) or prod: infra/<it>.bicepparam
  RESOURCE_GROUP      default quantx-dev or quantx-prod
  LOCATION            default westeurope
  STORAGE_ACCOUNT, ACR_NAME, FUNCTION_APP_NAME   names of their own in all of Azure; default: made up by the template
  QUANTX_DATABASE     always, window or external; default: what the .bicepparam says
  ALERT_EMAIL         who is told besides the owners
  IMAGE_ARCHIVE, IMAGE_NAME   an image that was built elsewhere (docker save) and its name there: pushed instead of built
  FUNCTIONS_PACKAGE   a package that was built elsewhere
  MAKE_CUSTOM_ROLE    false where who deploys may not make roles (infra/github.bicep has made it)
TEXT
}

apply=false
for argument in "$@"; do
    case "$argument" in
        --apply) apply=true ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown argument $argument" ;;
    esac
done

check_names() {
    [[ "${STORAGE_ACCOUNT:-abc}" =~ ^[a-z0-9]{3,24}$ ]] ||
        fail "STORAGE_ACCOUNT must be 3 to 24 lower-case letters and digits, not $STORAGE_ACCOUNT"
    [[ "${ACR_NAME:-abcde}" =~ ^[a-zA-Z0-9]{5,50}$ ]] || fail "ACR_NAME must be 5 to 50 letters and digits, not $ACR_NAME"
    [[ "${FUNCTION_APP_NAME:-ab}" =~ ^[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]$ ]] ||
        fail "FUNCTION_APP_NAME must be 2 to 60 letters, digits and hyphens, not $FUNCTION_APP_NAME"
    case "${QUANTX_DATABASE:-window}" in
        always | window | external) ;;
        *) fail "QUANTX_DATABASE must be always, window or external, not $QUANTX_DATABASE" ;;
    esac
}

# Sets `parameters`: the file of the environment, and above it what was asked for.
choose_parameters() {
    parameters=("infra/$environment.bicepparam" --parameters location="$location")
    [ -z "${STORAGE_ACCOUNT:-}" ] || parameters+=(storageAccountName="$STORAGE_ACCOUNT")
    [ -z "${ACR_NAME:-}" ] || parameters+=(acrName="$ACR_NAME")
    [ -z "${FUNCTION_APP_NAME:-}" ] || parameters+=(functionAppName="$FUNCTION_APP_NAME")
    [ -z "${QUANTX_DATABASE:-}" ] || parameters+=(database="$QUANTX_DATABASE")
    [ -z "${ALERT_EMAIL:-}" ] || parameters+=(alertEmail="$ALERT_EMAIL")
    since="$(output BUDGET_START)"
    [ -z "${since:=${BUDGET_START:-}}" ] || parameters+=(budgetStart="$since")
    [ -z "${MAKE_CUSTOM_ROLE:-}" ] || parameters+=(makeCustomRole="$MAKE_CUSTOM_ROLE")
}

show_what_would_change() {
    if [ "$(az group exists --name "$group")" != true ]; then
        say "deploy_hybrid: the group $group does not exist yet; --apply would create it with everything in infra/main.bicep."
        say "        For a full what-if run first: az group create --name $group --location $location"
        return
    fi
    az deployment group what-if --resource-group "$group" --parameters "${parameters[@]}" image="quantx:$tag"
}

register_providers() {
    local registered provider
    registered="$(az provider list --query "[?registrationState=='Registered'].namespace" --output tsv)" || true
    for provider in Microsoft.App Microsoft.Consumption Microsoft.ContainerRegistry Microsoft.DBforPostgreSQL Microsoft.Insights \
        Microsoft.KeyVault Microsoft.ManagedIdentity Microsoft.Network Microsoft.OperationalInsights Microsoft.Storage Microsoft.Web; do
        grep -qix "$provider" <<<"$registered" || az provider register --namespace "$provider" --wait ||
            say "deploy_hybrid: $provider can't be registered by who is signed in; where it is not, an owner must do it"
    done
}

# A vault outlives its group for a week and can't be made a second time under its name.
recover_vault() {
    local vault
    for vault in $(az keyvault list-deleted --resource-type vault \
        --query "[?contains(properties.vaultId, '/resourceGroups/$group/')].name" --output tsv); do
        say "deploy_hybrid: bringing back the vault $vault, which was deleted"
        az keyvault recover --name "$vault" --resource-group "$group" --location "$location" --output none
    done
}

deploy_templates() {  # deploy_templates [image=…]
    az deployment group create --name quantx --resource-group "$group" --parameters "${parameters[@]}" "$@" --output none
}

build_image() {
    local server
    if ! az acr repository show --name "$registry" --image "quantx:$tag" --output none 2>/dev/null; then
        say "deploy_hybrid: putting quantx:$tag into the registry $registry"
        if [ -z "${IMAGE_ARCHIVE:-}" ]; then
            az acr build --registry "$registry" --image "quantx:$tag" --file container/Dockerfile .
            return
        fi
        server="$(az acr show --name "$registry" --query loginServer --output tsv)"
        az acr login --name "$registry"
        docker load --input "$IMAGE_ARCHIVE"
        docker tag "$IMAGE_NAME" "$server/quantx:$tag"
        docker push "$server/quantx:$tag"
    fi
}

# The group remembers what was published last, and where.
publish_functions() {
    local app package
    app="$(output FUNCTION_APP_NAME)"
    if [ "$(az group show --name "$group" --query 'tags."quantx-functions"' --output tsv)" = "$app $tag" ]; then
        return
    fi
    package="${FUNCTIONS_PACKAGE:-}"
    if [ -z "$package" ]; then
        package="build/functions-$tag.zip"
        mkdir -p build
        deploy/package_functions.sh "$package"
    fi
    say "deploy_hybrid: publishing $package to $app"
    # Not `deployment source config-zip`: for Python on Flex Consumption that always builds again in Azure, whatever its
    # --build-remote says (azure-cli 2.91), with another Python and without our wheel.
    az functionapp deploy --resource-group "$group" --name "$app" --src-path "$package" --type zip --output none
    az tag update --resource-id "/subscriptions/$subscription/resourceGroups/$group" --operation Merge \
        --tags "quantx-functions=$app $tag" --output none
}

print_endpoints() {
    local host
    host="$(output FUNCTION_APP_HOST)"
    cat <<TEXT
resource group  $group
health          https://$host/api/health
trigger         https://$host/api/trigger-update (POST; key: az functionapp keys list --resource-group $group --name $(output FUNCTION_APP_NAME))
lake            $(output LAKE_URL) in the account $(output STORAGE_ACCOUNT)
queue           $(output QUEUE_URL)
database        $(output DATABASE_SERVER)
vault           $(output KEY_VAULT_NAME)
registry        $registry, image quantx:$tag
backfill        deploy/backfill.sh --start 2010-01-01 --phase phase_1
TEXT
}

check_prerequisites az git python3 ${IMAGE_ARCHIVE:+docker}
check_names
[ -z "${IMAGE_ARCHIVE:-}" ] || [ -n "${IMAGE_NAME:-}" ] || fail "IMAGE_ARCHIVE needs IMAGE_NAME, the image's name in it"
location="${LOCATION:-westeurope}"
tag="$(git rev-parse --short=12 HEAD)"
if [ -n "$(git status --porcelain -- src azure_functions config container deploy infra requirements pyproject.toml)" ]; then
    [ "$apply" = false ] || fail "there are changes that are not committed; what is deployed would not be what its tag says"
    say "deploy_hybrid: there are changes that are not committed (--apply will refuse)"
fi
choose_parameters
say "deploy_hybrid: subscription $subscription, group $group in $location, $environment, quantx:$tag"
az bicep build --file infra/main.bicep --stdout >/dev/null || fail "infra/main.bicep does not compile"

if [ "$apply" = false ]; then
    show_what_would_change
    say "deploy_hybrid: nothing was changed; --apply does it"
    exit 0
fi

register_providers
[ "$(az group exists --name "$group")" = true ] || az group create --name "$group" --location "$location" --output none
recover_vault
start_stopped_database
if [ -z "$(az acr list --resource-group "$group" --query "[].name" --output tsv)" ]; then
    say "deploy_hybrid: everything but the jobs, which need an image (a quarter of an hour, most of it for the database)"
    deploy_templates
fi
registry="${ACR_NAME:-$(output ACR_NAME)}"
[ -n "$registry" ] || fail "there is a registry in $group and no deployment named quantx; set ACR_NAME to its name"
build_image
say "deploy_hybrid: everything, with the image quantx:$tag"
deploy_templates image="quantx:$tag"
start_stopped_database
run_job "$prefix-migrate"
run_job "$prefix-universes" || say "deploy_hybrid: a list of a universe was refused; the last good one stays, and the rest goes on"
publish_functions
run_job "$prefix-sweeper"
print_endpoints
