// Uses of secrets, changes and deletions of objects, the logs of the database and of the app's host: into the workspace.
// (The jobs' logs: containers.bicep. The app's own lines come through Application Insights.)
//
// Reads of objects are left out: each query reads hundreds, and lines cost money. Of the queue only deletions are recorded.
param workspaceId string
param lakeAccount string
param vaultName string
@description('Empty: the state is a database outside.')
param serverName string
param appName string
@description('The host of the app writes all of its levels, regardless of host.json (Azure/azure-functions-host#11434).')
param appHostLogs bool

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: lakeAccount
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: account
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2026-04-01' existing = {
  parent: account
  name: 'default'
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = if (!empty(serverName)) {
  name: serverName
}

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource ofBlobs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

resource ofQueues 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: queues
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

resource ofVault 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated' // the table AZKVAuditLogs
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

resource ofServer 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(serverName)) {
  scope: server
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated' // the table PGSQLServerLogs
    logs: [
      {
        category: 'PostgreSQLLogs'
        enabled: true
      }
    ]
  }
}

resource ofApp 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (appHostLogs) {
  scope: app
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'FunctionAppLogs'
        enabled: true
      }
    ]
  }
}
