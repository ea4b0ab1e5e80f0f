// The right to start and stop one database, and no other: no built-in role is as small.
param serverName string
param powerId string
@description('False where the role exists already, because the deployer may not create roles.')
param makeRole bool

var roleName = guid(resourceGroup().id, 'database-power')

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = {
  name: serverName
}

resource starter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (makeRole) {
  name: roleName
  properties: {
    roleName: 'quantx database power ${roleName}'
    description: 'Start and stop a PostgreSQL flexible server, and see whether it runs.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.DBforPostgreSQL/flexibleServers/read'
          'Microsoft.DBforPostgreSQL/flexibleServers/start/action'
          'Microsoft.DBforPostgreSQL/flexibleServers/stop/action'
        ]
        notActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource mayStart 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: server
  name: guid(server.id, powerId, roleName)
  properties: {
    principalId: powerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions/${roleName}'
    description: 'Starts the database before the daily update and stops it afterwards.'
  }
  dependsOn: [
    starter
  ]
}
