// Every right that an identity has in Azure, in one place; README.md has the same as a table, and a test holds them together.
// (Rights in the database: ../database. The right to start and stop it: power.bicep.)
param lakeAccount string
param lakeContainer string
param rawContainer string
param taskQueue string
param poisonQueue string
param hostAccount string
param registryName string
param vaultName string
param insightsName string
param workerId string
param functionsId string
param migratorId string
param powerId string
param dashboardId string
param operatorId string
@description('The dashboard is served.')
param dashboard bool
@description('The state is a database outside, whose address is in the vault.')
param externalState bool
param adminPrincipalId string
param adminPrincipalType string
@description('A group that reads tables and reports. Empty: none.')
param readersGroupId string

var role = {
  blobOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  blobReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
  queueContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  queueReader: '19e7f393-937e-4f77-808e-94535e297925' // Storage Queue Data Reader
  queueSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a' // Storage Queue Data Message Sender
  tableContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d' // AcrPull
  secretsUser: '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User
  secretsOfficer: 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7' // Key Vault Secrets Officer
  metricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
}
// Made by custom_roles.bicep.
var custom = {
  lakeWriter: guid(resourceGroup().id, 'lake-writer') // quantx lake writer
  rawWriter: guid(resourceGroup().id, 'raw-writer') // quantx raw writer
}
var definitions = '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions'

// Below raw/ in the lake's container lie the raw objects of an installation that has not moved them yet, or the copies that
// a move has left: the worker may not delete them. It can replace them, because this condition does not cover `write`, and
// can't: the outer request of a batch of deletes needs `write` for the container, which has no path to compare.
var keepsRaw = '''
((
  !(ActionMatches{'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'})
) OR (
  @Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringNotLike 'raw/*'
  AND
  @Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringNotEquals 'raw'
))
'''

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: lakeAccount
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: account
  name: 'default'
}

resource lake 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = {
  parent: blobs
  name: lakeContainer
}

resource raw 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = {
  parent: blobs
  name: rawContainer
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2026-04-01' existing = {
  parent: account
  name: 'default'
}

resource tasks 'Microsoft.Storage/storageAccounts/queueServices/queues@2026-04-01' existing = {
  parent: queues
  name: taskQueue
}

resource poison 'Microsoft.Storage/storageAccounts/queueServices/queues@2026-04-01' existing = {
  parent: queues
  name: poisonQueue
}

resource host 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: hostAccount
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: registryName
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource workerLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: lake
  name: guid(lake.id, workerId, custom.lakeWriter)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${custom.lakeWriter}'
    description: 'Commits tables and writes reports; may not delete below raw/.'
    condition: keepsRaw
    conditionVersion: '2.0'
  }
}

resource workerRaw 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: raw
  name: guid(raw.id, workerId, custom.rawWriter)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${custom.rawWriter}'
    description: 'Creates and reads raw objects; can neither replace, delete nor move one.'
  }
}

resource workerTasks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: tasks
  name: guid(tasks.id, workerId, role.queueContributor)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueContributor}'
    description: 'Receives, hides, deletes and sends tasks; KEDA reads the queue length.'
  }
}

resource workerPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: poison
  name: guid(poison.id, workerId, role.queueContributor)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueContributor}'
    description: 'Moves messages that are not tasks to the poison queue.'
  }
}

resource workerImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, workerId, role.acrPull)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.acrPull}'
    description: 'Runs the image.'
  }
}

resource workerSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, workerId, role.secretsUser)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.secretsUser}'
    description: 'Reads the API keys of vendors.'
  }
}

resource workerTraces 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, workerId, role.metricsPublisher)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.metricsPublisher}'
    description: 'Sends traces; sign-in by key is disabled.'
  }
}

resource functionsLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: lake
  name: guid(lake.id, functionsId, role.blobReader)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Checks that the lake belongs to the state; writes nothing.'
  }
}

resource functionsSend 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: tasks
  name: guid(tasks.id, functionsId, role.queueSender)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueSender}'
    description: 'Puts planned tasks on the queue; can neither receive nor delete them.'
  }
}

resource functionsTasks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: tasks
  name: guid(tasks.id, functionsId, role.queueReader)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Reads the queue length.'
  }
}

resource functionsPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: poison
  name: guid(poison.id, functionsId, role.queueReader)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Reads the length of the poison queue.'
  }
}

resource functionsHostBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: host
  name: guid(host.id, functionsId, role.blobOwner)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobOwner}'
    description: 'The host stores its timers\' leases, its own keys and the package there.'
  }
}

resource functionsHostQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: host
  name: guid(host.id, functionsId, role.queueContributor)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueContributor}'
    description: 'The host stores its own messages there.'
  }
}

