# Functions shared by the scripts of this folder, which source it after `set -euo pipefail`.
# shellcheck shell=bash disable=SC2034  # the sourcing script uses the variables

environment="${QUANTX_ENVIRONMENT:-dev}"
group="${RESOURCE_GROUP:-quantx-$environment}"
prefix="quantx-$environment"
poll="${QUANTX_POLL_SECONDS:-10}"
script="$(basename "$0" .sh)"
outputs=""

subscription="${AZURE_SUBSCRIPTION_ID:-}"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$script: $*"; exit 2; }

# Every command goes to one subscription, whatever `az account set` selects meanwhile in another window. azd names it in
# AZURE_SUBSCRIPTION_ID; otherwise it is the selected one.
az() { command az "$@" ${subscription:+--subscription "$subscription"}; }

# Exit with status 2 unless all tools are installed and a user is signed in; set `subscription`.
check_prerequisites() {
    local tool
    case "$environment" in
        dev | prod) ;;
        *) fail "QUANTX_ENVIRONMENT must be dev or prod, not $environment" ;;
    esac
    [[ "$group" =~ ^[A-Za-z0-9._()-]{1,90}$ ]] || fail "RESOURCE_GROUP is not a valid name of a resource group: $group"
    for tool in "$@"; do
        type -P "$tool" >/dev/null || fail "$tool is not installed$(where_to_get "$tool")"
    done
    if ! subscription="$(az account show --query id --output tsv 2>/dev/null)"; then
        [ -z "${AZURE_SUBSCRIPTION_ID:-}" ] ||
            fail "az knows no subscription $AZURE_SUBSCRIPTION_ID (AZURE_SUBSCRIPTION_ID); run az login as a user who may use it"
        fail "not signed in; run: az login"
    fi
    [ -n "$subscription" ] || fail "no subscription is selected; run: az account set --subscription …"
}

where_to_get() {
    case "$1" in
        az) printf '%s' "; see https://learn.microsoft.com/cli/azure/install-azure-cli" ;;
        git) printf '%s' "; the tag of the image is the commit" ;;
        gh) printf '%s' "; see https://cli.github.com" ;;
        python3) printf '%s' "; it parses the output of az, and builds the package of the app" ;;
    esac
}

# Set `outputs` to those of the last deployment, a line NAME=value each. Azure changes the case of names at times.
read_outputs() {
    outputs="$(az deployment group show --resource-group "$group" --name quantx --query properties.outputs --output json 2>/dev/null |
        python3 -c '
import json, sys
for name, output in (json.loads(sys.stdin.read() or "null") or {}).items():
    print(name.upper(), output["value"], sep="=")')" || true
}

# output <NAME>: print this output, or nothing.
output() {
    local name value
    while IFS='=' read -r name value; do
        [ "$name" != "$1" ] || printf '%s\n' "$value"
    done <<<"$outputs"
}

# A stopped server refuses every change, and so the whole deployment. The scheduled job stops it again within hours.
start_stopped_database() {
    local server
    for server in $(az postgres flexible-server list --resource-group "$group" --query "[].name" --output tsv); do
        start_server "$server"
    done
}

# start_server <name>: return when it is ready; status 2 where that takes more than a quarter of an hour.
start_server() {
    local state tries
    for ((tries = 0; tries < 90; tries++)); do
        state="$(az postgres flexible-server show --resource-group "$group" --name "$1" --query state --output tsv)"
        case "$state" in
            Ready) return 0 ;;
            Stopped)
                say "$script: starting the database $1"
                az postgres flexible-server start --resource-group "$group" --name "$1" --output none
                ;;
            Disabled | Dropping | Inaccessible) fail "the database $1 is $state; see its page in the portal" ;;
            *) sleep "$poll" ;; # Starting, Stopping, Updating: it takes one change at a time
        esac
    done
    fail "the database $1 is still $state; run this again when it is Ready"
}

# run_job <name>: start one execution and wait for its success.
run_job() {
    local execution
    execution="$(az containerapp job start --resource-group "$group" --name "$1" --query name --output tsv)"
    wait_for "$1" "$execution"
}

# wait_for <name> <execution> [hours]: wait for its success; status 1 otherwise, also after 20 minutes or the given hours.
wait_for() {
    local status tries most="${3:+$((360 * $3))}"
    say "$script: job $1, execution $2 started"
    for ((tries = 0; tries < ${most:-120}; tries++)); do
        status="$(az containerapp job execution show --resource-group "$group" --name "$1" \
            --job-execution-name "$2" --query properties.status --output tsv)"
        case "$status" in
            Succeeded) return 0 ;;
            Failed | Stopped | Degraded)
                say "$script: the execution $2 of $1 ended with status $status; its log is in Log Analytics:"
                show_log "$2"
                return 1
                ;;
        esac
        sleep "$poll"
    done
    say "$script: the execution $2 of $1 has not ended; check it with:"
    say "        az containerapp job execution show --resource-group $group --name $1 --job-execution-name $2"
    return 1
}

# show_log <execution>: print the query for its output.
show_log() {
    say "        ContainerAppConsoleLogs | where ContainerGroupName startswith \"$1\" | order by TimeGenerated asc | project Log"
}

# start_command <quantx arguments…>: start one execution of the backfill job (with the worker's identity) with this command.
# Sets `execution`. Changed arguments need the whole container (image, settings): omitted parts are lost.
start_command() {
    local template
    template="$(mktemp)"
    az containerapp job show --resource-group "$group" --name "$prefix-backfill" --query properties.template --output json |
        python3 -c '
import json, sys
template = json.load(sys.stdin)
template["containers"][0]["args"] = sys.argv[1:]
json.dump({"containers": template["containers"]}, sys.stdout)' "$@" >"$template"
    execution="$(az containerapp job start --resource-group "$group" --name "$prefix-backfill" --yaml "$template" --query name --output tsv)"
    rm -f "$template"
}
