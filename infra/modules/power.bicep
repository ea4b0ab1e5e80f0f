// The right to start and stop the database, and to see what uses it: no built-in role is as small.
param powerId string
@description('False where the role exists already, because the deployer may not create roles.')
param makeRole bool

var roleName = guid(resourceGroup().id, 'database-power')

resource starter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (makeRole) {
  name: roleName
  properties: {
    roleName: 'quantx database power ${roleName}'
    description: 'Start and stop a PostgreSQL flexible server; see whether it runs, and whether jobs or a deployment use it.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.DBforPostgreSQL/flexibleServers/read'
          'Microsoft.DBforPostgreSQL/flexibleServers/start/action'
          'Microsoft.DBforPostgreSQL/flexibleServers/stop/action'
          'Microsoft.App/jobs/read'
          'Microsoft.App/jobs/executions/read'
          'Microsoft.Resources/subscriptions/resourceGroups/read'
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
  name: guid(resourceGroup().id, powerId, roleName)
  properties: {
    principalId: powerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions/${roleName}'
    description: 'Starts the database before the daily update, and stops it when nothing uses it.'
  }
  dependsOn: [
    starter
  ]
}
