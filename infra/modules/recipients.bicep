// The recipients of alerts: the owners of the subscription, an address, a webhook.
//
// Owners are mailed only where the role is assigned to a user or a group at the subscription. A new address gets a code, and
// no alert before it is entered (within 30 minutes). Slack and Teams refuse Azure's schema, so that a small workflow writes
// their messages. (learn.microsoft.com/azure/azure-monitor/alerts/action-groups)
param location string
param prefix string
param alertEmail string
@secure()
param alertWebhook string
param alertWebhookKind string

var owner = '8e3af657-a8ff-443c-a75c-2fe8c4bcb635' // Owner: its holders get the alerts
var isChat = !empty(alertWebhook) && alertWebhookKind != 'common'
var essentials = 'triggerBody()?[\'data\']?[\'essentials\']'
var headline = '@{${essentials}?[\'monitorCondition\']} @{${essentials}?[\'severity\']}: @{${essentials}?[\'alertRule\']}'
var details = '@{${essentials}?[\'description\']}'
// Slack: https://api.slack.com/messaging/webhooks. Teams, a workflow "When a Teams webhook request is received":
// https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook
var messages = {
  common: {}
  slack: {
    text: '*${headline}*\n${details}'
  }
  teams: {
    type: 'message'
    attachments: [
      {
        contentType: 'application/vnd.microsoft.card.adaptive'
        contentUrl: null
        content: {
          '$schema': 'http://adaptivecards.io/schemas/adaptive-card.json'
          type: 'AdaptiveCard'
          version: '1.4'
          body: [
            {
              type: 'TextBlock'
              weight: 'Bolder'
              wrap: true
              text: headline
            }
            {
              type: 'TextBlock'
              wrap: true
              text: details
            }
          ]
        }
      }
    ]
  }
}

resource chat 'Microsoft.Logic/workflows@2019-05-01' = if (isChat) {
  name: '${prefix}-alerts-to-chat'
  location: location
  properties: {
    definition: {
      '$schema': 'https://schema.management.azure.com/providers/Microsoft.Logic/schemas/2016-06-01/workflowdefinition.json#'
      contentVersion: '1.0.0.0'
      parameters: {
        hook: {
          type: 'SecureString'
        }
      }
      triggers: {
        alert: {
          type: 'Request'
          kind: 'Http'
          inputs: {}
        }
      }
      actions: {
        post: {
          type: 'Http'
          inputs: {
            method: 'POST'
            uri: '@parameters(\'hook\')'
            body: messages[alertWebhookKind]
          }
          runtimeConfiguration: {
            secureData: {
              properties: [
                'inputs' // the address of the webhook stays out of the run's history
              ]
            }
          }
        }
      }
    }
    parameters: {
      hook: {
        value: alertWebhook
      }
    }
  }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-people'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'quantx'
    armRoleReceivers: [
      {
        name: 'owners'
        roleId: owner
        useCommonAlertSchema: true
      }
    ]
    emailReceivers: empty(alertEmail) ? [] : [
      {
        name: 'email'
        emailAddress: alertEmail
        useCommonAlertSchema: true
      }
    ]
    webhookReceivers: empty(alertWebhook) || isChat ? [] : [
      {
        name: 'webhook'
        serviceUri: alertWebhook
        useCommonAlertSchema: true
      }
    ]
    logicAppReceivers: !isChat ? [] : [
      {
        name: 'chat'
        resourceId: chat.id
        callbackUrl: listCallbackUrl('${chat.id}/triggers/alert', '2019-05-01').value
        useCommonAlertSchema: true
      }
    ]
  }
}

output actionGroupId string = people.id
