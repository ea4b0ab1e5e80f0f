// Locks against the deletion of what holds data. A lock protects the account or server, not the objects or rows in it.
// It also keeps role assignments and firewall rules below it from being deleted.
// https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources
param lakeAccount string
@description('Empty: the state is elsewhere.')
param serverName string

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: lakeAccount
}

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = {
  name: empty(serverName) ? 'none' : serverName
}

resource lakeKept 'Microsoft.Authorization/locks@2020-05-01' = {
  scope: account
  name: 'keep-lake'
  properties: {
    level: 'CanNotDelete'
    notes: 'The lake. deploy/teardown.sh removes this lock.'
  }
}

resource stateKept 'Microsoft.Authorization/locks@2020-05-01' = if (!empty(serverName)) {
  scope: server
  name: 'keep-state'
  properties: {
    level: 'CanNotDelete'
    notes: 'The state. deploy/teardown.sh removes this lock.'
  }
}
