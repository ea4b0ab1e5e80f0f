// Once per environment, by an owner: an identity as which the workflow of one GitHub environment deploys, without a secret.
//   az deployment group create --resource-group quantx-dev --template-file infra/github.bicep --parameters repository=<owner>/<name>
targetScope = 'resourceGroup'

@description('owner/name, as GitHub spells it.')
param repository string

@description('The environment in GitHub; its protection rules restrict deployments.')
@allowed([
  'dev'
  'prod'
])
param environmentName string = 'dev'
param location string = resourceGroup().location

var definitions = '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions'
var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c'
var accessAdministrator = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168' // Role Based Access Control Administrator
var powerRole = guid(resourceGroup().id, 'database-power')
var backupRole = guid(resourceGroup().id, 'backup-writer')
// The roles of modules/roles.bicep and modules/power.bicep; the workflow can hand out and take back these and no others.
var assignable = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  '19e7f393-937e-4f77-808e-94535e297925'
  'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  '7f951dda-4ed3-4680-a7ca-43cc172d538d'
  '4633458b-17de-408a-b874-0445c86b69e6'
  'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
  '3913510d-42f4-4e42-8a64-420c390055eb'
  powerRole
  backupRole
]
var ids = join(assignable, ', ')
var toIdentities = '((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/write\'})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${ids}})) AND ((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/delete\'})) OR (@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${ids}}))'

resource deployer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'quantx-${environmentName}-deployer'
  location: location
}

resource fromGitHub 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: deployer
  name: 'github-${environmentName}'
  properties: {
    issuer: 'https://token.actions.githubusercontent.com'
    subject: 'repo:${repository}:environment:${environmentName}'
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}

// Made here, because the workflow may not make roles (it could make itself a larger one): deploy with makeCustomRole=false.
resource starter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: powerRole
  properties: {
    roleName: 'quantx database power ${powerRole}'
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

// The worker's right in the account of backups, without deletion: where the workflow deploys, an owner deletes old backups.
resource writer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: backupRole
  properties: {
    roleName: 'quantx backup writer ${backupRole}'
    description: 'Create and read blobs; replace none, and delete none.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource mayDeploy 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, contributor)
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${contributor}'
    description: 'Makes and changes what is in this resource group.'
  }
}

resource mayAssign 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, accessAdministrator)
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${accessAdministrator}'
    description: 'Hands out the roles of the components, and no others.'
    condition: toIdentities
    conditionVersion: '2.0'
  }
}

output AZURE_CLIENT_ID string = deployer.properties.clientId
output AZURE_TENANT_ID string = subscription().tenantId
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
