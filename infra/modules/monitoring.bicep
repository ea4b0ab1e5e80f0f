// Where logs and traces go, and whom alerts reach. Signing in with the key of a connection string is switched off.
param location string
param prefix string
param alertEmail string

var owner = '8e3af657-a8ff-443c-a75c-2fe8c4bcb635' // Owner: its holders get the alerts

resource workspace 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: '${prefix}-logs'
  location: location
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
    workspaceCapping: {
      dailyQuotaGb: 1 // a loop that logs can't cost more than that
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${prefix}-insights'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    IngestionMode: 'LogAnalytics'
    WorkspaceResourceId: workspace.id
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
  }
}

output workspaceId string = workspace.id
output insightsName string = insights.name
// The connection string gives the endpoint; with DisableLocalAuth its key has no effect.
output insightsConnection string = insights.properties.ConnectionString
output actionGroupId string = people.id