resource functionsHostTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: host
  name: guid(host.id, functionsId, role.tableContributor)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.tableContributor}'
    description: 'The host stores its diagnostics there.'
  }
}

resource functionsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, functionsId, role.secretsUser)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.secretsUser}'
    description: 'Reads the API keys of vendors, and the state\'s address where that is a secret.'
  }
}

resource functionsTraces 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, functionsId, role.metricsPublisher)
  properties: {
    principalId: functionsId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.metricsPublisher}'
    description: 'Sends traces; sign-in by key is disabled.'
  }
}

resource migratorImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, migratorId, role.acrPull)
  properties: {
    principalId: migratorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.acrPull}'
    description: 'Runs the image.'
  }
}

resource migratorSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (externalState) {
  scope: vault
  name: guid(vault.id, migratorId, role.secretsUser)
  properties: {
    principalId: migratorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.secretsUser}'
    description: 'Reads the state\'s address where that is a secret.'
  }
}

resource powerImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, powerId, role.acrPull)
  properties: {
    principalId: powerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.acrPull}'
    description: 'Runs the image.'
  }
}

resource powerTasks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: tasks
  name: guid(tasks.id, powerId, role.queueReader)
  properties: {
    principalId: powerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Stops no database while tasks are queued.'
  }
}

resource adminSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(adminPrincipalId)) {
  scope: vault
  name: guid(vault.id, adminPrincipalId, role.secretsOfficer)
  properties: {
    principalId: adminPrincipalId
    principalType: adminPrincipalType
    roleDefinitionId: '${definitions}/${role.secretsOfficer}'
    description: 'Sets the API keys of vendors.'
  }
}

resource adminLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(adminPrincipalId)) {
  scope: lake
  name: guid(lake.id, adminPrincipalId, role.blobReader)
  properties: {
    principalId: adminPrincipalId
    principalType: adminPrincipalType
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Queries the lake from outside Azure.'
  }
}

resource adminRaw 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(adminPrincipalId)) {
  scope: raw
  name: guid(raw.id, adminPrincipalId, role.blobReader)
  properties: {
    principalId: adminPrincipalId
    principalType: adminPrincipalType
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Reads the evidence from outside Azure.'
  }
}

resource readersGroupLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(readersGroupId)) {
  scope: lake
  name: guid(lake.id, readersGroupId, role.blobReader)
  properties: {
    principalId: readersGroupId
    principalType: 'Group'
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Reads tables, features, quarantine, reports and meta; not the raw container.'
  }
}

resource dashboardLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: lake
  name: guid(lake.id, dashboardId, role.blobReader)
  properties: {
    principalId: dashboardId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Reads tables and reports; writes nothing.'
  }
}

resource dashboardRaw 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: raw
  name: guid(raw.id, dashboardId, role.blobReader)
  properties: {
    principalId: dashboardId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Shows a vendor\'s reply beside a value.'
  }
}

resource dashboardTasks 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: tasks
  name: guid(tasks.id, dashboardId, role.queueReader)
  properties: {
    principalId: dashboardId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Reads the queue length.'
  }
}

resource dashboardPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: poison
  name: guid(poison.id, dashboardId, role.queueReader)
  properties: {
    principalId: dashboardId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Reads the length of the poison queue.'
  }
}

resource dashboardImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: registry
  name: guid(registry.id, dashboardId, role.acrPull)
  properties: {
    principalId: dashboardId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.acrPull}'
    description: 'Runs the image.'
  }
}

resource operatorLake 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: lake
  name: guid(lake.id, operatorId, custom.lakeWriter)
  properties: {
    principalId: operatorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${custom.lakeWriter}'
    description: 'Commits what an operator accepts or replays; may not delete below raw/.'
    condition: keepsRaw
    conditionVersion: '2.0'
  }
}

resource operatorRaw 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: raw
  name: guid(raw.id, operatorId, role.blobReader)
  properties: {
    principalId: operatorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Reads the replies that are curated again.'
  }
}

resource operatorSend 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: tasks
  name: guid(tasks.id, operatorId, role.queueSender)
  properties: {
    principalId: operatorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueSender}'
    description: 'Sends the tasks that an operator retries.'
  }
}

resource operatorTasks 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: tasks
  name: guid(tasks.id, operatorId, role.queueReader)
  properties: {
    principalId: operatorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Reads the queue length.'
  }
}

resource operatorPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: poison
  name: guid(poison.id, operatorId, role.queueReader)
  properties: {
    principalId: operatorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.queueReader}'
    description: 'Reads the length of the poison queue.'
  }
}

resource operatorSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (dashboard) {
  scope: vault
  name: guid(vault.id, operatorId, role.secretsUser)
  properties: {
    principalId: operatorId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.secretsUser}'
    description: 'Reads the secret of the sign-in, and the state\'s address where that is a secret.'
  }
}
