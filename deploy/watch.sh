# Around a deployment: suspend the hourly stop of the database; name the recipients of alerts, and send them a test.
# deploy_hybrid.sh and test_alert.sh source it after azure.sh.
# shellcheck shell=bash disable=SC2154  # azure.sh sets group, prefix, script, subscription

# suspend_stop: let no db-stop stop the server until this script ends, by a tag of the group. infra/database/power.py
# reads it, and ignores one that is older than three hours.
suspend_stop() {
    deploying="$(date -u +%Y-%m-%dT%H:%M:%SZ)"
    tag_deploying Merge || say "$script: the tag quantx-deploying could not be set; the database may be stopped at a quarter past"
    trap resume_stop EXIT
}

resume_stop() {
    tag_deploying Delete || say "$script: the tag quantx-deploying of $group could not be removed; it ends by itself in 3 hours"
}

tag_deploying() {  # tag_deploying <Merge|Delete>
    az tag update --resource-id "/subscriptions/$subscription/resourceGroups/$group" --operation "$1" \
        --tags "quantx-deploying=$deploying" --output none
}

# Name the recipients. Azure mails owners only where the role is assigned to a person or a group at the subscription, and an
# address only after its confirmation (learn.microsoft.com/azure/azure-monitor/alerts/action-groups).
say_recipients() {
    local owners
    if owners="$(az role assignment list --role Owner --scope "/subscriptions/$subscription" \
        --query "[?principalType!='ServicePrincipal'].principalName" --output tsv 2>/dev/null)"; then
        owners="${owners//$'\n'/, }"
        say "$script: alerts are mailed to the owners of the subscription: ${owners:-there is none; an owner of the group gets no mail}"
    else
        say "$script: alerts are mailed to the owners of the subscription, which this user may not list; not to those of the group"
    fi
    [ -z "${ALERT_EMAIL:-}" ] ||
        say "$script: and to $ALERT_EMAIL, once it is confirmed with the code that Azure mails there now, within 30 minutes"
    [ -z "${ALERT_WEBHOOK:-}" ] || say "$script: and to the webhook (${ALERT_WEBHOOK_KIND:-common})"
    say "$script: send a test alert, now and after each change of recipients: deploy/test_alert.sh"
}

# send_test_alert: send a sample alert to every receiver of the action group; status 1 unless all have taken it.
send_test_alert() {
    local receivers=() line answers
    while IFS= read -r line; do
        receivers+=("$line")
    done < <(az monitor action-group show --resource-group "$group" --name "$prefix-people" --output json | python3 -c '
import json, sys
group = json.load(sys.stdin)
group = group.get("properties", group)
common = "usecommonalertschema"
forms = {
    "armRoleReceivers": lambda r: ["armrole", r["name"], r["roleId"], common],
    "emailReceivers": lambda r: ["email", r["name"], r["emailAddress"], common],
    "logicAppReceivers": lambda r: ["logicapp", r["name"], r["resourceId"], r["callbackUrl"], common],
    "webhookReceivers": lambda r: ["webhook", r["name"], r["serviceUri"], common],
}
for kind, words in forms.items():
    for receiver in group.get(kind) or []:
        print("\n".join(["--add-action", *words(receiver)]))')
    [ "${#receivers[@]}" -gt 0 ] || { say "$script: the action group $prefix-people has no receiver"; return 1; }
    say "$script: sending a test alert; Azure answers within two minutes"
    answers="$(az monitor action-group test-notifications create --resource-group "$group" --action-group "$prefix-people" \
        --alert-type logalertv2 "${receivers[@]}" --query "actionDetails[].[mechanismType, name, status]" --output tsv)" ||
        { say "$script: the test alert was refused"; return 1; }
    say "$answers"
    ! grep -qv $'\tSucceeded$' <<<"$answers" || { say "$script: not every receiver has taken the test alert"; return 1; }
}
