# One release: image and package of one commit, under one tag. deploy_hybrid.sh sources it after azure.sh.
# The order is that of docs/operations.md, Upgrade: migrate (expand), app, jobs. The program of the release before works on the
# migrated database, so that it can come back at any step.
# shellcheck shell=bash disable=SC2154  # deploy_hybrid.sh sets group, prefix, registry, tag, script

packages="quantx-functions" # the repository in the registry

# with_token <packages.py arguments…>: sign in to the registry.
with_token() {
    local token
    token="$(az acr login --name "$registry" --expose-token --query accessToken --output tsv)"
    TOKEN="$token" python3 deploy/packages.py "$@"
}

registry_server() { az acr show --name "$registry" --query loginServer --output tsv; }

# Set `package` to the file of this tag's package: the given one, the kept one, or a new one. Keep it beside the image.
keep_package() {
    local server reference="$packages:$tag"
    server="$(registry_server)"
    mkdir -p build
    package="${FUNCTIONS_PACKAGE:-build/functions-$tag.zip}"
    if [ -z "${FUNCTIONS_PACKAGE:-}" ]; then
        if with_token fetch "$server" "$reference" "$package"; then return; fi
        deploy/package_functions.sh "$package"
    fi
    say "$script: keeping $package as $reference in the registry $registry"
    with_token keep "$server" "$reference" "$package"
}

# The image that the jobs run, as quantx:<tag>; nothing where there are no jobs.
running_image() {
    az containerapp job list --resource-group "$group" \
        --query "[?name=='$prefix-worker'].properties.template.containers[0].image | [0]" --output tsv | sed 's|.*/||'
}

# The tag of the last package that was published and ready; a tag of the group records it.
published_tag() {
    az group show --name "$group" --query 'tags."quantx-functions"' --output tsv | sed -n "s|^$(output FUNCTION_APP_NAME) ||p"
}

# publish <file> <tag>: publish a package and ask the app; status 1 where it is not ready, 2 where nothing was changed.
publish() {
    local app site token
    app="$(output FUNCTION_APP_NAME)"
    # Asked for, not made up: new apps have a region and a random part in their host names.
    site="$(az resource show --resource-group "$group" --resource-type Microsoft.Web/sites --name "$app" \
        --query "properties.hostNameSslStates[?hostType=='Repository'].name | [0]" --output tsv)" || return 2
    [ -n "$site" ] || { say "$script: $app has no deployment site"; return 2; }
    token="$(az account get-access-token --query accessToken --output tsv)" || return 2
    say "$script: publishing $1 to $site"
    TOKEN="$token" python3 deploy/publish.py package "$site" "$1" || return $?
    smoke_test "$app" || return 1
    az tag update --resource-id "/subscriptions/$subscription/resourceGroups/$group" --operation Merge \
        --tags "quantx-functions=$app $2" --output none ||
        say "$script: the group's tag quantx-functions could not be set; the next run publishes again"
}

# smoke_test <app>: ask the app whether it reaches database, queue and lake. Azure reads the key from the app's host, which refuses
# while it starts (Azure/azure-cli#20892).
smoke_test() {
    local key="" tries
    for ((tries = 0; tries < 30; tries++)); do
        key="$(az functionapp keys list --resource-group "$group" --name "$1" --query functionKeys.default --output tsv 2>/dev/null)" || true
        [ -z "$key" ] || break
        sleep "$poll"
    done
    [ -n "$key" ] || { say "$script: the host of $1 gives no key; it has not started: az functionapp keys list --resource-group $group --name $1"; return 1; }
    KEY="$key" python3 deploy/publish.py ready "$(output FUNCTION_APP_HOST)"
}

# Bring this tag's release into operation. A step that is done already is not done again.
upgrade() {
    local running published last
    running="$(running_image)"
    published="$(published_tag)"
    last="${running#quantx:}" # image and package of a release have one tag
    [ "${last:-$tag}" != "$tag" ] || last="$published"
    say "$script: deploying everything, with the image quantx:$tag${running:+; the jobs keep $running until the app is ready}"
    deploy_templates image="quantx:$tag" ${running:+runningImage="$running"}
    start_stopped_database
    if ! run_job "$prefix-migrate"; then
        say "$script: the database was not migrated; app and jobs are as before. Correct the cause, and run this again"
        exit 1
    fi
    az functionapp start --resource-group "$group" --name "$(output FUNCTION_APP_NAME)" --output none # docs/operations.md stops it to restore
    if [ "$published" != "$tag" ]; then
        publish "$package" "$tag" || {
            [ $? -ne 2 ] || fail "the package was not published; the app and the jobs are as before"
            bring_back "the app is not ready with the new package; the jobs have kept their image" "$last" ""
        }
    else
        smoke_test "$(output FUNCTION_APP_NAME)" || bring_back "the app is not ready" "$last" ""
    fi
    if [ -n "$running" ] && [ "$running" != "quantx:$tag" ]; then
        say "$script: switching the jobs to the image quantx:$tag"
        deploy_templates image="quantx:$tag"
    fi
    run_job "$prefix-universes" || say "$script: a universe's list was refused; the last good list stays, and the deployment continues"
    run_job "$prefix-sweeper" || bring_back "the sweeper failed with the new image" "$last" "$running"
}

# bring_back <reason> <tag of the last release> <its image, or nothing where the jobs have it>: return to the last release, and end with status 1.
bring_back() {
    say "$script: $1"
    if [ -z "$2" ] || [ "$2" = "$tag" ]; then
        say "$script: there is no earlier release to bring back; correct the cause, and run this again"
        exit 1
    fi
    if [ -n "$3" ]; then
        say "$script: bringing back the image $3"
        deploy_templates image="$3" || { say "$script: the image $3 did not come back. Check out $2 and run this again"; exit 1; }
    fi
    say "$script: bringing back the package of $2"
    if ! { with_token fetch "$(registry_server)" "$packages:$2" "build/functions-$2.zip" && publish "build/functions-$2.zip" "$2"; }; then
        say "$script: the package of $2 did not come back. Check out $2 and run this again"
        exit 1
    fi
    say "$script: the release $2 is back, on the migrated database; $tag is not in operation. Correct the cause, and run this again"
    exit 1
}
