#!/usr/bin/env bash
# Put the system into Azure: by default only shows what would change, --apply does it. Running it again changes nothing
# that is already so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    cat <<'TEXT'
deploy/deploy_hybrid.sh [--apply]

  (nothing)   check the prerequisites, compile the templates, show what would change (what-if)
  --apply     make the resource group, deploy infra/main.bicep, build the image in the registry, deploy the job

Environment (all optional):
  RESOURCE_GROUP   default quantx
  LOCATION         default westeurope
  STORAGE_ACCOUNT  default quantx + a number made from subscription and resource group
  ACR_NAME         default the same; the container registry
TEXT
}

say() { printf '%s\n' "$*" >&2; }
fail() { say "deploy: $*"; exit 2; }

apply=false
for argument in "$@"; do
    case "$argument" in
        --apply) apply=true ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; fail "unknown argument $argument" ;;
    esac
done

command -v az >/dev/null || fail "the Azure CLI (az) is not installed; see https://learn.microsoft.com/cli/azure/install-azure-cli"
command -v git >/dev/null || fail "git is not installed; the image's tag is the commit"
subscription="$(az account show --query id --output tsv 2>/dev/null)" || fail "not signed in; run: az login"
tag="$(git rev-parse --short=12 HEAD)"
if [ -n "$(git status --porcelain -- src config container requirements pyproject.toml)" ]; then
    [ "$apply" = false ] || fail "there are changes that are not committed; the image would not be what its tag says"
    say "deploy: there are changes that are not committed (--apply will refuse)"
fi

group="${RESOURCE_GROUP:-quantx}"
own="$(printf '%s' "$subscription/$group" | cksum | cut -d ' ' -f 1)"
location="${LOCATION:-westeurope}"
storage="${STORAGE_ACCOUNT:-quantx$own}"
registry="${ACR_NAME:-quantx$own}"
[[ "$storage" =~ ^[a-z0-9]{3,24}$ ]] || fail "STORAGE_ACCOUNT must be 3 to 24 lower-case letters and digits, not $storage"
[[ "$registry" =~ ^[a-zA-Z0-9]{5,50}$ ]] || fail "ACR_NAME must be 5 to 50 letters and digits, not $registry"
parameters=(location="$location" storageAccountName="$storage" acrName="$registry")

say "deploy: subscription $subscription, group $group in $location, storage $storage, registry $registry, image quantx:$tag"
az bicep build --file infra/main.bicep --stdout >/dev/null || fail "infra/main.bicep does not compile"

if [ "$apply" = false ]; then
    if [ "$(az group exists --name "$group")" != true ]; then
        say "deploy: the group $group does not exist yet; --apply would create it with everything in infra/main.bicep."
        say "        For a full what-if run first: az group create --name $group --location $location"
        exit 0
    fi
    az deployment group what-if --resource-group "$group" --template-file infra/main.bicep \
        --parameters "${parameters[@]}" image="quantx:$tag"
    say "deploy: nothing was changed; --apply does it"
    exit 0
fi

az group create --name "$group" --location "$location" --output none
if ! az acr show --name "$registry" --resource-group "$group" --output none 2>/dev/null; then
    say "deploy: everything but the job, which needs an image"
    az deployment group create --name quantx-base --resource-group "$group" --template-file infra/main.bicep \
        --parameters "${parameters[@]}" --output none
fi
if ! az acr repository show --name "$registry" --image "quantx:$tag" --output none 2>/dev/null; then
    say "deploy: building quantx:$tag in the registry"
    az acr build --registry "$registry" --image "quantx:$tag" --file container/Dockerfile .
fi
say "deploy: everything, with the image quantx:$tag"
az deployment group create --name quantx --resource-group "$group" --template-file infra/main.bicep \
    --parameters "${parameters[@]}" image="quantx:$tag" --query properties.outputs --output json
say "deploy: done; start the worker with: az containerapp job start --name quantx-worker --resource-group $group"
