# What the scripts of this folder share; sourced by them, after `set -euo pipefail`.
# shellcheck shell=bash disable=SC2034  # the variables are for who sources it

environment="${QUANTX_ENVIRONMENT:-dev}"
group="${RESOURCE_GROUP:-quantx-$environment}"
prefix="quantx-$environment"
poll="${QUANTX_POLL_SECONDS:-10}"
script="$(basename "$0" .sh)"

say() { printf '%s\n' "$*" >&2; }
fail() { say "$script: $*"; exit 2; }

# Ends with status 2 unless everything is there and somebody is signed in; sets `subscription`.
check_prerequisites() {
    local tool
    case "$environment" in
        dev | prod) ;;
        *) fail "QUANTX_ENVIRONMENT must be dev or prod, not $environment" ;;
    esac
    [[ "$group" =~ ^[A-Za-z0-9._()-]{1,90}$ ]] || fail "RESOURCE_GROUP is no name of a resource group: $group"
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "$tool is not installed$(where_to_get "$tool")"
    done
    subscription="$(az account show --query id --output tsv 2>/dev/null)" || fail "not signed in; run: az login"
    [ -n "$subscription" ] || fail "no subscription is chosen; run: az account set --subscription …"
}

where_to_get() {
    case "$1" in
        az) printf '%s' "; see https://learn.microsoft.com/cli/azure/install-azure-cli" ;;
        git) printf '%s' "; the tag of the image is the commit" ;;
        python3) printf '%s' "; it reads what az answers, and builds the package of the app" ;;
    esac
}

# output <NAME>: what the last deployment put out, or nothing. Azure changes the case of names now and then.
output() {
    az deployment group show --resource-group "$group" --name quantx --query properties.outputs --output json 2>/dev/null |
        python3 -c '
import json, sys
outputs = json.loads(sys.stdin.read() or "null") or {}
print(next((o["value"] for name, o in outputs.items() if name.upper() == sys.argv[1]), ""))' "$1" || true
}

# A stopped server can neither be changed nor migrated; the job that stops it does so again within hours.
start_stopped_database() {
    local server
    for server in $(az postgres flexible-server list --resource-group "$group" --query "[?state=='Stopped'].name" --output tsv); do
        say "$script: starting the database $server"
        az postgres flexible-server start --resource-group "$group" --name "$server" --output none
    done
}

# run_job <name>: start one execution and wait until it has succeeded.
run_job() {
    local execution
    execution="$(az containerapp job start --resource-group "$group" --name "$1" --query name --output tsv)"
    wait_for "$1" "$execution"
}

# wait_for <name> <execution>: until it has succeeded; status 1 where it has not.
wait_for() {
    local status tries
    say "$script: $1 runs as $2"
    for ((tries = 0; tries < 120; tries++)); do
        status="$(az containerapp job execution show --resource-group "$group" --name "$1" \
            --job-execution-name "$2" --query properties.status --output tsv)"
        case "$status" in
            Succeeded) return 0 ;;
            Failed | Stopped | Degraded)
                say "$script: the execution $2 of $1 has the status $status; its log is in Log Analytics:"
                show_log "$2"
                return 1
                ;;
        esac
        sleep "$poll"
    done
    say "$script: the execution $2 of $1 has not ended; look at it with:"
    say "        az containerapp job execution show --resource-group $group --name $1 --job-execution-name $2"
    return 1
}

# show_log <execution>: where it says what it has printed.
show_log() {
    say "        ContainerAppConsoleLogs | where ContainerGroupName startswith \"$1\" | order by TimeGenerated asc | project Log"
}

# start_command <quantx arguments…>: one execution of the backfill job, which runs as the worker, with another command.
# Sets `execution`. Other arguments need the whole container (image, settings): what is not handed over is not kept.
start_command() {
    local wanted
    wanted="$(mktemp)"
    az containerapp job show --resource-group "$group" --name "$prefix-backfill" --query properties.template --output json |
        python3 -c '
import json, sys
template = json.load(sys.stdin)
template["containers"][0]["args"] = sys.argv[1:]
json.dump({"containers": template["containers"]}, sys.stdout)' "$@" >"$wanted"
    execution="$(az containerapp job start --resource-group "$group" --name "$prefix-backfill" --yaml "$wanted" --query name --output tsv)"
    rm -f "$wanted"
}
