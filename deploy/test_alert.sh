#!/usr/bin/env bash
# Send a test alert to every receiver of the alerts: deploy/test_alert.sh
# A mail to an owner, to ALERT_EMAIL and a message to the webhook must arrive within minutes: check that they do.
# QUANTX_ENVIRONMENT (dev) and RESOURCE_GROUP as in deploy_hybrid.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/azure.sh
. deploy/azure.sh
# shellcheck source=deploy/watch.sh
. deploy/watch.sh

check_prerequisites az python3
say_recipients
send_test_alert
