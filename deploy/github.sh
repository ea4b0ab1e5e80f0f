#!/usr/bin/env bash
# The sign-in of the workflow "deploy" of one GitHub environment, without a secret: deploy/github.sh <owner>/<name> [--apply]
#   (nothing)  check the branch rule of the environment, and show the subject of its tokens
#   --apply    also create the deployer's identity in Azure (infra/github.bicep; as an owner), and print the variables
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh. The workflow itself runs it with --rule, which only checks
# the rule.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh

[[ "${1:-}" =~ ^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$ ]] || fail "give the repository as <owner>/<name>"
repository="$1"
case "${2:-}" in
    "" | --apply | --rule) ;;
    *) fail "unknown argument $2" ;;
esac
type -P gh >/dev/null || fail "gh is not installed$(where_to_get gh)"

# Anyone who may push a branch can change the workflow in it. So the environment, as which it signs in, admits main only.
check_rule() {
    local rule branches
    if ! rule="$(gh api "repos/$repository/environments/$environment" --jq '.deployment_branch_policy.custom_branch_policies')"; then
        say "$script: the rule of the environment $environment can't be read; check in the repository's settings that only main may deploy"
        return
    fi
    branches="$([ "$rule" != true ] || gh api "repos/$repository/environments/$environment/deployment-branch-policies" \
        --jq '[.branch_policies[].name] | join(" ")')"
    [ "$branches" = main ] || fail "branches that may deploy to $environment: ${branches:-any, or all protected ones}; allow main only (Settings, Environments, $environment, Deployment branches and tags)"
    say "$script: only main may deploy to $environment"
}

# Sets `parameters` for infra/github.bicep. GitHub itself names the form of the subject: repositories made or renamed since
# 2026-07-15 have ids in it, and others that opted in (https://github.com/github/docs/pull/45221).
choose_subject() {
    local prefix owner_id repository_id
    prefix="$(gh api "repos/$repository/actions/oidc/customization/sub" --jq '.sub_claim_prefix // empty')"
    read -r owner_id repository_id < <(gh api "repos/$repository" --jq '"\(.owner.id) \(.id)"') ||
        fail "the ids of $repository can't be read; run: gh auth login"
    parameters=(repository="$repository" environmentName="$environment")
    case "$prefix" in
        "" | "repo:$repository") ;;
        "repo:${repository%/*}@$owner_id/${repository#*/}@$repository_id")
            parameters+=(ownerId="$owner_id" repositoryId="$repository_id")
            ;;
        *) fail "$repository has a subject of its own ($prefix); reset it, or give it to the federated credential by hand" ;;
    esac
    say "$script: subject ${prefix:-repo:$repository}:environment:$environment"
}

check_rule
[ "${2:-}" != --rule ] || exit 0
choose_subject
if [ "${2:-}" = --apply ]; then
    check_prerequisites az
    az deployment group create --name quantx-github --resource-group "$group" --template-file infra/github.bicep \
        --parameters "${parameters[@]}" --query properties.outputs --output json
fi
