# Azure Machine Learning: the image and the environment of its jobs, and the schedule of daily predictions.
# shellcheck shell=bash disable=SC2154  # deploy_hybrid.sh sources this, after azure.sh, and sets what is used here

check_ml() {
    [ "${PRIVATE_NETWORK:-}" != true ] || fail "--ml needs PRIVATE_NETWORK=false: its clusters are not in the private network"
    az extension show --name ml --output none 2>/dev/null || fail "--ml needs az's extension: az extension add --name ml"
    [ -z "${ML_STUDY:-}" ] || [ -f "$ML_STUDY" ] || fail "there is no study $ML_STUDY (ML_STUDY)"
}

# az ml <noun> <verb> … in the workspace.
ml() { az ml "$@" --resource-group "$group" --workspace-name "$workspace" --output none; }

deploy_ml() {
    local workspace
    workspace="$(output ML_WORKSPACE)"
    [ -n "$workspace" ] || fail "the deployment has no workspace; run with --apply --ml"
    build_ml_image
    if ! az ml environment show --name quantx-ml --version "$tag" --resource-group "$group" --workspace-name "$workspace" \
        --output none 2>/dev/null; then
        say "deploy_hybrid: registering the environment quantx-ml:$tag in the workspace $workspace"
        ml environment create --file infra/ml/environment.yml --set version="$tag" image="$ml_image"
    fi
    schedule_predictions
    cat <<TEXT
workspace       $workspace; train a study (docs/how-to/train-on-azure-ml.md):
                az ml job create --file infra/ml/train.yml --resource-group $group --workspace-name $workspace \\
                    --set inputs.study.path=STUDY.yaml inputs.storage_account=$(output STORAGE_ACCOUNT) \\
                    inputs.client_id=$(output ML_TRAINER_CLIENT_ID)
TEXT
}

# Sets `ml_image`. It is built by the registry, which subscriptions on free credits may not use (see build_image).
build_ml_image() {
    ml_image="$(az acr show --name "$registry" --query loginServer --output tsv)/quantx-ml:$tag"
    ! az acr repository show --name "$registry" --image "quantx-ml:$tag" --output none 2>/dev/null || return 0
    say "deploy_hybrid: adding quantx-ml:$tag to the registry $registry"
    mirror_base_image
    az acr build --registry "$registry" --image "quantx-ml:$tag" --file infra/ml/environment/Dockerfile \
        --build-arg PYTHON_IMAGE="$base" .
}

schedule_predictions() {
    local server worker
    if [ -z "${ML_STUDY:-}" ]; then
        say "deploy_hybrid: no predictions are scheduled; set ML_STUDY to a study that infra/ml/train.yml has trained"
        return
    fi
    server="$(output DATABASE_SERVER)"
    [ -n "$server" ] || fail "daily predictions commit under roles in the database; with QUANTX_DATABASE=external schedule infra/ml/schedule.yml by hand"
    worker="$(output WORKER_NAME)"
    say "deploy_hybrid: scheduling daily predictions of $ML_STUDY"
    ml schedule create --file infra/ml/schedule.yml --set create_job.inputs.study.path="$(realpath "$ML_STUDY")" \
        create_job.inputs.storage_account="$(output STORAGE_ACCOUNT)" create_job.inputs.client_id="$(output WORKER_CLIENT_ID)" \
        create_job.inputs.state="postgresql://$worker@$server.postgres.database.azure.com:5432/quantx"
}
