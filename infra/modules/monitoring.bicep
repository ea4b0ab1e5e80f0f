// Where logs and traces go. Signing in with the key of a connection string is switched off.
param location string
param prefix string

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
      dailyQuotaGb: 1 // a loop that logs can't cost much more than that; an alert fires when it is reached
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

output workspaceId string = workspace.id
output workspaceName string = workspace.name
output insightsName string = insights.name
// The connection string gives the endpoint; with DisableLocalAuth its key has no effect.
output insightsConnection string = insights.properties.ConnectionString
